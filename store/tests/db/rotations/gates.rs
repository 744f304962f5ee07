//! The gates: nothing new signs before everybody has the root, and no root is dropped that somebody needs.

use chrono::TimeDelta;
use heddle_model::id::ProxyId;
use heddle_store::proxies::{self, AgentSeen, Checkpoint};
use heddle_store::rotations::{Counts, Mode, Refused, RotationRow, State, What};
use serde_json::json;
use uuid::Uuid;

use crate::proxies::{checkpoint, endpoint};

use super::field::{Field, SERVER, new};

#[tokio::test]
async fn spiffe_s52_nothing_new_signs_before_everybody_who_may_be_at_work_has_the_root() {
    let field = Field::new(&[("payments", "a"), ("payments", "b"), ("payments", "c")]).await;
    let [near, away, gone] = field.proxies[..] else {
        panic!("three")
    };
    let old = field.trust().await.0.unwrap();
    // One is connected, one has been cut off an hour ago, one was last here two days ago.
    field.issue(gone, old).await.unwrap();
    field.db.clock.advance(TimeDelta::days(2));
    field.issue(near, old).await.unwrap();
    field.issue(away, old).await.unwrap();
    field.says(near, true, 2, None).await;
    for proxy in [away, gone] {
        field.says(proxy, false, 2, None).await;
    }
    let rotation = field.start(new(What::Root, Mode::Planned)).await.unwrap();
    let published = field.step().await.unwrap();
    assert_eq!(published.state, State::Published);
    assert_eq!(field.step().await, None);
    let numbers = |c: Counts| {
        let of = [c.ready, c.pending, c.refused, c.offline, c.left_behind];
        (of, c.waiting_for)
    };
    let seen = numbers(field.counts(&published).await);
    assert_eq!(seen, ([0, 1, 0, 1, 1], 2));
    let refused = field.advance(rotation.id, false).await;
    assert!(matches!(refused, Err(Refused::Waits(c)) if c.waiting_for == 2));

    // Its server showed it nothing new with that revision; but it is behind with what came before, or refuses it, and that may be the root.
    for (nacks, expected) in [
        (json!([]), [0, 1, 0, 1, 1]),
        (json!([{"type": "SDS"}]), [0, 0, 1, 1, 1]),
    ] {
        let status = Checkpoint {
            connected: true,
            acked_revision: Some(published.revision - 2),
            target_revision: Some(published.revision - 1),
            nacks,
            ..checkpoint(near, Some(endpoint(near, "10.0.0.7")))
        };
        let offered = Some(published.revision);
        proxies::checkpoint(&field.db.store, &field.mesh, SERVER, offered, &[status])
            .await
            .unwrap();
        assert_eq!(numbers(field.counts(&published).await), (expected, 2));
        assert_eq!(field.step().await, None);
    }
    field.says(near, true, published.revision, None).await;
    assert_eq!(field.step().await, None, "the one that is cut off");
    let seen = numbers(field.counts(&published).await);
    assert_eq!(seen, ([1, 0, 0, 1, 1], 1));
    // Its leaf ends; it is listed and no longer waited for.
    field
        .db
        .clock
        .advance(TimeDelta::hours(24) + TimeDelta::seconds(1));
    assert_eq!(
        numbers(field.counts(&published).await),
        ([1, 0, 0, 0, 2], 0)
    );
    assert_eq!(field.step().await.unwrap().state, State::Active);
}

