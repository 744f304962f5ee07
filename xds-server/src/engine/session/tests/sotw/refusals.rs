//! What follows a NACK when a response cannot leave anything out.

use super::super::super::Kept;
use super::{Client, Kind};

fn clusters(c: &mut Client, names: &[&str], version: &str) {
    for name in names {
        c.set(Kind::Cluster, name, version);
    }
}

#[test]
fn xds_x11_sotw_a_refused_version_is_replaced_by_the_last_good_one() {
    let mut c = Client::new();
    clusters(&mut c, &["a", "b"], "1");
    c.publish();
    c.want(Kind::Cluster, &[]);
    c.expect_ack("cds a@1 b@1");
    c.set(Kind::Cluster, "b", "bad");
    c.publish();
    let response = c.expect("cds a@1 b@bad");
    c.nack(&response, "no");
    for _ in 0..60 {
        c.pass(1);
        c.publish();
        c.expect_nothing();
    }
    // A change elsewhere neither repeats the bad one nor takes away the good one.
    c.set(Kind::Cluster, "a", "2");
    c.publish();
    c.expect_ack("cds a@2 b@1");
    c.set(Kind::Cluster, "b", "good");
    c.publish();
    c.expect_ack("cds a@2 b@good");
    c.expect_nothing();
    assert_eq!(c.session.quarantined().count(), 0);
}

#[test]
fn xds_x12_x13_sotw_the_offender_is_found_without_taking_anything_away() {
    let mut c = Client::new();
    clusters(&mut c, &["a", "b", "c"], "1");
    c.publish();
    c.want(Kind::Cluster, &[]);
    c.expect_ack("cds a@1 b@1 c@1");
    clusters(&mut c, &["a", "b", "c", "d"], "2");
    c.publish();
    let response = c.expect("cds a@2 b@2 c@2 d@2");
    c.nack(&response, "no");
    // Halves of what changed, on top of what it has.
    let response = c.expect("cds a@2 b@2 c@1");
    c.nack(&response, "no");
    c.expect_ack("cds a@2 b@1 c@1");
    let response = c.expect("cds a@2 b@2 c@1");
    c.nack(&response, "no");
    c.expect_ack("cds a@2 b@1 c@2 d@2");
    c.expect_nothing();
    let refused: Vec<_> = c.session.quarantined().collect();
    assert_eq!(refused.len(), 1);
    assert!(matches!(&refused[0].2.kept, Kept::This(kept) if &*kept.version == "1"));
}

#[test]
fn xds_x13_sotw_a_new_offender_is_left_out() {
    let mut c = Client::new();
    clusters(&mut c, &["a"], "1");
    c.publish();
    c.want(Kind::Cluster, &[]);
    c.expect_ack("cds a@1");
    clusters(&mut c, &["offender", "z"], "1");
    c.publish();
    let response = c.expect("cds a@1 offender@1 z@1");
    c.nack(&response, "Error adding cluster offender");
    c.expect_ack("cds a@1 z@1");
    let response = c.expect("cds a@1 offender@1 z@1");
    c.nack(&response, "Error adding cluster offender");
    c.expect_nothing();
    assert_eq!(c.session.quarantined().count(), 1);
}

#[test]
fn xds_x13_sotw_parts_of_endpoints_are_found_like_in_delta() {
    let mut c = Client::new();
    for name in ["a", "b", "c"] {
        c.set(Kind::Endpoints, name, "1");
    }
    c.publish();
    c.want(Kind::Endpoints, &["a", "b", "c"]);
    let response = c.expect("eds a@1 b@1 c@1");
    c.nack(&response, "not b");
    c.expect_ack("eds a@1 c@1");
    let response = c.expect("eds b@1");
    c.nack(&response, "not b");
    c.expect_nothing();
}

#[test]
fn xds_x11_sotw_a_reconnect_repeats_neither_the_refused_nor_the_rest() {
    let mut c = Client::new();
    clusters(&mut c, &["a", "b"], "1");
    c.publish();
    c.want(Kind::Cluster, &[]);
    c.expect_ack("cds a@1 b@1");
    clusters(&mut c, &["b", "new"], "bad");
    c.publish();
    let response = c.expect("cds a@1 b@bad new@bad");
    c.nack(&response, "not b");
    let response = c.expect("cds a@1 b@1 new@bad");
    c.nack(&response, "new");
    let response = c.expect("cds a@1 b@bad");
    c.nack(&response, "b");
    c.expect_nothing();
    c.reconnect_refused();
    c.resume(Kind::Cluster);
    c.expect_nothing();
    assert_eq!(c.session.quarantined().count(), 2);
    // Also when something else has changed meanwhile.
    c.reconnect_refused();
    clusters(&mut c, &["a"], "2");
    c.publish();
    c.resume(Kind::Cluster);
    c.expect_ack("cds a@2 b@1");
    c.expect_nothing();
}

#[test]
fn xds_x33_sotw_what_a_client_may_have_from_before_is_never_left_out_to_find_an_offender() {
    let mut c = Client::new();
    clusters(&mut c, &["a", "b"], "1");
    c.publish();
    c.want(Kind::Cluster, &[]);
    c.expect_ack("cds a@1 b@1");
    // Another server, which never saw the first version, with a change that is refused.
    c.reconnect();
    clusters(&mut c, &["a", "b"], "2");
    c.publish();
    c.resume(Kind::Cluster);
    let response = c.expect("cds a@2 b@2");
    c.nack(&response, "not <b>");
    c.pass(60);
    c.expect_nothing();
    let refused: Vec<_> = c
        .session
        .quarantined()
        .map(|(_, n, _)| n.to_string())
        .collect();
    assert_eq!(refused, ["b"]);
    clusters(&mut c, &["c"], "1");
    c.publish();
    let response = c.expect("cds a@2 b@2 c@1");
    c.nack(&response, "not <b>");
    c.expect_nothing();
    clusters(&mut c, &["b"], "3");
    c.publish();
    c.expect_ack("cds a@2 b@3 c@1");
    c.expect_nothing();
    assert_eq!(c.session.quarantined().count(), 0);
    assert_eq!(c.session.pending_types().count(), 0);
}
