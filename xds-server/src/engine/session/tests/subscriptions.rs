//! Nonces, wildcards, names: X04 to X10, X15 to X25, X41, X50.

use std::collections::BTreeSet;

use super::super::{CloseReason, Event};
use super::{Bench, Kind, Request, owned, short};

#[test]
fn xds_x04_an_unknown_type_harms_no_other() {
    let mut b = Bench::new();
    b.set(Kind::Cluster, "a", "1");
    b.publish();
    let request = Request {
        type_url: "type.googleapis.com/envoy.nobody.knows".into(),
        subscribe: owned(&["x"]),
        ..Request::default()
    };
    let events = b.session.on_request(&request).unwrap();
    assert!(matches!(&events[..], [Event::UnknownType(_)]));
    b.expect_nothing();
    b.subscribe(Kind::Cluster, &[]);
    b.expect_ack("cds a@1");
}

#[test]
fn xds_x06_nonces_are_unique_within_a_stream() {
    let mut b = Bench::new();
    b.set(Kind::Cluster, "a", "1");
    b.set(Kind::Listener, "l", "1");
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    b.subscribe(Kind::Listener, &[]);
    let mut nonces = BTreeSet::new();
    for version in 2..20 {
        while let Some(response) = b.poll() {
            assert!(nonces.insert(response.nonce.clone()));
            b.ack(&response);
        }
        b.set(Kind::Cluster, "a", &version.to_string());
        b.publish();
    }
    assert_eq!(nonces.len(), 19);
}

#[test]
fn xds_x07_only_error_detail_refuses() {
    let mut b = Bench::new();
    b.set(Kind::Cluster, "a", "1");
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    let response = b.expect("cds a@1");
    // An answer whose versions look old, but without an error, is an ACK.
    let events = b.request(Kind::Cluster, |r| {
        r.nonce = response.nonce.clone();
        r.initial_versions.insert("a".into(), "0".into());
    });
    assert!(matches!(&events[..], [Event::Acked(Kind::Cluster)]));
    b.expect_nothing();
}

#[test]
fn xds_x09_a_stale_nonce_keeps_its_subscription_change() {
    let mut b = Bench::new();
    b.set(Kind::Endpoints, "a", "1");
    b.set(Kind::Endpoints, "b", "1");
    b.publish();
    b.subscribe(Kind::Endpoints, &["a"]);
    let first = b.expect("eds a@1");
    let events = b.request(Kind::Endpoints, |r| {
        r.nonce = "from another stream".into();
        r.error = Some("not about this one".into());
        r.subscribe = owned(&["b"]);
    });
    assert!(events.is_empty());
    b.expect_nothing();
    b.ack(&first);
    b.expect_ack("eds b@1");
    assert_eq!(b.session.quarantined().count(), 0);
}

#[test]
fn xds_x10_an_ack_is_not_answered() {
    let mut b = Bench::new();
    b.set(Kind::Cluster, "a", "1");
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    b.expect_ack("cds a@1");
    b.expect_nothing();
    b.publish();
    b.expect_nothing();
}

#[test]
fn xds_x15_a_response_names_the_revision() {
    let mut b = Bench::new();
    b.publish();
    b.set(Kind::Cluster, "a", "1");
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    assert_eq!(b.expect("cds a@1").revision, 2);
}

#[test]
fn xds_x16_an_empty_first_request_means_all_for_clusters_and_listeners_only() {
    let mut b = Bench::new();
    for kind in Kind::ALL {
        b.set(kind, "a", "1");
    }
    b.publish();
    for kind in Kind::ALL {
        b.subscribe(kind, &[]);
    }
    b.expect_ack("cds a@1");
    b.expect_ack("lds a@1");
    b.expect_nothing();
}

#[test]
fn xds_x16_an_empty_wildcard_is_answered_at_once() {
    let mut b = Bench::new();
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    b.expect_ack("cds");
    b.expect_nothing();
}

#[test]
fn xds_x17_wildcard_and_names_in_four_steps() {
    let mut b = Bench::new();
    b.set(Kind::Cluster, "a", "1");
    b.set(Kind::Cluster, "b", "1");
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    b.expect_ack("cds a@1 b@1");
    // A name beside the wildcard is answered, the wildcard goes on.
    b.subscribe(Kind::Cluster, &["a"]);
    b.expect_ack("cds a@1");
    b.set(Kind::Cluster, "b", "2");
    b.publish();
    b.expect_ack("cds b@2");
    // Without the wildcard only the name is left.
    b.unsubscribe(Kind::Cluster, &["*"]);
    b.set(Kind::Cluster, "a", "2");
    b.set(Kind::Cluster, "b", "3");
    b.publish();
    b.expect_ack("cds a@2");
    // Without the name nothing is left: an empty subscription is no wildcard any more.
    b.unsubscribe(Kind::Cluster, &["a"]);
    b.subscribe(Kind::Cluster, &[]);
    b.set(Kind::Cluster, "a", "3");
    b.publish();
    b.expect_nothing();
}

#[test]
fn xds_x17_an_explicit_wildcard_works_for_every_type() {
    let mut b = Bench::new();
    b.set(Kind::Route, "a", "1");
    b.publish();
    b.subscribe(Kind::Route, &["*"]);
    b.expect_ack("rds a@1");
    b.set(Kind::Route, "b", "1");
    b.publish();
    b.expect_ack("rds b@1");
}

#[test]
fn xds_x18_every_subscribed_name_is_answered_even_if_held() {
    let mut b = Bench::new();
    b.set(Kind::Endpoints, "a", "1");
    b.publish();
    b.subscribe(Kind::Endpoints, &["a"]);
    b.expect_ack("eds a@1");
    b.subscribe(Kind::Endpoints, &["a"]);
    b.expect_ack("eds a@1");
    b.expect_nothing();
}

