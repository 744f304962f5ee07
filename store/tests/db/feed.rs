//! The feed: nothing is missed, whatever order transactions end in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heddle_model::authz::permission::{ConfigWrite, MeshWrite};
use heddle_model::kind::Kind;
use heddle_store::resources::{self, Precondition};
use heddle_store::{MeshRef, meshes};

use crate::build::{address, join_token, mesh, mesh_ref, name, object, put, service, service_spec};
use crate::support::{TestDb, grant};

#[tokio::test]
async fn a_look_reports_what_changed_since_the_last() {
    let db = TestDb::new().await;
    let (acme, rival) = (db.owner("acme").await, db.owner("rival").await);
    let a = mesh(&db.store, &acme, "prod").await;
    let b = mesh(&db.store, &rival, "prod").await;
    let feed = db.store.feed(None).await.unwrap();
    let mut all: Vec<_> = feed
        .meshes
        .iter()
        .map(|h| (h.mesh.org(), h.mesh.mesh(), h.revision))
        .collect();
    all.sort();
    let mut wanted = [(acme.org(), a.id, 1), (rival.org(), b.id, 1)];
    wanted.sort();
    assert_eq!(all, wanted);

    let feed = db.store.feed(Some(feed.next)).await.unwrap();
    let feed = db.store.feed(Some(feed.next)).await.unwrap();
    assert_eq!(feed.meshes, []);
    service(&db.store, &acme, a.id, "x").await;
    service(&db.store, &acme, a.id, "y").await;
    // No configuration, no news.
    join_token(&db.store, &rival, b.id, "t", "x", true).await;
    let feed = db.store.feed(Some(feed.next)).await.unwrap();
    let heads: Vec<_> = feed
        .meshes
        .iter()
        .map(|h| (h.mesh.mesh(), h.revision, h.deleted))
        .collect();
    assert_eq!(heads, [(a.id, 3, false)]);
    let feed = db.store.feed(Some(feed.next)).await.unwrap();
    assert_eq!(feed.meshes, []);

    let mut tx = db.store.begin(&grant::<MeshWrite>(&rival)).await.unwrap();
    meshes::delete(&mut tx, &b, &Precondition::None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let feed = db.store.feed(Some(feed.next)).await.unwrap();
    let heads: Vec<_> = feed
        .meshes
        .iter()
        .map(|h| (h.mesh.mesh(), h.revision, h.deleted))
        .collect();
    assert_eq!(heads, [(b.id, 2, true)]);
    // Whoever starts now never hears of it.
    let fresh = db.store.feed(None).await.unwrap();
    let heads: Vec<_> = fresh.meshes.iter().map(|h| h.mesh.mesh()).collect();
    assert_eq!(heads, [a.id]);
}

#[tokio::test]
async fn a_slow_transaction_is_not_overtaken() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let slow = mesh(&db.store, &owner, "slow").await;
    let fast = mesh(&db.store, &owner, "fast").await;
    let mut position = db.store.feed(None).await.unwrap().next;
    let x = name("x");
    // Begins first, ends last. Of another kind: two that create the same in one organisation wait for one another.
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let at = address(slow.id, Kind::Profile, None, &x);
    resources::insert(&mut tx, &at, &object(serde_json::json!({})))
        .await
        .unwrap();
    for round in 0..3 {
        let at = address(fast.id, Kind::Service, None, &x);
        put(&db.store, &owner, &at, &service_spec(round + 1)).await;
        let feed = db.store.feed(Some(position)).await.unwrap();
        let heads: Vec<_> = feed
            .meshes
            .iter()
            .map(|h| (h.mesh.mesh(), h.revision))
            .collect();
        assert_eq!(
            heads,
            [(fast.id, u64::from(round) + 2)],
            "each change is reported once"
        );
        position = feed.next;
    }
    tx.commit().await.unwrap();
    let feed = db.store.feed(Some(position)).await.unwrap();
    let heads: Vec<_> = feed
        .meshes
        .iter()
        .map(|h| (h.mesh.mesh(), h.revision))
        .collect();
    assert_eq!(heads, [(slow.id, 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_concurrent_commits_nothing_is_missed() {
    const MESHES: usize = 4;
    const WRITERS: u16 = 3;
    const WRITES: u16 = 20;
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let start = db.store.feed(None).await.unwrap();
    assert_eq!(start.meshes, []);
    let mut ids: Vec<MeshRef> = Vec::new();
    for i in 0..MESHES {
        let row = mesh(&db.store, &owner, &format!("m{i}")).await;
        ids.push(mesh_ref(&db.store, &owner, &row).await);
    }
    let done = Arc::new(AtomicBool::new(false));
    let tailer = {
        let (store, done) = (db.store.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut seen: BTreeMap<MeshRef, Vec<u64>> = BTreeMap::new();
            let mut position = start.next;
            loop {
                // Asked before looking, so that the last look comes after the last commit.
                let last = done.load(Ordering::SeqCst);
                let feed = store.feed(Some(position)).await.unwrap();
                for head in feed.meshes {
                    seen.entry(head.mesh).or_default().push(head.revision);
                }
                position = feed.next;
                if last {
                    return seen;
                }
            }
        })
    };
    let mut writers = tokio::task::JoinSet::new();
    for mesh in ids.clone() {
        for writer in 0..WRITERS {
            let (store, owner) = (db.store.clone(), owner.clone());
            writers.spawn(async move {
                let service = name(&format!("s{writer}"));
                let at = address(mesh.mesh(), Kind::Service, None, &service);
                for write in 1..=WRITES {
                    put(&store, &owner, &at, &service_spec(write)).await;
                }
            });
        }
    }
    writers.join_all().await;
    done.store(true, Ordering::SeqCst);
    let seen = tailer.await.unwrap();
    assert_eq!(seen.len(), MESHES);
    for mesh in ids {
        let revisions = &seen[&mesh];
        assert_eq!(revisions.last(), Some(&(1 + u64::from(WRITERS * WRITES))));
        assert!(
            revisions.is_sorted_by(|a, b| a < b),
            "each once, never backwards: {revisions:?}"
        );
    }
}