#[tokio::test]
async fn spiffe_s52_the_old_root_is_dropped_when_nobody_holds_a_leaf_under_it() {
    let field = Field::new(&[("payments", "a"), ("payments", "b")]).await;
    let [one, two] = field.proxies[..] else {
        panic!("two")
    };
    let old = field.trust().await.0.unwrap();
    let mut revision = 2;
    for proxy in [one, two] {
        let leaf = field.issue(proxy, old).await;
        field.says(proxy, true, revision, leaf).await;
    }
    field.start(new(What::Root, Mode::Planned)).await.unwrap();
    let mut row = field.step().await.unwrap();
    while row.state != State::Retiring {
        revision = row.revision;
        assert_eq!(field.step().await, None, "{:?}", row.state);
        for proxy in [one, two] {
            field.says(proxy, true, revision, None).await;
        }
        row = field.step().await.unwrap();
    }
    assert_eq!(field.issue(one, old).await, None, "it signs no more");
    assert_eq!(field.step().await, None);
    // Issued is not had: the proxy may not have got it.
    field.db.clock.advance(TimeDelta::seconds(1));
    let leaf = field.issue(one, row.issuing).await;
    assert_eq!(field.counts(&row).await.pending, 2);
    field.says(one, true, revision, leaf).await;
    let counts = field.counts(&row).await;
    assert_eq!((counts.ready, counts.pending), (1, 1));
    // The other one is cut off with a leaf of the old root, until that ends.
    field.says(two, false, revision, None).await;
    let counts = field.counts(&row).await;
    assert_eq!((counts.offline, counts.waiting_for), (1, 1));
    assert_eq!(field.step().await, None);
    field
        .db
        .clock
        .advance(TimeDelta::hours(24) + TimeDelta::seconds(1));
    assert_eq!(field.counts(&row).await.left_behind, 1);
    assert_eq!(field.step().await.unwrap().state, State::Removed);
}

#[tokio::test]
async fn spiffe_s52_a_proxy_that_keeps_its_key_is_waited_for_by_what_it_says_that_it_holds() {
    let field = Field::new(&[("payments", "a"), ("payments", "b")]).await;
    let [agent, away] = field.proxies[..] else {
        panic!("two")
    };
    let old = field.trust().await.0.unwrap();
    let first = field.issue(agent, old).await;
    let seen = async |serial: &Option<String>, revision: Option<u64>| {
        let seen = [AgentSeen {
            proxy: agent,
            serial: serial.clone(),
            revision,
        }];
        let kept = proxies::agents_seen(&field.db.store, &field.mesh, &seen);
        kept.await.unwrap();
    };
    field.start(new(What::Root, Mode::Planned)).await.unwrap();
    let mut row = field.step().await.unwrap();
    assert_eq!(row.state, State::Published);
    let numbers = async |row: &RotationRow| {
        let counts = field.counts(row).await;
        [counts.ready, counts.pending, counts.offline]
    };
    assert_eq!(numbers(&row).await, [0, 0, 1], "nobody has seen it");
    seen(&first, Some(row.revision - 1)).await;
    assert_eq!(numbers(&row).await, [0, 1, 0]);
    assert_eq!(field.step().await, None);
    while row.state != State::Retiring {
        seen(&first, None).await;
        assert_eq!(field.step().await, None, "it is behind in {:?}", row.state);
        seen(&first, Some(row.revision)).await;
        assert_eq!(numbers(&row).await, [1, 0, 0]);
        row = field.step().await.unwrap();
    }
    // It has the bundle, and still a leaf of what gives way.
    seen(&first, Some(row.revision)).await;
    assert_eq!(numbers(&row).await, [0, 1, 0]);
    assert_eq!(field.step().await, None);
    field.db.clock.advance(TimeDelta::seconds(1));
    let second = field.issue(agent, row.issuing).await;
    assert_eq!(numbers(&row).await, [0, 1, 0], "issued is not had");
    let junk = Some(String::from("\0; drop table"));
    seen(&junk, Some(row.revision)).await;
    assert_eq!(numbers(&row).await, [0, 1, 0]);
    // Who is not seen for a minute is offline, and not forgotten what it held before.
    field.db.clock.advance(TimeDelta::seconds(61));
    assert_eq!(numbers(&row).await, [0, 0, 1]);
    seen(&second, Some(row.revision)).await;
    assert_eq!(numbers(&row).await, [1, 0, 0]);
    assert_eq!(field.step().await.unwrap().state, State::Removed);
    assert_ne!(agent, away);
}

