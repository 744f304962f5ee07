//! Nonces, wildcards, names.

use super::super::super::CloseReason;
use super::{Client, Event, Kind, StateRequest, owned};

#[test]
fn xds_x04_sotw_an_unknown_type_harms_no_other() {
    let mut c = Client::new();
    c.set(Kind::Cluster, "a", "1");
    c.publish();
    let request = StateRequest {
        type_url: "type.googleapis.com/envoy.nobody.knows".into(),
        names: owned(&["x"]),
        ..StateRequest::default()
    };
    let events = c.session.on_state_request(&request).unwrap();
    assert!(matches!(&events[..], [Event::UnknownType(_)]));
    c.expect_nothing();
    c.want(Kind::Cluster, &[]);
    c.expect_ack("cds a@1");
}

#[test]
fn xds_x06_x10_sotw_nonces_differ_and_an_ack_is_not_answered() {
    let mut c = Client::new();
    c.set(Kind::Cluster, "a", "1");
    c.set(Kind::Listener, "l", "1");
    c.publish();
    c.want(Kind::Cluster, &[]);
    c.want(Kind::Listener, &[]);
    let one = c.expect_ack("cds a@1");
    let two = c.expect_ack("lds l@1");
    c.expect_nothing();
    c.set(Kind::Cluster, "a", "2");
    c.publish();
    let three = c.expect_ack("cds a@2");
    c.expect_nothing();
    assert_ne!(one.nonce, two.nonce);
    assert_ne!(one.nonce, three.nonce);
    c.publish();
    c.expect_nothing();
}

#[test]
fn xds_x07_sotw_only_error_detail_refuses() {
    let mut c = Client::new();
    c.set(Kind::Cluster, "a", "1");
    c.publish();
    c.want(Kind::Cluster, &[]);
    let response = c.expect("cds a@1");
    // The version is not the one of the response, and yet nothing is refused.
    let request = StateRequest {
        type_url: Kind::Cluster.type_url().into(),
        nonce: response.nonce,
        version: "older".into(),
        ..StateRequest::default()
    };
    let events = c.session.on_state_request(&request).unwrap();
    assert!(matches!(&events[..], [Event::Acked(Kind::Cluster)]));
    c.expect_nothing();
}

#[test]
fn xds_x08_a_stale_request_is_not_answered_and_its_names_are_not_lost() {
    let mut c = Client::new();
    for name in ["a", "b"] {
        c.set(Kind::Endpoints, name, "1");
    }
    c.publish();
    c.want(Kind::Endpoints, &["a"]);
    c.expect_ack("eds a@1");
    c.set(Kind::Endpoints, "a", "2");
    c.publish();
    let crossing = c.expect("eds a@2");
    // It asks for more before it has read that.
    c.want(Kind::Endpoints, &["a", "b"]);
    c.expect_nothing();
    c.ack(&crossing);
    c.expect_ack("eds b@1");
    c.expect_nothing();
}

#[test]
fn xds_x08_a_nonce_from_long_ago_changes_nothing() {
    let mut c = Client::new();
    c.set(Kind::Endpoints, "a", "1");
    c.publish();
    c.want(Kind::Endpoints, &["a"]);
    let response = c.expect_ack("eds a@1");
    let request = StateRequest {
        type_url: Kind::Endpoints.type_url().into(),
        names: owned(&["b"]),
        nonce: "from another stream".into(),
        error: Some("not about this one".into()),
        ..StateRequest::default()
    };
    assert!(c.session.on_state_request(&request).unwrap().is_empty());
    c.set(Kind::Endpoints, "a", "2");
    c.publish();
    let next = c.expect_ack("eds a@2");
    assert_ne!(response.version, next.version);
    assert_eq!(c.session.quarantined().count(), 0);
}

