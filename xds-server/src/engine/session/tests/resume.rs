//! New streams of clients that already have something: X26 to X29, and the subscriber's own resources.

use std::sync::Arc;

use super::super::{Event, Own};
use super::{Bench, Kind, resource};

#[test]
fn xds_x26_only_what_differs_is_sent() {
    let mut b = Bench::new();
    for name in ["same", "changed", "new"] {
        b.set(Kind::Listener, name, "2");
    }
    b.publish();
    b.resume(
        Kind::Listener,
        &[],
        &[("same", "2"), ("changed", "1"), ("gone", "1")],
    );
    b.expect_ack("lds changed@2 new@2 -gone");
    b.expect_nothing();
}

#[test]
fn xds_x26_unchanged_means_nothing_at_all_is_sent_for_a_wildcard() {
    let mut b = Bench::new();
    b.set(Kind::Cluster, "a", "1");
    b.set(Kind::Listener, "l", "1");
    b.publish();
    b.resume(Kind::Cluster, &[], &[("a", "1")]);
    b.resume(Kind::Listener, &[], &[("l", "1")]);
    b.expect_nothing();
    assert!(b.session.holds_all(Kind::Listener));
    assert_eq!(b.session.synced_revision(), Some(1));
    b.set(Kind::Listener, "l", "2");
    b.publish();
    b.expect_ack("lds l@2");
}

#[test]
fn xds_x26_wrong_versions_are_mended() {
    let mut b = Bench::new();
    b.set(Kind::Endpoints, "a", "1");
    b.publish();
    b.resume(
        Kind::Endpoints,
        &["a", "b"],
        &[("a", "junk"), ("b", "junk"), ("c", "junk")],
    );
    b.pass(20);
    b.expect_ack("eds a@1");
    // What the client has but nobody has any more goes last (X33); nobody routes here.
    b.expect_nothing();
    b.pass(5);
    b.expect_ack("eds -b");
    b.expect_nothing();
}

#[test]
fn xds_x28_a_resumed_name_is_answered_emptily() {
    let mut b = Bench::new();
    b.set(Kind::Endpoints, "a", "1");
    b.publish();
    b.resume(Kind::Endpoints, &["a"], &[("a", "1")]);
    b.expect_ack("eds");
    b.expect_nothing();
}

#[test]
fn xds_x31_a_cluster_that_changed_while_the_client_was_away_gets_its_endpoints_anyway() {
    let mut b = Bench::new();
    b.put(resource(Kind::Cluster, "a", "2").followed_by(Kind::Endpoints, "a"));
    b.set(Kind::Endpoints, "a", "1");
    b.publish();
    // Asked for in Envoy's order: the cluster's answer is on its way before the endpoints are mentioned.
    b.resume(Kind::Cluster, &[], &[("a", "1")]);
    let cds = b.expect("cds a@2");
    b.resume(Kind::Endpoints, &["a"], &[("a", "1")]);
    b.expect_ack("eds a@1");
    b.ack(&cds);
    b.expect_nothing();
}

#[test]
fn xds_x29_endpoints_of_a_cluster_deleted_meanwhile_are_denied_at_once() {
    let mut b = Bench::new();
    b.publish();
    b.resume(Kind::Cluster, &[], &[("a", "1")]);
    b.subscribe(Kind::Endpoints, &["a"]);
    b.expect_ack("eds -a");
}

#[test]
fn xds_x33_a_resumed_cluster_waits_for_routes_that_are_still_to_be_asked_for() {
    let mut b = Bench::new();
    b.set(Kind::Route, "out", "2");
    b.publish();
    b.resume(Kind::Cluster, &[], &[("a", "1")]);
    b.expect_nothing();
    b.pass(1);
    b.resume(Kind::Listener, &[], &[]);
    b.resume(Kind::Route, &["out"], &[("out", "1")]);
    b.expect_ack("lds");
    let rds = b.expect("rds out@2");
    b.pass(10);
    b.expect_nothing();
    b.ack(&rds);
    b.expect_nothing();
    b.pass(5);
    b.expect_ack("cds -a");
}

const ME: (Kind, &str) = (Kind::Secret, "me");

fn wanted(events: &[Event]) -> Vec<Option<String>> {
    let held = |event: &Event| match event {
        Event::Wanted { held, .. } => Some(held.as_ref().map(ToString::to_string)),
        _ => None,
    };
    events.iter().filter_map(held).collect()
}

fn leaf(version: &str) -> Own {
    Own::Issued(Arc::new(resource(ME.0, ME.1, version)))
}

#[test]
fn an_own_resource_is_asked_for_once_and_awaited() {
    let mut b = Bench::with_own(&[ME]);
    b.publish();
    assert_eq!(wanted(&b.subscribe(ME.0, &[ME.1])), [None]);
    b.expect_nothing();
    assert_eq!(
        b.session.pending_types().collect::<Vec<_>>(),
        [Kind::Secret]
    );
    assert_eq!(wanted(&b.subscribe(ME.0, &["other"])), []);
    b.expect_ack("sds -other");
    b.session.set_own(ME.0, ME.1, leaf("s1"));
    b.expect_ack("sds me@s1");
    b.session.set_own(ME.0, ME.1, leaf("s2"));
    b.expect_ack("sds me@s2");
    // Asked for again, it is sent again, without a new one.
    assert_eq!(wanted(&b.subscribe(ME.0, &[ME.1])), []);
    b.expect_ack("sds me@s2");
    b.expect_nothing();
}

#[test]
fn a_resumed_own_resource_that_is_current_is_not_resent() {
    let mut b = Bench::with_own(&[ME]);
    b.publish();
    let events = b.request(ME.0, |r| {
        r.subscribe = super::owned(&[ME.1]);
        r.initial_versions.insert(ME.1.into(), "s1".into());
    });
    assert_eq!(wanted(&events), [Some("s1".to_owned())]);
    b.expect_nothing();
    b.session.set_own(ME.0, ME.1, Own::Held);
    b.expect_ack("sds");
    b.expect_nothing();
    assert_eq!(b.session.pending_types().count(), 0);
    // Asked for anew, its content is needed, which nobody kept.
    assert_eq!(wanted(&b.subscribe(ME.0, &[ME.1])), [None]);
    b.session.set_own(ME.0, ME.1, leaf("s2"));
    b.expect_ack("sds me@s2");
}

#[test]
fn sec_p08_a_wildcard_of_secrets_means_ones_own() {
    let mut b = Bench::with_own(&[ME]);
    b.set(Kind::Secret, "trust", "1");
    b.publish();
    assert_eq!(wanted(&b.subscribe(ME.0, &["*"])), [None]);
    b.expect_ack("sds trust@1");
    b.session.set_own(ME.0, ME.1, leaf("s1"));
    b.expect_ack("sds me@s1");
    b.expect_nothing();
}
