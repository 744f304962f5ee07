//! Make before break: X30 to X34, X38.

use std::sync::Arc;

use super::super::Own;
use super::{Bench, Kind, resource};

/// A mesh of one service: a cluster with endpoints, a listener and a route to the cluster.
fn mesh(b: &mut Bench, service: &str, version: &str) {
    b.put(resource(Kind::Cluster, service, version).followed_by(Kind::Endpoints, service));
    b.set(Kind::Endpoints, service, version);
}

fn route(b: &mut Bench, version: &str, clusters: &[&str]) {
    let needs = clusters.iter().map(|name| Arc::from(*name));
    b.put(resource(Kind::Route, "out", version).needing(needs));
}

/// A client that has everything of service `a`.
fn started() -> Bench {
    let mut b = Bench::new();
    mesh(&mut b, "a", "1");
    b.put(resource(Kind::Listener, "out", "1").followed_by(Kind::Route, "out"));
    route(&mut b, "1", &["a"]);
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    b.expect_ack("cds a@1");
    b.subscribe(Kind::Endpoints, &["a"]);
    b.expect_ack("eds a@1");
    b.subscribe(Kind::Listener, &[]);
    b.expect_ack("lds out@1");
    assert_eq!(
        b.session.synced_revision(),
        None,
        "routes were not asked for yet"
    );
    b.subscribe(Kind::Route, &["out"]);
    b.expect_ack("rds out@1");
    b.expect_nothing();
    assert_eq!(b.session.synced_revision(), Some(1));
    b
}

#[test]
fn xds_x30_types_come_in_order() {
    let mut b = Bench::with_own(&[]);
    for kind in Kind::ALL {
        b.set(kind, "x", "1");
    }
    b.publish();
    for kind in Kind::ALL.into_iter().rev() {
        b.subscribe(kind, &["x"]);
    }
    for kind in ["cds", "eds", "lds", "rds", "sds"] {
        b.expect(&format!("{kind} x@1"));
    }
}

#[test]
fn xds_x31_a_changed_cluster_is_followed_by_its_endpoints() {
    let mut b = started();
    mesh(&mut b, "a", "1");
    b.put(resource(Kind::Cluster, "a", "2").followed_by(Kind::Endpoints, "a"));
    b.publish();
    let cds = b.expect("cds a@2");
    // Not after the ACK, which Envoy gives only once the cluster is warm.
    b.expect_ack("eds a@1");
    b.ack(&cds);
    b.expect_nothing();
}

#[test]
fn xds_x31_a_changed_listener_is_followed_by_its_routes() {
    let mut b = started();
    b.put(resource(Kind::Listener, "out", "2").followed_by(Kind::Route, "out"));
    b.publish();
    b.expect_ack("lds out@2");
    b.expect_ack("rds out@1");
    b.expect_nothing();
}

#[test]
fn xds_x32_routes_wait_for_the_ack_of_new_clusters() {
    let mut b = started();
    mesh(&mut b, "b", "1");
    route(&mut b, "2", &["a", "b"]);
    b.publish();
    let cds = b.expect("cds b@1");
    b.expect_nothing();
    // Endpoints never wait.
    b.subscribe(Kind::Endpoints, &["b"]);
    b.expect_ack("eds b@1");
    b.expect_nothing();
    b.ack(&cds);
    b.expect_ack("rds out@2");
    b.expect_nothing();
}

#[test]
fn xds_x32_but_not_for_ever() {
    let mut b = started();
    mesh(&mut b, "b", "1");
    route(&mut b, "2", &["b"]);
    b.publish();
    b.expect("cds b@1");
    b.expect_nothing();
    let deadline = b.session.next_deadline(b.now).unwrap();
    assert_eq!((deadline - b.now).as_secs(), 20);
    b.pass(20);
    b.expect_ack("rds out@2");
    b.expect_nothing();
}

#[test]
fn xds_x32_a_known_cluster_holds_nothing_up() {
    let mut b = started();
    b.put(resource(Kind::Cluster, "a", "2").followed_by(Kind::Endpoints, "a"));
    route(&mut b, "2", &["a", "does not exist"]);
    b.publish();
    b.expect("cds a@2");
    b.expect("eds a@1");
    b.expect("rds out@2");
}

#[test]
fn xds_x33_a_removed_cluster_outlives_its_routes() {
    let mut b = started();
    mesh(&mut b, "b", "1");
    route(&mut b, "2", &["b"]);
    b.drop(Kind::Cluster, "a");
    b.drop(Kind::Endpoints, "a");
    b.publish();
    b.expect_ack("cds b@1");
    let rds = b.expect("rds out@2");
    b.pass(30);
    b.expect_nothing();
    b.ack(&rds);
    b.expect_nothing();
    assert_eq!(
        b.session.synced_revision(),
        Some(2),
        "what is left is only cleaning up"
    );
    b.pass(4);
    b.expect_nothing();
    let deadline = b.session.next_deadline(b.now).unwrap();
    assert_eq!((deadline - b.now).as_secs(), 1);
    b.pass(1);
    let cds = b.expect("cds -a");
    b.expect_nothing();
    assert_eq!(b.session.pending_types().count(), 0);
    // Envoy drops the endpoints' subscription with the cluster.
    b.unsubscribe(Kind::Endpoints, &["a"]);
    b.ack(&cds);
    b.expect_nothing();
}

