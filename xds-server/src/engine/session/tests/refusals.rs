//! What follows a NACK: X11 to X13, and answers that never come.

use std::time::Duration;

use super::super::{CloseReason, Event};
use super::{Bench, Kind, short};

#[test]
fn xds_x11_a_refused_resource_stays_away_until_it_changes() {
    let mut b = Bench::new();
    b.set(Kind::Listener, "l", "1");
    b.set(Kind::Cluster, "c", "1");
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    b.subscribe(Kind::Listener, &[]);
    b.expect_ack("cds c@1");
    b.expect_ack("lds l@1");
    b.expect_nothing();
    b.set(Kind::Listener, "l", "bad");
    b.publish();
    let response = b.expect("lds l@bad");
    let events = b.nack(&response, "no such filter");
    assert!(matches!(
        &events[..],
        [Event::Nacked {
            kind: Kind::Listener,
            ..
        }]
    ));
    for _ in 0..60 {
        b.pass(1);
        b.publish();
        b.expect_nothing();
    }
    assert_eq!(
        b.session.pending_types().collect::<Vec<_>>(),
        [Kind::Listener]
    );
    assert_eq!(b.session.synced_revision(), Some(1));
    // Other types go on, and so does this name once its content is another.
    b.set(Kind::Cluster, "c", "2");
    b.publish();
    b.expect_ack("cds c@2");
    b.set(Kind::Listener, "l", "good");
    b.publish();
    b.expect_ack("lds l@good");
    b.expect_nothing();
    assert_eq!(b.session.pending_types().count(), 0);
    assert_eq!(b.session.synced_revision(), Some(64));
}

#[test]
fn xds_x11_going_back_to_the_old_content_is_sent_because_the_state_is_unknown() {
    let mut b = Bench::new();
    b.set(Kind::Listener, "l", "1");
    b.publish();
    b.subscribe(Kind::Listener, &[]);
    b.expect_ack("lds l@1");
    b.set(Kind::Listener, "l", "bad");
    b.publish();
    let response = b.expect("lds l@bad");
    b.nack(&response, "no");
    b.set(Kind::Listener, "l", "1");
    b.publish();
    b.expect_ack("lds l@1");
}

#[test]
fn xds_x11_a_new_subscription_asks_again() {
    let mut b = Bench::new();
    b.set(Kind::Route, "r", "1");
    b.publish();
    b.subscribe(Kind::Route, &["r"]);
    let response = b.expect("rds r@1");
    b.nack(&response, "no");
    b.subscribe(Kind::Route, &["r"]);
    b.expect_nothing();
    b.unsubscribe(Kind::Route, &["r"]);
    b.subscribe(Kind::Route, &["r"]);
    b.expect_ack("rds r@1");
}

/// Plays an Envoy that refuses every response holding one of `bad` and tells who is at fault if `tells`.
fn bisect(count: usize, bad: &[usize], tells: bool) -> usize {
    let mut b = Bench::new();
    let name = |i: usize| format!("c{i:03}.");
    for i in 0..count {
        b.set(Kind::Cluster, &name(i), "1");
    }
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    let mut sent = 0;
    let mut has = std::collections::BTreeSet::new();
    let mut refused = std::collections::BTreeSet::new();
    while let Some(response) = b.poll() {
        sent += 1;
        let names: Vec<_> = response
            .resources
            .iter()
            .map(|r| r.name.to_string())
            .collect();
        let faults: Vec<_> = bad
            .iter()
            .map(|i| name(*i))
            .filter(|n| names.contains(n))
            .collect();
        if faults.is_empty() {
            has.extend(names);
            b.ack(&response);
        } else {
            assert!(
                refused.insert(short(&response)),
                "the same again: {}",
                short(&response)
            );
            let why = if tells {
                faults.join(", ")
            } else {
                "no".to_owned()
            };
            b.nack(&response, &why);
        }
    }
    let expected: Vec<_> = (0..count).filter(|i| !bad.contains(i)).map(name).collect();
    assert_eq!(has.into_iter().collect::<Vec<_>>(), expected);
    let stuck: Vec<_> = b
        .session
        .quarantined()
        .map(|(_, name, _)| name.to_string())
        .collect();
    assert_eq!(stuck, bad.iter().map(|i| name(*i)).collect::<Vec<_>>());
    sent
}

#[test]
fn xds_x13_the_offender_alone_stays_out() {
    for offender in [0, 1, 63, 64, 99] {
        assert!(bisect(100, &[offender], false) <= 16);
        assert_eq!(bisect(100, &[offender], true), 3);
    }
    bisect(100, &[3, 4, 70], false);
    bisect(7, &[0, 1, 2, 3, 4, 5, 6], false);
    assert_eq!(bisect(1, &[0], false), 1);
}

#[test]
fn xds_x12_everything_unproven_is_sent_again_and_a_change_overtakes_it() {
    let mut b = Bench::new();
    for name in ["a", "b", "c", "d"] {
        b.set(Kind::Cluster, name, "1");
    }
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    let response = b.expect("cds a@1 b@1 c@1 d@1");
    b.nack(&response, "no");
    b.set(Kind::Cluster, "b", "2");
    b.publish();
    b.expect_ack("cds a@1");
    b.expect_ack("cds c@1 d@1");
    b.expect_ack("cds b@2");
    b.expect_nothing();
}

#[test]
fn xds_x12_a_removal_in_a_refused_response_is_repeated() {
    let mut b = Bench::new();
    b.set(Kind::Listener, "old", "1");
    b.publish();
    b.subscribe(Kind::Listener, &[]);
    b.expect_ack("lds old@1");
    b.drop(Kind::Listener, "old");
    b.set(Kind::Listener, "new", "1");
    b.publish();
    let response = b.expect("lds new@1 -old");
    b.nack(&response, "no");
    let again = b.expect("lds -old");
    b.nack(&again, "not that either");
    b.expect_nothing();
}

#[test]
fn a_refusal_survives_a_reconnect_unless_the_client_starts_afresh() {
    let mut b = Bench::new();
    b.set(Kind::Listener, "l", "1");
    b.publish();
    b.subscribe(Kind::Listener, &[]);
    let response = b.expect("lds l@1");
    b.nack(&response, "no");
    let refused = |b: &Bench| -> Vec<_> {
        let all = b.session.quarantined();
        all.map(|(kind, name, why)| (kind, name.clone(), why.clone()))
            .collect()
    };
    let kept = refused(&b);
    b.reconnect();
    b.session.restore_quarantine(kept.clone());
    b.resume(Kind::Listener, &[], &[("l", "0")]);
    b.expect_nothing();
    assert_eq!(refused(&b).len(), 1);
    b.reconnect();
    b.session.restore_quarantine(kept);
    b.subscribe(Kind::Listener, &[]);
    b.expect_ack("lds l@1");
    assert_eq!(refused(&b).len(), 0);
}

#[test]
fn an_answer_that_never_comes_ends_the_stream() {
    let mut b = Bench::new();
    b.set(Kind::Cluster, "a", "1");
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    b.expect("cds a@1");
    let deadline = b.session.next_deadline(b.now).unwrap();
    assert_eq!(deadline - b.now, Duration::from_secs(60));
    b.pass(59);
    assert_eq!(b.session.expired(b.now), None);
    b.pass(1);
    assert_eq!(b.session.expired(b.now), Some(CloseReason::AnswerTimeout));
}
