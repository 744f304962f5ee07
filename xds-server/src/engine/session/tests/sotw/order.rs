//! Make before break, where a removal is an absence.

use std::sync::Arc;

use super::super::super::Own;
use super::{Client, Kind, resource};

fn mesh(c: &mut Client, service: &str, version: &str) {
    c.put(resource(Kind::Cluster, service, version).followed_by(Kind::Endpoints, service));
    c.set(Kind::Endpoints, service, version);
}

fn route(c: &mut Client, version: &str, clusters: &[&str]) {
    let needs = clusters.iter().map(|name| Arc::from(*name));
    c.put(resource(Kind::Route, "out", version).needing(needs));
}

/// A client that has everything of service `a`.
fn started() -> Client {
    let mut c = Client::new();
    mesh(&mut c, "a", "1");
    c.put(resource(Kind::Listener, "out", "1").followed_by(Kind::Route, "out"));
    route(&mut c, "1", &["a"]);
    c.publish();
    c.want(Kind::Cluster, &[]);
    c.expect_ack("cds a@1");
    c.want(Kind::Endpoints, &["a"]);
    c.expect_ack("eds a@1");
    c.want(Kind::Listener, &[]);
    c.expect_ack("lds out@1");
    c.want(Kind::Route, &["out"]);
    c.expect_ack("rds out@1");
    c.expect_nothing();
    assert_eq!(c.session.synced_revision(), Some(1));
    c
}

#[test]
fn xds_x30_sotw_types_come_in_order() {
    let mut c = Client::new();
    for kind in Kind::ALL {
        c.set(kind, "x", "1");
    }
    c.publish();
    for kind in Kind::ALL.into_iter().rev() {
        c.want(kind, &["x"]);
    }
    for kind in ["cds", "eds", "lds", "rds", "sds"] {
        c.expect(&format!("{kind} x@1"));
    }
}

#[test]
fn xds_x31_sotw_only_changed_clusters_are_followed_by_their_endpoints() {
    let mut c = started();
    mesh(&mut c, "b", "1");
    c.publish();
    let cds = c.expect("cds a@1 b@1");
    c.want(Kind::Endpoints, &["a", "b"]);
    c.expect_ack("eds b@1");
    c.ack(&cds);
    c.expect_nothing();
    c.put(resource(Kind::Cluster, "a", "2").followed_by(Kind::Endpoints, "a"));
    c.publish();
    let cds = c.expect("cds a@2 b@1");
    c.expect_ack("eds a@1");
    c.ack(&cds);
    c.expect_nothing();
}

#[test]
fn xds_x32_sotw_routes_wait_for_new_clusters() {
    let mut c = started();
    mesh(&mut c, "b", "1");
    route(&mut c, "2", &["a", "b"]);
    c.publish();
    let cds = c.expect("cds a@1 b@1");
    c.expect_nothing();
    c.want(Kind::Endpoints, &["a", "b"]);
    c.expect_ack("eds b@1");
    c.expect_nothing();
    c.ack(&cds);
    c.expect_ack("rds out@2");
    c.expect_nothing();
}

#[test]
fn xds_x33_sotw_a_removed_cluster_stays_in_every_response_until_its_routes_are_gone() {
    let mut c = started();
    mesh(&mut c, "b", "1");
    route(&mut c, "2", &["b"]);
    c.drop(Kind::Cluster, "a");
    c.drop(Kind::Endpoints, "a");
    c.publish();
    // It is not in the view any more, and still here.
    c.expect_ack("cds a@1 b@1");
    let rds = c.expect("rds out@2");
    c.pass(30);
    c.expect_nothing();
    c.ack(&rds);
    c.expect_nothing();
    assert_eq!(c.session.synced_revision(), Some(2));
    c.pass(5);
    let cds = c.expect_ack("cds b@1 -a");
    assert_eq!(cds.resources.len(), 1);
    c.expect_nothing();
    assert_eq!(c.session.pending_types().count(), 0);
}

#[test]
fn xds_x34_sotw_one_response_in_flight_and_the_newest_state_next() {
    let mut c = started();
    c.set(Kind::Cluster, "a", "2");
    c.publish();
    let first = c.expect("cds a@2");
    for version in ["3", "4"] {
        c.set(Kind::Cluster, "a", version);
        c.publish();
        c.expect_nothing();
    }
    c.ack(&first);
    c.expect_ack("cds a@4");
    c.expect_nothing();
}

#[test]
fn xds_x38_sotw_trust_comes_before_an_identity() {
    let mut c = Client::with_own(&[(Kind::Secret, "identity")]);
    c.set(Kind::Secret, "trust", "1");
    c.publish();
    c.want(Kind::Secret, &["identity", "trust"]);
    c.expect_ack("sds trust@1");
    let leaf = |version: &str| Own::Issued(Arc::new(resource(Kind::Secret, "identity", version)));
    c.session.set_own(Kind::Secret, "identity", leaf("s1"));
    c.expect_ack("sds identity@s1");
    c.set(Kind::Secret, "trust", "2");
    c.publish();
    c.session.set_own(Kind::Secret, "identity", leaf("s2"));
    c.expect_ack("sds trust@2 identity@s2");
    c.expect_nothing();
}
