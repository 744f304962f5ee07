//! What proxies report: how it is counted, what it cannot fill, who may report, and how long it is kept.

use chrono::TimeDelta;
use heddle_model::authz::permission::{ProxyRead, ProxyWrite};
use heddle_model::clock::Clock as _;
use heddle_model::id::AccessRuleId;
use heddle_model::kind::Kind;
use heddle_store::observations::{
    self, CALLERS, GAP, Gone, Heard, Observation, Observer, REMEMBER, SETTLING, Seen, What,
};
use heddle_store::proxies;
use serde_json::json;
use uuid::Uuid;

use crate::authorities::entry;
use crate::build::{address, name, put, service_spec};
use crate::join::World;
use crate::support::grant;

fn seen(caller: &str, requests: u64) -> Observation {
    Observation {
        service: name("payments"),
        port: name("http"),
        what: What::Permissive,
        caller: caller.to_owned(),
        requests,
        refused: 0,
    }
}

impl World {
    async fn keep(&self, mesh: heddle_store::MeshRef, all: &[Observation]) {
        let kept = observations::keep(&self.db.store, &mesh, all, &Heard::default()).await;
        kept.unwrap();
    }

    async fn seen(&self, back: TimeDelta) -> Vec<Seen> {
        let grant = grant::<ProxyRead>(&self.owner);
        let mut tx = self.db.store.begin(&grant).await.unwrap();
        let since = self.db.clock.now() - back;
        let service = name("payments");
        observations::seen(&mut tx, self.mesh.id, Some(&service), since)
            .await
            .unwrap()
    }

    async fn observers(&self) -> Vec<Observer> {
        let grant = grant::<ProxyRead>(&self.owner);
        let mut tx = self.db.store.begin(&grant).await.unwrap();
        observations::observers(&mut tx, self.mesh.id, None)
            .await
            .unwrap()
    }
}

impl World {
    async fn say_mtls(&self, mode: &str) {
        let payments = name("payments");
        let at = address(self.mesh.id, Kind::Service, None, &payments);
        let mut spec = service_spec(8080);
        spec.insert(String::from("mtls"), json!(mode));
        put(&self.db.store, &self.owner, &at, &spec).await;
    }

