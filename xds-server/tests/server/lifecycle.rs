//! Streams that end and come back: resuming, renewal, takeover, draining, revocation, restarts.

use std::time::Duration;

use chrono::TimeDelta;
use heddle_model::code::Code as Refused;
use heddle_model::workload::Health;
use heddle_xds_server::engine::kind::Kind;
use tonic::Code;

use crate::client::{Ads, Node};
use crate::world::World;

const HEALTHY: i32 = 1;
const DRAINING: i32 = 3;

fn payments(n: u8) -> Node {
    Node::new("payments", &format!("p-{n}"), &format!("10.0.0.{n}"))
}

/// A proxy of `payments` that is an endpoint, with nothing left to be said.
async fn settled(world: &World, n: u8) -> Ads {
    world.settled("a-payments", &payments(n)).await
}

#[tokio::test]
async fn xds_x26_a_reconnect_resends_nothing() {
    let world = World::start().await;
    world.source.mesh("a", &["frontend", "payments"]);
    let ads = settled(&world, 1).await;
    let issued = world.identities.count();
    let mut ads = ads.resume(&world, "a-payments", &payments(1)).await;
    let seen = ads.drain().await;
    let empty = |text: &String| matches!(text.as_str(), "eds" | "rds" | "sds");
    assert!(seen.iter().all(empty), "{seen:?}");
    let proxy = world.source.proxy("a-payments", "p-1");
    world
        .source
        .until(proxy, |s| {
            s.acked_revision == Some(1) && s.pending_types.is_empty()
        })
        .await;
    assert_eq!(world.identities.count(), issued, "the leaf is still good");
    let status = world.source.status(proxy).unwrap();
    assert_eq!(status.registration.unwrap().health, Health::Healthy);
}

#[tokio::test]
async fn xds_x27_another_server_resends_nothing_and_then_passes_changes_on() {
    let mut world = World::start().await;
    let key = world.source.mesh("a", &["frontend", "payments"]);
    let mut one = settled(&world, 1).await;
    let mut two = settled(&world, 2).await;
    let both = [("10.0.0.1", HEALTHY), ("10.0.0.2", HEALTHY)];
    one.until_endpoints("heddle/payments/http", &both).await;
    world.restart().await;
    let issued = world.identities.count();
    // One comes back first: it must not be told that the other has gone.
    one = one.resume(&world, "a-payments", &payments(1)).await;
    let seen = one.drain().await;
    assert!(seen.iter().all(|text| !text.contains(' ')), "{seen:?}");
    two = two.resume(&world, "a-payments", &payments(2)).await;
    for ads in [&mut one, &mut two] {
        let seen = ads.drain().await;
        assert!(seen.iter().all(|text| !text.contains(' ')), "{seen:?}");
    }
    assert_eq!(world.identities.count(), issued);
    world.source.allow(key, "payments", "frontend");
    for ads in [&mut one, &mut two] {
        loop {
            let text = ads.step().await;
            assert!(!text.contains("eds "), "{text}");
            if text.contains(' ') {
                assert_eq!(text, "rds heddle/inbound/payments/http");
                break;
            }
        }
    }
}

#[tokio::test]
async fn leaves_are_renewed_at_half_their_life() {
    let world = World::with_leaves_of(TimeDelta::milliseconds(400)).await;
    world.source.mesh("a", &["payments"]);
    let mut ads = world.proxy("a-payments", &payments(1)).await;
    let mut serials = vec![ads.version(Kind::Secret, "heddle/identity").to_owned()];
    while serials.len() < 4 {
        if ads.step().await == "sds heddle/identity" {
            serials.push(ads.version(Kind::Secret, "heddle/identity").to_owned());
        }
    }
    let mut unique = serials.clone();
    unique.dedup();
    assert_eq!(serials, unique);
    assert_eq!(world.identities.count(), 4);
}

#[tokio::test]
async fn spiffe_s51_leaves_of_what_gives_way_are_replaced_though_the_view_stays_as_it_is() {
    let world = World::start().await;
    let key = world.source.mesh("a", &["payments"]);
    let mut ads = settled(&world, 1).await;
    let proxy = world.source.proxy("a-payments", "p-1");
    let before = ads.version(Kind::Secret, "heddle/identity").to_owned();
    let holds = |serial: String| {
        world
            .source
            .until(proxy, move |s| s.leaf_serial.as_deref() == Some(&serial))
    };
    holds(before.clone()).await;
    world.identities.replace();
    world.source.change(key, |_| {});
    assert_eq!(ads.step().await, "sds heddle/identity", "and nothing else");
    let after = ads.version(Kind::Secret, "heddle/identity").to_owned();
    assert_ne!(before, after);
    holds(after).await;
    assert_eq!(world.identities.count(), 2);
}

