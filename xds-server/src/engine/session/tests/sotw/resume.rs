//! New streams of clients that say which version they have.

use std::sync::Arc;

use super::super::super::{Event, Own};
use super::{Client, Kind, resource};

/// Everything of a small mesh, acknowledged.
fn started() -> Client {
    let mut c = Client::new();
    for kind in Kind::ALL {
        for name in ["a", "b"] {
            let made = resource(kind, name, "1");
            c.put(match kind {
                Kind::Cluster => made.followed_by(Kind::Endpoints, name),
                _ => made,
            });
        }
    }
    c.publish();
    for kind in Kind::ALL {
        let names: &[&str] = if kind.has_legacy_wildcard() {
            &[]
        } else {
            &["a", "b"]
        };
        c.want(kind, names);
        c.expect_ack(&format!("{} a@1 b@1", kind.short()));
    }
    c.expect_nothing();
    c
}

#[test]
fn xds_x14_x26_x27_sotw_an_equal_version_on_any_replica_means_that_nothing_is_sent() {
    let mut c = started();
    c.reconnect();
    for kind in Kind::ALL {
        c.resume(kind);
        c.expect_nothing();
        assert!(c.session.holds_all(kind));
    }
    assert_eq!(c.session.pending_types().count(), 0);
    assert_eq!(c.session.synced_revision(), Some(1));
    // Another replica, where the same content came about in another order.
    let mut other = Client::new();
    for name in ["b", "a"] {
        other.put(resource(Kind::Cluster, name, "1"));
        other.publish();
    }
    other.want(Kind::Cluster, &[]);
    let version = other.expect_ack("cds a@1 b@1").version;
    assert_eq!(version, c.versions[&Kind::Cluster]);
    // And what it has is known from then on: a change comes with the rest.
    c.set(Kind::Listener, "b", "2");
    c.set(Kind::Endpoints, "b", "2");
    c.publish();
    c.expect_ack("eds b@2");
    c.expect_ack("lds a@1 b@2");
    c.expect_nothing();
}

#[test]
fn xds_x14_sotw_a_version_changes_exactly_with_the_content() {
    let mut c = started();
    let before = c.versions[&Kind::Endpoints].clone();
    c.set(Kind::Endpoints, "a", "2");
    c.publish();
    let other = c.expect_ack("eds a@2").version;
    assert_ne!(before, other);
    c.set(Kind::Endpoints, "a", "1");
    c.publish();
    assert_eq!(c.expect_ack("eds a@1").version, before);
}

#[test]
fn xds_x26_sotw_another_version_brings_everything_of_that_type_and_only_of_it() {
    let mut c = started();
    c.reconnect();
    c.drop(Kind::Listener, "a");
    c.publish();
    for kind in Kind::ALL {
        c.resume(kind);
    }
    c.expect_ack("lds b@1");
    c.expect_nothing();
    assert_eq!(c.session.pending_types().count(), 0);
}

#[test]
fn xds_x26_sotw_a_client_that_comes_back_to_nothing_is_told_so() {
    let mut c = started();
    c.reconnect();
    c.drop(Kind::Listener, "a");
    c.drop(Kind::Listener, "b");
    c.publish();
    c.resume(Kind::Listener);
    c.expect_ack("lds");
    c.expect_nothing();
}

#[test]
fn xds_x27_sotw_a_replica_that_learns_its_view_later_comes_to_the_same_result() {
    let before = started();
    let mut c = Client::new();
    c.versions.clone_from(&before.versions);
    c.names.clone_from(&before.names);
    c.resume(Kind::Cluster);
    c.resume(Kind::Endpoints);
    // This one dropped a name and took it again meanwhile, so it does not have that set.
    c.want(Kind::Endpoints, &["a"]);
    c.want(Kind::Endpoints, &["a", "b"]);
    c.expect_nothing();
    for name in ["a", "b"] {
        c.set(Kind::Cluster, name, "1");
        c.set(Kind::Endpoints, name, "1");
    }
    c.publish();
    c.expect_ack("eds a@1 b@1");
    c.expect_nothing();
}

#[test]
fn xds_x28_sotw_a_name_beyond_the_version_is_sent() {
    let mut c = started();
    c.set(Kind::Endpoints, "new", "1");
    c.publish();
    c.reconnect();
    c.names
        .get_mut(&Kind::Endpoints)
        .unwrap()
        .push("new".into());
    c.resume(Kind::Endpoints);
    // The protocol has no way to say which of them it has.
    c.expect_ack("eds a@1 b@1 new@1");
    c.expect_nothing();
}

#[test]
fn xds_x29_sotw_a_cluster_deleted_meanwhile_is_left_out_and_its_endpoints_are_not_waited_for() {
    let mut c = started();
    c.reconnect();
    c.drop(Kind::Cluster, "b");
    c.drop(Kind::Endpoints, "b");
    c.publish();
    c.resume(Kind::Cluster);
    let cds = c.expect("cds a@1");
    c.resume(Kind::Endpoints);
    c.expect_ack("eds a@1");
    c.ack(&cds);
    c.expect_nothing();
    assert_eq!(c.session.pending_types().count(), 0);
}

#[test]
fn xds_x31_sotw_endpoints_follow_a_cluster_that_changed_while_the_client_was_away() {
    let mut c = started();
    c.reconnect();
    c.put(resource(Kind::Cluster, "a", "2").followed_by(Kind::Endpoints, "a"));
    c.publish();
    c.resume(Kind::Cluster);
    let cds = c.expect("cds a@2 b@1");
    c.resume(Kind::Endpoints);
    // Which of the clusters changed for the client is not known: the endpoints of both follow.
    c.expect_ack("eds a@1 b@1");
    c.ack(&cds);
    c.expect_nothing();
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
fn xds_x26_x27_sotw_an_own_resource_that_is_current_is_not_resent() {
    let mut c = Client::with_own(&[ME]);
    c.set(ME.0, "trust", "1");
    c.publish();
    assert_eq!(wanted(&c.want(ME.0, &["me", "trust"])), [None]);
    c.expect_ack("sds trust@1");
    c.session.set_own(ME.0, ME.1, leaf("s1"));
    c.expect_ack("sds me@s1");
    c.reconnect();
    // The version names the serial, which another replica could not guess.
    assert_eq!(wanted(&c.resume(ME.0)), [Some("s1".to_owned())]);
    c.session.set_own(ME.0, ME.1, Own::Held);
    c.expect_nothing();
    assert_eq!(c.session.pending_types().count(), 0);
    // It is out of date: replaced, and only it.
    c.reconnect();
    assert_eq!(wanted(&c.resume(ME.0)), [Some("s1".to_owned())]);
    c.session.set_own(ME.0, ME.1, leaf("s2"));
    c.expect_ack("sds me@s2");
    // Asked for anew, its content is needed again.
    c.want(ME.0, &["trust"]);
    c.want(ME.0, &["trust", "me"]);
    c.expect_ack("sds me@s2");
    c.expect_nothing();
}
