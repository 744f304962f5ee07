//! Several servers on one database: each row belongs to one, and those that live leave each other's alone.

use std::time::Duration;

use heddle_store::proxies::{self, Checkpoint};
use heddle_store::{live, replicas};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::proxies::{checkpoint, endpoint, find, world};

const ONE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const LEASE: Duration = Duration::from_secs(600);

fn at(connected: bool, proxy: heddle_model::id::ProxyId) -> Checkpoint {
    Checkpoint {
        connected,
        ..checkpoint(proxy, Some(endpoint(proxy, "10.0.0.7")))
    }
}

#[tokio::test]
async fn a_server_lives_as_long_as_it_says_so() {
    let (db, ..) = world(&[("payments", "a")]).await;
    let store = &db.store;
    assert!(!replicas::renew(store, ONE, LEASE).await.unwrap(), "new");
    assert!(replicas::renew(store, ONE, LEASE).await.unwrap());
    assert!(!replicas::renew(store, OTHER, Duration::ZERO).await.unwrap());
    assert_eq!(replicas::gone(store).await.unwrap(), [OTHER]);
    // It was slow and not dead: it lives again, and knows that others may have thought so.
    assert!(!replicas::renew(store, OTHER, LEASE).await.unwrap());
    replicas::forget(store, &[ONE, OTHER]).await.unwrap();
    assert!(replicas::renew(store, ONE, LEASE).await.unwrap());
    assert!(replicas::renew(store, OTHER, LEASE).await.unwrap());
    replicas::retire(store, ONE).await.unwrap();
    assert_eq!(replicas::gone(store).await.unwrap(), [ONE]);
    replicas::forget(store, &[ONE, OTHER]).await.unwrap();
    assert_eq!(replicas::gone(store).await.unwrap(), [] as [Uuid; 0]);
}

#[tokio::test]
async fn proxies_of_a_server_that_lives_are_left_alone() {
    let (db, owner, mesh, ids) = world(&[("payments", "a"), ("payments", "b")]).await;
    let store = &db.store;
    replicas::renew(store, ONE, LEASE).await.unwrap();
    replicas::renew(store, OTHER, LEASE).await.unwrap();
    for (replica, proxy) in [(ONE, ids[0]), (OTHER, ids[1])] {
        proxies::checkpoint(store, &mesh, replica, Some(3), &[at(true, proxy)])
            .await
            .unwrap();
    }
    let connected = async || {
        let mut all = Vec::new();
        for node in ["a", "b"] {
            all.push(find(&db, &owner, &mesh, node).await.unwrap().connected);
        }
        all
    };
    let before = live::look(store, &mesh).await.unwrap();
    proxies::disconnect_gone(store, &mesh).await.unwrap();
    assert_eq!(connected().await, [true, true]);
    assert_eq!(live::look(store, &mesh).await.unwrap(), before, "no news");
    replicas::retire(store, ONE).await.unwrap();
    proxies::disconnect_gone(store, &mesh).await.unwrap();
    assert_eq!(connected().await, [false, true]);
    let rows: Vec<Uuid> = sqlx::query_scalar("select replica from heddle.mesh_replicas")
        .fetch_all(&db.superuser().await)
        .await
        .unwrap();
    assert_eq!(rows, [OTHER]);
}

#[tokio::test]
async fn each_server_hears_what_the_others_say_and_not_itself() {
    let (db, _, mesh, ids) = world(&[("payments", "a"), ("payments", "b")]).await;
    let store = &db.store;
    let feed = store.feed(None).await.unwrap();
    let (before, first) = proxies::checkpoint(store, &mesh, ONE, None, &[at(true, ids[0])])
        .await
        .unwrap()
        .unwrap();
    assert_eq!((before, first), (0, 2));
    // It is in the feed, as is every revision.
    let feed = store.feed(Some(feed.next)).await.unwrap();
    let heads: Vec<_> = feed.meshes.iter().map(|h| (h.mesh, h.status)).collect();
    assert_eq!(heads, [(mesh, first)]);

    let hear = async |replica, after| {
        let all = proxies::workloads(store, &mesh, replica, after).await;
        let all = all.unwrap();
        let short = |w: &proxies::Workload| (w.proxy, w.connected, w.here, w.endpoint.is_some());
        (
            all.status,
            all.workloads.iter().map(short).collect::<Vec<_>>(),
        )
    };
    let here = (ids[0], true, true, true);
    let elsewhere = (ids[0], true, false, true);
    assert_eq!(hear(ONE, None).await, (first, vec![here]));
    assert_eq!(hear(OTHER, None).await, (first, vec![elsewhere]));
    assert_eq!(hear(OTHER, Some(before)).await, (first, vec![elsewhere]));
    assert_eq!(hear(OTHER, Some(first)).await, (first, vec![]));
    assert_eq!(hear(ONE, Some(before)).await, (first, vec![]));

    // What says that it is not connected is heard by its own server, too: another one may have written that.
    let (_, second) = proxies::checkpoint(store, &mesh, ONE, None, &[at(false, ids[0])])
        .await
        .unwrap()
        .unwrap();
    let left = (ids[0], false, true, true);
    assert_eq!(hear(ONE, Some(first)).await, (second, vec![left]));

    // The clock of the other is behind, and what it says counts nevertheless.
    let mut late = at(true, ids[0]);
    late.seen_at -= chrono::TimeDelta::seconds(60);
    late.registration = None;
    let (_, third) = proxies::checkpoint(store, &mesh, OTHER, None, &[late])
        .await
        .unwrap()
        .unwrap();
    let moved = (ids[0], true, false, false);
    assert_eq!(hear(ONE, Some(second)).await, (third, vec![moved]));
}

#[tokio::test]
async fn whoever_joins_knows_how_far_the_mesh_is() {
    let world = crate::join::World::new().await;
    let secret = world.token("many", true).await;
    let join = async || {
        let joined = proxies::join(
            &world.db.store,
            secret.expose_secret(),
            crate::build::arriving("a"),
        )
        .await;
        joined.unwrap().unwrap()
    };
    let joined = join().await;
    let look = async || live::look(&world.db.store, &joined.mesh).await.unwrap();
    let before = look().await.unwrap();
    assert_eq!(
        (joined.heads.revision, joined.heads.status),
        (before.revision, before.status)
    );
    proxies::checkpoint(
        &world.db.store,
        &joined.mesh,
        ONE,
        None,
        &[at(true, joined.proxy)],
    )
    .await
    .unwrap();
    crate::build::service(&world.db.store, &world.owner, world.mesh.id, "more").await;
    let again = join().await;
    assert_eq!(again.heads, look().await.unwrap());
    assert!(again.heads > before);
}