#[tokio::test]
async fn a_leaf_past_its_half_life_is_replaced_on_reconnect() {
    let world = World::with_leaves_of(TimeDelta::milliseconds(0)).await;
    world.source.mesh("a", &["payments"]);
    let ads = world.proxy("a-payments", &payments(1)).await;
    let before = ads.version(Kind::Secret, "heddle/identity").to_owned();
    let mut ads = ads.resume(&world, "a-payments", &payments(1)).await;
    while ads.version(Kind::Secret, "heddle/identity") == before {
        ads.step().await;
    }
}

#[tokio::test]
async fn xds_x45_p06_a_newer_stream_takes_over_and_the_old_ones_end_changes_nothing() {
    let world = World::start().await;
    world.source.mesh("a", &["frontend", "payments"]);
    let node = Node::new("frontend", "f-1", "10.0.1.1");
    let mut caller = world.proxy("a-frontend", &node).await;
    let old = settled(&world, 1).await;
    caller
        .until_endpoints("heddle/payments/http", &[("10.0.0.1", HEALTHY)])
        .await;
    let mut new = settled(&world, 1).await;
    assert_eq!(old.end().await.code(), Code::Aborted);
    // Longer than grace and drain together: time itself is what is tested here.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(new.drain().await.is_empty());
    assert!(caller.drain().await.is_empty());
    let proxy = world.source.proxy("a-payments", "p-1");
    let status = world.source.status(proxy).unwrap();
    assert!(status.connected);
    assert_eq!(status.registration.unwrap().health, Health::Healthy);
}

#[tokio::test]
async fn sec_p12_a_proxy_that_leaves_is_drained_and_then_removed_and_nobody_else() {
    let world = World::start().await;
    world.source.mesh("a", &["frontend", "payments"]);
    let node = Node::new("frontend", "f-1", "10.0.1.1");
    let mut caller = world.proxy("a-frontend", &node).await;
    let one = settled(&world, 1).await;
    let _two = settled(&world, 2).await;
    let proxy = world.source.proxy("a-payments", "p-1");
    let cluster = "heddle/payments/http";
    caller
        .until_endpoints(cluster, &[("10.0.0.1", HEALTHY), ("10.0.0.2", HEALTHY)])
        .await;
    drop(one);
    caller
        .until_endpoints(cluster, &[("10.0.0.1", DRAINING), ("10.0.0.2", HEALTHY)])
        .await;
    caller
        .until_endpoints(cluster, &[("10.0.0.2", HEALTHY)])
        .await;
    let status = world
        .source
        .until(proxy, |status| status.registration.is_none())
        .await;
    assert!(!status.connected);
    // It made no revision: nobody's configuration changed.
    let caller = world.source.proxy("a-frontend", "f-1");
    assert_eq!(
        world.source.status(caller).unwrap().target_revision,
        Some(1)
    );
}

#[tokio::test]
async fn sec_c17_a_revoked_proxy_is_told_so_and_loses_its_stream_and_its_calls() {
    let world = World::start().await;
    world.source.mesh("a", &["frontend", "payments"]);
    let node = Node::new("frontend", "f-1", "10.0.1.1");
    let mut caller = world.proxy("a-frontend", &node).await;
    let one = settled(&world, 1).await;
    let _two = settled(&world, 2).await;
    let proxy = world.source.proxy("a-payments", "p-1");
    world
        .source
        .state()
        .revoked
        .insert(proxy, Refused::ProxyRevoked);
    let end = one.end().await;
    assert_eq!(end.code(), Code::PermissionDenied);
    assert!(end.message().starts_with("HED-3006: "), "{end:?}");
    let status = world.source.until(proxy, |status| !status.connected).await;
    assert!(
        status
            .registration
            .is_none_or(|e| e.health == Health::Draining)
    );
    let cluster = "heddle/payments/http";
    caller
        .until_endpoints(cluster, &[("10.0.0.2", HEALTHY)])
        .await;
}

#[tokio::test]
async fn a_deleted_mesh_ends_its_streams() {
    let world = World::start().await;
    let key = world.source.mesh("a", &["payments"]);
    let ads = settled(&world, 1).await;
    world.source.state().meshes.remove(&key);
    world.source.hint(key);
    assert_eq!(ads.end().await.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn f_30_a_stopping_server_ends_streams_in_time_and_withdraws_nobody() {
    let mut world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let one = settled(&world, 1).await;
    let two = settled(&world, 2).await;
    world.stop().await;
    for ads in [one, two] {
        assert_eq!(ads.end().await.code(), Code::Unavailable);
    }
    for id in ["p-1", "p-2"] {
        let status = world
            .source
            .status(world.source.proxy("a-payments", id))
            .unwrap();
        assert!(!status.connected);
        assert_eq!(status.registration.unwrap().health, Health::Healthy);
    }
}