#[test]
fn xds_x33_endpoints_go_after_their_cluster() {
    let mut b = started();
    route(&mut b, "2", &[]);
    b.drop(Kind::Cluster, "a");
    b.drop(Kind::Endpoints, "a");
    b.publish();
    b.expect_ack("rds out@2");
    b.expect_nothing();
    b.pass(5);
    let cds = b.expect("cds -a");
    b.expect_nothing();
    b.ack(&cds);
    b.expect_ack("eds -a");
    b.expect_nothing();
}

#[test]
fn xds_x33_a_cluster_that_comes_back_is_not_removed() {
    let mut b = started();
    b.drop(Kind::Cluster, "a");
    b.publish();
    b.expect_nothing();
    b.pass(4);
    mesh(&mut b, "a", "1");
    b.publish();
    b.pass(10);
    b.expect_nothing();
}

#[test]
fn xds_x33_a_refused_route_keeps_the_clusters_of_the_old_one() {
    let mut b = started();
    route(&mut b, "bad", &[]);
    b.drop(Kind::Cluster, "a");
    b.publish();
    let rds = b.expect("rds out@bad");
    b.nack(&rds, "no");
    b.pass(60);
    b.expect_nothing();
    route(&mut b, "good", &[]);
    b.publish();
    b.expect_ack("rds out@good");
    b.expect_nothing();
    b.pass(5);
    b.expect_ack("cds -a");
}

#[test]
fn xds_x33_steady_change_does_not_keep_a_removed_cluster_for_ever() {
    let mut b = started();
    b.drop(Kind::Cluster, "a");
    route(&mut b, "r", &[]);
    b.publish();
    let mut removed = None;
    let mut in_flight = b.expect("rds out@r");
    for second in 0..12 {
        route(&mut b, &second.to_string(), &[]);
        b.publish();
        b.ack(&in_flight);
        in_flight = b.expect(&format!("rds out@{second}"));
        b.pass(1);
        if let Some(response) = b.poll() {
            assert_eq!(super::short(&response), "cds -a");
            b.ack(&response);
            removed = Some(second);
        }
    }
    assert!(removed.is_some());
}

#[test]
fn xds_x34_one_response_in_flight_and_the_newest_state_next() {
    let mut b = started();
    b.set(Kind::Endpoints, "a", "2");
    b.publish();
    let first = b.expect("eds a@2");
    for version in ["3", "4", "5"] {
        b.set(Kind::Endpoints, "a", version);
        b.publish();
        b.expect_nothing();
    }
    b.ack(&first);
    b.expect_ack("eds a@5");
    b.expect_nothing();
}

#[test]
fn xds_x38_trust_comes_before_an_identity() {
    let mut b = Bench::with_own(&[(Kind::Secret, "identity")]);
    b.set(Kind::Secret, "trust", "1");
    b.publish();
    b.subscribe(Kind::Secret, &["identity", "trust"]);
    b.expect_ack("sds trust@1");
    let leaf = |version: &str| Own::Issued(Arc::new(resource(Kind::Secret, "identity", version)));
    b.session.set_own(Kind::Secret, "identity", leaf("s1"));
    b.expect_ack("sds identity@s1");
    b.set(Kind::Secret, "trust", "2");
    b.publish();
    b.session.set_own(Kind::Secret, "identity", leaf("s2"));
    b.expect_ack("sds trust@2 identity@s2");
    b.expect_nothing();
}

#[test]
fn xds_x44_hundreds_of_names_of_every_type_in_flight_block_nothing() {
    for protocol in [super::Protocol::Delta, super::Protocol::Sotw] {
        let mut b = Bench::speaking(protocol, &[]);
        let names: Vec<String> = (0..300).map(|n| format!("n{n}")).collect();
        for kind in Kind::ALL {
            for name in &names {
                b.set(kind, name, "1");
            }
        }
        b.publish();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut flights = Vec::new();
        for kind in Kind::ALL.into_iter().rev() {
            b.ask(kind, &names);
            let response = b.poll().unwrap();
            assert_eq!((response.kind, response.resources.len()), (kind, 300));
            flights.push(response);
        }
        b.expect_nothing();
        for response in &flights {
            b.settle(response, &names);
        }
        b.expect_nothing();
        assert_eq!(b.session.pending_types().count(), 0);
    }
}

#[test]
fn xds_x42_x49_changes_without_end_cost_a_client_that_does_not_answer_one_name() {
    for protocol in [super::Protocol::Delta, super::Protocol::Sotw] {
        let mut b = Bench::speaking(protocol, &[]);
        b.set(Kind::Endpoints, "a", "0");
        b.publish();
        b.ask(Kind::Endpoints, &["a"]);
        let mut last = b.poll().unwrap();
        for round in 0..20 {
            for change in 1..=1_000 {
                b.set(Kind::Endpoints, "a", &format!("{round}.{change}"));
                b.publish();
                assert!(b.poll().is_none());
            }
            assert_eq!(b.session.tracks[Kind::Endpoints.index()].dirty.len(), 1);
            b.settle(&last, &["a"]);
            last = b.poll().unwrap();
            assert_eq!(*last.resources[0].version, *format!("{round}.1000"));
        }
    }
}