#[test]
fn xds_x19_unsubscribed_and_subscribed_again_while_a_response_crosses() {
    let mut c = Client::new();
    c.set(Kind::Endpoints, "a", "1");
    c.publish();
    c.want(Kind::Endpoints, &["a"]);
    let first = c.expect("eds a@1");
    c.want(Kind::Endpoints, &[]);
    c.want(Kind::Endpoints, &["a"]);
    c.expect_nothing();
    c.ack(&first);
    c.expect_ack("eds a@1");
    c.expect_nothing();
    c.want(Kind::Endpoints, &[]);
    c.want(Kind::Endpoints, &["a"]);
    c.expect_ack("eds a@1");
}

#[test]
fn xds_x16_x17_sotw_an_empty_list_is_a_wildcard_until_a_name_was_given() {
    let mut c = Client::new();
    for kind in Kind::ALL {
        c.set(kind, "a", "1");
        c.set(kind, "b", "1");
    }
    c.publish();
    for kind in Kind::ALL {
        c.want(kind, &[]);
    }
    c.expect_ack("cds a@1 b@1");
    c.expect_ack("lds a@1 b@1");
    c.expect_nothing();
    // Still empty, still a wildcard.
    c.want(Kind::Cluster, &[]);
    c.expect_nothing();
    // A name, and only that.
    c.want(Kind::Cluster, &["a"]);
    c.expect_ack("cds a@1");
    c.set(Kind::Cluster, "b", "2");
    c.publish();
    c.expect_nothing();
    // Empty after a name: nothing at all.
    c.want(Kind::Cluster, &[]);
    c.set(Kind::Cluster, "a", "2");
    c.publish();
    c.expect_nothing();
    // The explicit wildcard, for any type.
    c.want(Kind::Cluster, &["*"]);
    c.expect_ack("cds a@2 b@2");
    c.want(Kind::Route, &["*", "nobody"]);
    c.expect_ack("rds a@1 b@1");
    c.want(Kind::Route, &["nobody"]);
    c.set(Kind::Route, "a", "2");
    c.publish();
    c.expect_nothing();
}

#[test]
fn xds_x16_sotw_an_empty_wildcard_is_answered_at_once() {
    let mut c = Client::new();
    c.publish();
    c.want(Kind::Cluster, &[]);
    c.expect_ack("cds");
    c.expect_nothing();
}

#[test]
fn xds_x18_x20_sotw_repeating_a_name_asks_for_nothing_and_neither_does_dropping_one() {
    let mut c = Client::new();
    c.set(Kind::Endpoints, "a", "1");
    c.set(Kind::Endpoints, "b", "1");
    c.publish();
    c.want(Kind::Endpoints, &["a", "b"]);
    c.expect_ack("eds a@1 b@1");
    c.want(Kind::Endpoints, &["a", "b"]);
    c.expect_nothing();
    c.want(Kind::Endpoints, &["a"]);
    c.expect_nothing();
    c.set(Kind::Endpoints, "b", "2");
    c.publish();
    c.expect_nothing();
}

#[test]
fn xds_x21_sotw_silence_for_an_unknown_name_which_is_watched() {
    let mut c = Client::new();
    c.publish();
    for kind in [Kind::Endpoints, Kind::Listener] {
        c.want(kind, &["a"]);
        c.expect_nothing();
        c.publish();
        c.expect_nothing();
        c.set(kind, "a", "1");
        c.publish();
        c.expect_ack(&format!("{} a@1", kind.short()));
        c.want(kind, &["a", "b"]);
        c.expect_nothing();
    }
    assert_eq!(c.session.pending_types().count(), 0);
}

#[test]
fn xds_x22_x23_sotw_what_is_not_in_the_view_does_not_exist_and_a_name_comes_once() {
    let mut c = Client::with_own(&[(Kind::Secret, "me")]);
    c.set(Kind::Secret, "trust", "1");
    c.publish();
    c.want(Kind::Secret, &["trust", "somebody else", "trust", "*"]);
    c.expect_ack("sds trust@1");
    c.expect_nothing();
}