#[test]
fn xds_x19_unsubscribe_and_resubscribe_resends() {
    let mut b = Bench::new();
    b.set(Kind::Endpoints, "a", "1");
    b.publish();
    b.subscribe(Kind::Endpoints, &["a"]);
    let first = b.expect("eds a@1");
    // Even when both happen before the first answer is acknowledged.
    b.unsubscribe(Kind::Endpoints, &["a"]);
    b.subscribe(Kind::Endpoints, &["a"]);
    b.ack(&first);
    b.expect_ack("eds a@1");
    b.expect_nothing();
}

#[test]
fn xds_x20_unsubscribing_is_answered_only_under_a_wildcard() {
    let mut b = Bench::new();
    b.set(Kind::Endpoints, "a", "1");
    b.set(Kind::Listener, "l", "1");
    b.publish();
    b.subscribe(Kind::Endpoints, &["a"]);
    b.expect_ack("eds a@1");
    b.unsubscribe(Kind::Endpoints, &["a", "never heard of"]);
    b.set(Kind::Endpoints, "a", "2");
    b.publish();
    b.expect_nothing();

    b.subscribe(Kind::Listener, &["*", "l", "gone"]);
    b.expect_ack("lds l@1 -gone");
    b.unsubscribe(Kind::Listener, &["l", "gone"]);
    b.expect_ack("lds l@1 -gone");
    b.expect_nothing();
}

#[test]
fn xds_x21_an_unknown_name_is_denied_once_and_watched() {
    let mut b = Bench::new();
    b.publish();
    b.subscribe(Kind::Endpoints, &["a"]);
    b.expect_ack("eds -a");
    b.publish();
    b.expect_nothing();
    b.set(Kind::Endpoints, "a", "1");
    b.publish();
    b.expect_ack("eds a@1");
}

#[test]
fn xds_x22_what_is_not_in_the_view_does_not_exist() {
    let mut b = Bench::with_own(&[(Kind::Secret, "me")]);
    b.set(Kind::Secret, "trust", "1");
    b.publish();
    b.subscribe(Kind::Secret, &["trust", "somebody else"]);
    b.expect_ack("sds trust@1 -somebody else");
}

#[test]
fn xds_x23_a_name_comes_once() {
    let mut b = Bench::new();
    b.set(Kind::Endpoints, "a", "1");
    b.publish();
    b.subscribe(Kind::Endpoints, &["a", "a", "*", "b", "b"]);
    assert_eq!(short(&b.poll().unwrap()), "eds a@1 -b");
}

#[test]
fn xds_x25_a_deleted_resource_is_listed_as_removed() {
    let mut b = Bench::new();
    b.set(Kind::Listener, "l", "1");
    b.publish();
    b.subscribe(Kind::Listener, &[]);
    b.expect_ack("lds l@1");
    b.drop(Kind::Listener, "l");
    b.publish();
    b.expect_ack("lds -l");
    b.expect_nothing();
}

#[test]
fn xds_x40_a_large_answer_is_split() {
    let mut b = Bench::new();
    b.session.limits.response_bytes = 100;
    for name in ["a", "b", "c", "d", "e"] {
        b.set(Kind::Cluster, name, &"v".repeat(40));
    }
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    let mut names = Vec::new();
    while let Some(response) = b.poll() {
        assert!(response.resources.len() <= 2);
        names.extend(response.resources.iter().map(|r| r.name.to_string()));
        b.ack(&response);
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[test]
fn xds_x41_requests_have_limits() {
    let mut b = Bench::new();
    b.session.limits.names_per_request = 3;
    b.session.limits.names_per_type = 5;
    let mut ask = |subscribe: Vec<String>| {
        let request = Request {
            type_url: Kind::Endpoints.type_url().into(),
            subscribe,
            ..Request::default()
        };
        b.session.on_request(&request).map(|_| ())
    };
    assert_eq!(
        ask(owned(&["1", "2", "3", "4"])),
        Err(CloseReason::TooManyNames)
    );
    assert_eq!(ask(vec!["n".repeat(513)]), Err(CloseReason::NameTooLong));
    assert_eq!(ask(owned(&["1", "2", "3"])), Ok(()));
    assert_eq!(ask(owned(&["4", "5", "6"])), Err(CloseReason::TooManyNames));
}

#[test]
fn xds_x50_nothing_is_answered_before_the_first_view() {
    let mut b = Bench::new();
    b.subscribe(Kind::Cluster, &[]);
    b.subscribe(Kind::Endpoints, &["a"]);
    b.expect_nothing();
    b.set(Kind::Cluster, "c", "1");
    b.publish();
    b.expect_ack("cds c@1");
    b.expect_ack("eds -a");
}

#[test]
fn xds_x37_emptied_endpoints_are_sent_and_withdrawn_ones_wait_for_their_cluster() {
    let mut b = Bench::new();
    b.put(super::resource(Kind::Cluster, "a", "1").followed_by(Kind::Endpoints, "a"));
    b.set(Kind::Endpoints, "a", "one");
    b.publish();
    b.subscribe(Kind::Cluster, &[]);
    b.expect_ack("cds a@1");
    b.subscribe(Kind::Endpoints, &["a"]);
    b.expect_ack("eds a@one");
    b.set(Kind::Endpoints, "a", "empty");
    b.publish();
    b.expect_ack("eds a@empty");
    b.drop(Kind::Endpoints, "a");
    b.publish();
    b.expect_nothing();
}