#[tokio::test]
async fn spiffe_s52_an_agent_that_has_followed_and_is_away_is_waited_for_no_longer() {
    let field = Field::new(&[("payments", "a")]).await;
    let agent = field.proxies[0];
    let old = field.trust().await.0.unwrap();
    let first = field.issue(agent, old).await;
    let seen = async |serial: &Option<String>, revision: u64| {
        let seen = [AgentSeen {
            proxy: agent,
            serial: serial.clone(),
            revision: Some(revision),
        }];
        let kept = proxies::agents_seen(&field.db.store, &field.mesh, &seen);
        kept.await.unwrap();
        field.db.clock.advance(TimeDelta::seconds(61));
    };
    field.start(new(What::Root, Mode::Planned)).await.unwrap();
    let mut row = field.step().await.unwrap();
    while row.state != State::Retiring {
        seen(&first, row.revision - 1).await;
        let counts = field.counts(&row).await;
        assert_eq!((counts.ready, counts.offline), (0, 1), "{:?}", row.state);
        seen(&first, row.revision).await;
        assert_eq!(field.counts(&row).await.ready, 1, "{:?}", row.state);
        row = field.step().await.unwrap();
    }
    assert_eq!(field.counts(&row).await.offline, 1);
    assert_eq!(field.step().await, None);
    // As one does that asks for a certificate now and then, and never watches: at the same time as others, and as itself of before.
    let second = field.issue(agent, row.issuing).await;
    let stranger = ProxyId::from_uuid(Uuid::from_u128(99));
    let of = |proxy, serial: &Option<String>| {
        let seen = AgentSeen {
            proxy,
            serial: serial.clone(),
            revision: Some(row.revision),
        };
        proxies::agent_seen(&field.db.store, &field.mesh, seen)
    };
    let kept = tokio::join!(
        of(stranger, &second),
        of(agent, &first),
        of(stranger, &None),
        of(agent, &second)
    );
    assert!(matches!(kept, (Ok(()), Ok(()), Ok(()), Ok(()))));
    field.db.clock.advance(TimeDelta::seconds(61));
    assert_eq!(field.counts(&row).await.ready, 1);
    assert_eq!(field.step().await.unwrap().state, State::Removed);
}

#[tokio::test]
async fn spiffe_s52_of_an_envoy_and_an_agent_under_one_name_the_one_that_is_behind_counts() {
    let field = Field::new(&[("payments", "a")]).await;
    let both = field.proxies[0];
    let old = field.trust().await.0.unwrap();
    let leaf = field.issue(both, old).await;
    field.says(both, true, 2, leaf.clone()).await;
    field.says(both, false, 2, None).await;
    let seen = async |serial: &Option<String>, revision: u64| {
        let seen = [AgentSeen {
            proxy: both,
            serial: serial.clone(),
            revision: Some(revision),
        }];
        let kept = proxies::agents_seen(&field.db.store, &field.mesh, &seen);
        kept.await.unwrap();
    };
    field.start(new(What::Root, Mode::Planned)).await.unwrap();
    let row = field.step().await.unwrap();
    seen(&leaf, row.revision).await;
    let counts = field.counts(&row).await;
    assert_eq!((counts.ready, counts.offline), (0, 1), "the Envoy");
    assert_eq!(field.step().await, None);
    // The Envoy's leaf ends. The agent goes on: it is the only one that is left.
    field.db.clock.advance(TimeDelta::hours(23));
    let next = field.issue(both, old).await;
    field.db.clock.advance(TimeDelta::hours(2));
    seen(&next, row.revision).await;
    assert_eq!(field.counts(&row).await.ready, 1);
    // And the other way round: the agent is away for good, and the Envoy is there.
    seen(&next, row.revision - 1).await;
    field.db.clock.advance(TimeDelta::hours(1));
    let last = field.issue(both, old).await;
    field.says(both, true, row.revision, last).await;
    assert_eq!(field.counts(&row).await.offline, 1, "the agent");
    field.db.clock.advance(TimeDelta::hours(22));
    assert_eq!(field.counts(&row).await.ready, 1);
    assert_eq!(field.step().await.unwrap().state, State::Active);
}