#[test]
fn xds_x24_listeners_and_clusters_come_whole_and_the_others_in_part() {
    let mut c = Client::new();
    for kind in Kind::ALL {
        for name in ["a", "b"] {
            c.set(kind, name, "1");
        }
    }
    c.publish();
    for kind in Kind::ALL {
        c.want(kind, &["a", "b", "c"]);
        c.expect_ack(&format!("{} a@1 b@1", kind.short()));
    }
    for kind in Kind::ALL {
        c.set(kind, "b", "2");
    }
    c.publish();
    c.expect_ack("cds a@1 b@2");
    c.expect_ack("eds b@2");
    c.expect_ack("lds a@1 b@2");
    c.expect_ack("rds b@2");
    c.expect_ack("sds b@2");
    c.expect_nothing();
}

#[test]
fn xds_x25_sotw_what_is_gone_is_left_out_of_listeners_and_not_mentioned_of_routes() {
    let mut c = Client::new();
    for kind in [Kind::Listener, Kind::Route] {
        c.set(kind, "a", "1");
        c.set(kind, "b", "1");
    }
    c.publish();
    c.want(Kind::Listener, &[]);
    c.want(Kind::Route, &["a", "b"]);
    c.expect_ack("lds a@1 b@1");
    c.expect_ack("rds a@1 b@1");
    for kind in [Kind::Listener, Kind::Route] {
        c.drop(kind, "b");
    }
    c.publish();
    let response = c.expect_ack("lds a@1 -b");
    assert_eq!(response.resources.len(), 1);
    c.expect_nothing();
    assert_eq!(c.session.pending_types().count(), 0);
}

#[test]
fn xds_x40_sotw_what_may_come_in_parts_is_split() {
    let mut c = Client::new();
    c.session.limits.response_bytes = 100;
    for kind in [Kind::Cluster, Kind::Endpoints] {
        for name in ["a", "b", "c", "d", "e"] {
            c.set(kind, name, &"v".repeat(40));
        }
    }
    c.publish();
    c.want(Kind::Cluster, &[]);
    assert_eq!(c.poll().unwrap().resources.len(), 5);
    c.want(Kind::Endpoints, &["a", "b", "c", "d", "e"]);
    let mut names = Vec::new();
    while let Some(response) = c.poll() {
        assert!(response.resources.len() <= 2);
        names.extend(response.resources.iter().map(|r| r.name.to_string()));
        c.ack(&response);
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[test]
fn xds_x41_sotw_requests_have_limits() {
    let mut c = Client::new();
    c.session.limits.names_per_request = 3;
    let mut ask = |names: Vec<String>, version: String| {
        let request = StateRequest {
            type_url: Kind::Endpoints.type_url().into(),
            names,
            version,
            ..StateRequest::default()
        };
        c.session.on_state_request(&request).map(|_| ())
    };
    let many = owned(&["1", "2", "3", "4"]);
    let long = "n".repeat(513);
    assert_eq!(ask(many, String::new()), Err(CloseReason::TooManyNames));
    assert_eq!(
        ask(vec![long.clone()], String::new()),
        Err(CloseReason::NameTooLong)
    );
    assert_eq!(ask(Vec::new(), long), Err(CloseReason::NameTooLong));
    assert_eq!(ask(owned(&["1", "2", "3"]), String::new()), Ok(()));
}

#[test]
fn xds_x50_sotw_nothing_is_answered_before_the_first_view() {
    let mut c = Client::new();
    c.want(Kind::Cluster, &[]);
    c.want(Kind::Endpoints, &["a"]);
    c.expect_nothing();
    assert_eq!(c.session.pending_types().count(), 2);
    c.set(Kind::Cluster, "c", "1");
    c.set(Kind::Endpoints, "a", "1");
    c.publish();
    c.expect_ack("cds c@1");
    c.expect_ack("eds a@1");
    c.expect_nothing();
}