    async fn forget_proxy(&self, node: &str) {
        let mut tx = self
            .db
            .store
            .begin(&grant::<ProxyWrite>(&self.owner))
            .await
            .unwrap();
        let found = proxies::find(&mut tx, self.mesh.id, node).await.unwrap();
        proxies::forget(&mut tx, self.mesh.id, &found.unwrap())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

fn counts(seen: &[Seen]) -> Vec<(Option<&str>, u64, u64)> {
    let count = |one: &'_ Seen| (one.requests, one.refused);
    let one = seen.iter().map(|one| {
        let (requests, refused) = count(one);
        (one.caller.as_deref(), requests, refused)
    });
    one.collect()
}

#[tokio::test]
async fn what_proxies_report_is_added_up_by_the_day_and_forgotten_in_time() {
    let world = World::new().await;
    let many = world.token("many", true).await;
    let joined = world.join(&many, "a").await.unwrap();
    let mesh = joined.mesh;
    let refused = Observation {
        refused: 1,
        ..seen("10.0.0.8", 2)
    };
    world.keep(mesh, &[seen("10.0.0.7", 3), refused]).await;
    world
        .keep(mesh, &[seen("10.0.0.7", 4), seen("10.0.0.9", 0)])
        .await;
    let day = TimeDelta::days(1);
    let expected = [
        (Some("10.0.0.7"), 7, 0),
        (Some("10.0.0.8"), 2, 1),
        (Some("10.0.0.9"), 0, 0),
    ];
    assert_eq!(counts(&world.seen(day).await), expected);
    assert!(world.seen(day).await.iter().all(Seen::gets_in));

    // A port or rule that is not there, and a service: nothing.
    let port = Observation {
        port: name("https"),
        ..seen("10.0.0.7", 1)
    };
    let service = Observation {
        service: name("ledger"),
        ..seen("10.0.0.7", 1)
    };
    let rule = Observation {
        what: What::Rule(AccessRuleId::from_uuid(Uuid::from_u128(5))),
        ..seen("10.0.0.7", 1)
    };
    world.keep(mesh, &[port, service, rule]).await;
    assert_eq!(counts(&world.seen(day).await), expected);

    // The next day counts anew, and what was seen last before some moment is not there from then on.
    world.db.clock.advance(day);
    world.keep(mesh, &[seen("10.0.0.8", 1)]).await;
    let later = world.seen(TimeDelta::hours(1)).await;
    assert_eq!(counts(&later), [(Some("10.0.0.8"), 1, 0)]);
    let both = world.seen(day * 2).await;
    assert_eq!(both.len(), 3);
    assert_eq!((both[1].requests, both[1].refused), (3, 1));
    assert_eq!(both[1].last_seen - both[1].first_seen, day);

    let forget = async || {
        let forgotten = observations::forget(&world.db.store, mesh.org()).await;
        forgotten.unwrap()
    };
    assert_eq!(forget().await, 0);
    world.db.clock.advance(REMEMBER);
    assert_eq!(forget().await, 3);
    assert_eq!(world.seen(REMEMBER).await.len(), 1);
}

#[tokio::test]
async fn sec_d08_no_more_callers_of_a_port_are_told_apart_than_there_is_room_for() {
    let world = World::new().await;
    let many = world.token("many", true).await;
    let mesh = world.join(&many, "a").await.unwrap().mesh;
    let limit = u64::try_from(CALLERS).unwrap();
    // However they come: together or one after the other.
    let crowd: Vec<Observation> = (0..limit - 10)
        .map(|n| seen(&format!("a{n:04}"), 1))
        .collect();
    world.keep(mesh, &crowd).await;
    let crowd: Vec<Observation> = (0..limit).map(|n| seen(&format!("b{n:04}"), 1)).collect();
    world.keep(mesh, &crowd).await;
    world.keep(mesh, &[seen("c", 1), seen("a0000", 1)]).await;
    let seen = world.seen(TimeDelta::days(1)).await;
    assert_eq!(seen.len() as u64, limit + 1);
    let others = seen.iter().find(|one| one.caller.is_none()).unwrap();
    assert_eq!(others.requests, limit - 10 + 1);
    assert_eq!(
        seen.iter().map(|one| one.requests).sum::<u64>(),
        limit * 2 - 10 + 2
    );
}

#[tokio::test]
async fn a_proxy_is_heard_since_it_was_last_silent() {
    let world = World::new().await;
    let many = world.token("many", true).await;
    let joined = world.join(&many, "a").await.unwrap();
    assert_eq!(world.observers().await[0].heard, None);
    let start = world.db.clock.now();
    let keep = async |heard: &Heard| {
        let kept = observations::keep(&world.db.store, &joined.mesh, &[], heard).await;
        kept.unwrap();
        world.observers().await[0].heard.unwrap()
    };
    let told = Heard {
        proxies: vec![joined.proxy],
        with_loss: Vec::new(),
    };
    let heard = async || keep(&told).await;
    assert_eq!(heard().await, (start, start));
    world.db.clock.advance(GAP);
    assert_eq!(heard().await, (start, start + GAP));
    world.db.clock.advance(GAP + TimeDelta::seconds(1));
    let silent = world.db.clock.now();
    assert_eq!(heard().await, (silent, silent));
    // Something that it has told of is not counted.
    world.db.clock.advance(TimeDelta::minutes(1));
    let now = world.db.clock.now();
    let lost = Heard {
        proxies: Vec::new(),
        with_loss: vec![joined.proxy],
    };
    assert_eq!(keep(&lost).await, (now, silent));
    assert_eq!(heard().await, (now, now));

    // It is remembered that it watched when it is not there any more.
    let gone = async || {
        let grant = grant::<ProxyRead>(&world.owner);
        let mut tx = world.db.store.begin(&grant).await.unwrap();
        observations::gone(&mut tx, world.mesh.id, Some(&name("payments")), start)
            .await
            .unwrap()
    };
    assert_eq!(gone().await, []);
    world.forget_proxy(&joined.proxy.to_string()).await;
    assert_eq!(world.observers().await, []);
    let expected = Gone {
        service: name("payments"),
        since: now,
        heard_at: now,
    };
    assert_eq!(gone().await, [expected]);
}

/// Callers in the mesh of a port that was `off` have called as they were told to.
#[tokio::test]
async fn a_call_counts_by_what_its_port_was_a_moment_ago() {
    let world = World::new().await;
    let many = world.token("many", true).await;
    let mesh = world.join(&many, "a").await.unwrap().mesh;
    let day = TimeDelta::days(1);
    // Since the last day, so that each step is seen by itself.
    let what = async || {
        let seen = world.seen(day).await;
        let mut what: Vec<(What, u64)> = seen.iter().map(|one| (one.what, one.requests)).collect();
        what.sort_unstable();
        what
    };
    world.db.clock.advance(SETTLING);
    world.say_mtls("off").await;
    world.keep(mesh, &[seen("10.0.0.7", 1)]).await;
    assert_eq!(what().await, [(What::Off, 1)]);
    world.db.clock.advance(day);
    world.say_mtls("permissive").await;
    world.db.clock.advance(SETTLING - TimeDelta::seconds(1));
    world.keep(mesh, &[seen("10.0.0.7", 1)]).await;
    assert_eq!(what().await, [(What::Off, 1)]);
    world.db.clock.advance(TimeDelta::seconds(1));
    world.keep(mesh, &[seen("10.0.0.7", 1)]).await;
    assert_eq!(what().await, [(What::Permissive, 1), (What::Off, 1)]);
}

#[tokio::test]
async fn sec_c08_who_reports_is_who_the_journal_says_that_a_certificate_was_issued_to() {
    let world = World::new().await;
    let many = world.token("many", true).await;
    let joined = world.join(&many, "a").await.unwrap();
    let mesh = joined.mesh;
    let authority = world.authority().await;
    let row = entry("0a", joined.proxy, authority);
    let recorded = heddle_store::certificates::record(&world.db.store, &mesh, &row).await;
    assert!(recorded.unwrap());
    let who = async |serial: &str, hash: &str| {
        let found = observations::reporter(&world.db.store, &mesh, serial, hash).await;
        found.unwrap()
    };
    let hash = row.tbs_sha256.as_str();
    let known = Some((joined.proxy, name("payments")));
    assert_eq!(who("0a", hash).await, known);
    assert_eq!(who("0b", hash).await, None);
    assert_eq!(
        who("0a", "00").await,
        None,
        "another certificate of that serial"
    );
    world.db.clock.advance(row.not_after - world.db.clock.now());
    assert_eq!(who("0a", hash).await, None, "it has ended");
}
