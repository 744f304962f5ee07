//! How far a revision has come: proxies that it does not concern, several servers, servers that start anew.

use heddle_model::authz::permission::ProxyRead;
use heddle_model::id::ProxyId;
use heddle_store::proxies::{self, Checkpoint, Counts, Rollout, Stands};
use heddle_store::{Caller, MeshRef, live};
use serde_json::json;
use uuid::Uuid;

use crate::proxies::{checkpoint, endpoint, find, world};
use crate::support::{TestDb, grant};

const NODES: [(&str, &str); 3] = [("payments", "a"), ("payments", "b"), ("frontend", "c")];
const ONE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

/// A proxy that is connected and should have what revision `target` gave it.
fn connected(proxy: ProxyId, acked: u64, target: u64) -> Checkpoint {
    Checkpoint {
        acked_revision: Some(acked),
        target_revision: Some(target),
        pending_types: Vec::new(),
        nacks: json!([]),
        ..checkpoint(proxy, Some(endpoint(proxy, "10.0.0.7")))
    }
}

async fn rollout(db: &TestDb, owner: &Caller, mesh: &MeshRef, revision: u64) -> Rollout {
    let mut tx = db.store.begin(&grant::<ProxyRead>(owner)).await.unwrap();
    proxies::rollout(&mut tx, mesh.mesh(), revision, 10)
        .await
        .unwrap()
}

/// Acked, skipped, pending, nacked, offline, gone.
fn numbers(counts: Counts) -> [u64; 6] {
    let Counts {
        acked,
        skipped,
        pending,
        nacked,
        offline,
        gone,
    } = counts;
    [acked, skipped, pending, nacked, offline, gone]
}

async fn write(db: &TestDb, mesh: &MeshRef, replica: Uuid, offered: u64, batch: &[Checkpoint]) {
    proxies::checkpoint(&db.store, mesh, replica, Some(offered), batch)
        .await
        .unwrap();
}

#[tokio::test]
async fn who_is_not_concerned_counts_without_a_row() {
    let (db, owner, mesh, ids) = world(&NODES).await;
    // Nobody has ever been there.
    let seen = rollout(&db, &owner, &mesh, 1).await;
    assert_eq!(numbers(seen.counts), [0, 0, 0, 0, 3, 3]);
    assert_eq!(seen.counts.holding_up(), 0);

    let all: Vec<Checkpoint> = ids.iter().map(|id| connected(*id, 5, 5)).collect();
    write(&db, &mesh, ONE, 5, &all).await;
    let of = async |revision| numbers(rollout(&db, &owner, &mesh, revision).await.counts);
    assert_eq!(of(5).await, [3, 0, 0, 0, 0, 0]);
    // The server has not read it yet.
    assert_eq!(of(6).await, [0, 0, 3, 0, 0, 0]);
    let rows = async || -> String {
        let rows = "select string_agg(p::text, '|' order by p.id) from heddle.proxies p";
        let pool = db.superuser().await;
        sqlx::query_scalar(rows).fetch_one(&pool).await.unwrap()
    };
    let before = rows().await;
    write(&db, &mesh, ONE, 9, &[]).await;
    assert_eq!(of(6).await, [0, 3, 0, 0, 0, 0]);
    assert_eq!(of(9).await, [0, 3, 0, 0, 0, 0]);
    assert_eq!(of(10).await, [0, 0, 3, 0, 0, 0]);
    assert_eq!(before, rows().await, "a row was written");
    let shown = find(&db, &owner, &mesh, "a").await.unwrap();
    assert_eq!(
        (shown.acked_revision, shown.target_revision),
        (Some(9), Some(5))
    );

    // Revision 10 concerns one: it had everything up to 9, then it has 10.
    write(&db, &mesh, ONE, 10, &[connected(ids[0], 9, 10)]).await;
    let seen = rollout(&db, &owner, &mesh, 10).await;
    assert_eq!(numbers(seen.counts), [0, 2, 1, 0, 0, 0]);
    let [(held_up, Stands::Pending)] = seen.held_up_by.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!(held_up.id, ids[0]);
    // What was before it stays live.
    assert_eq!(of(9).await, [1, 2, 0, 0, 0, 0]);
    assert_eq!(of(6).await, [1, 2, 0, 0, 0, 0]);
    write(&db, &mesh, ONE, 10, &[connected(ids[0], 10, 10)]).await;
    assert_eq!(of(10).await, [1, 2, 0, 0, 0, 0]);

    // It refuses 11; 12 concerns the others.
    let mut refused = connected(ids[0], 10, 11);
    refused.nacks = json!([{"type": "RDS", "cause": {"pointer": "/match"}}]);
    let batch = [
        refused,
        connected(ids[1], 12, 12),
        connected(ids[2], 11, 12),
    ];
    write(&db, &mesh, ONE, 12, &batch).await;
    let seen = rollout(&db, &owner, &mesh, 11).await;
    assert_eq!(numbers(seen.counts), [2, 0, 0, 1, 0, 0]);
    assert_eq!(seen.held_up_by[0].1, Stands::Nacked);
    assert_eq!(seen.held_up_by[0].0.nacks[0]["cause"]["pointer"], "/match");
    assert_eq!(of(12).await, [1, 1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn each_proxy_is_as_far_as_its_own_server() {
    let (db, owner, mesh, ids) = world(&NODES).await;
    let of = async |revision| numbers(rollout(&db, &owner, &mesh, revision).await.counts);
    write(&db, &mesh, ONE, 8, &[connected(ids[0], 5, 5)]).await;
    let others = [connected(ids[1], 5, 5), connected(ids[2], 5, 5)];
    write(&db, &mesh, OTHER, 6, &others).await;
    assert_eq!(of(6).await, [0, 3, 0, 0, 0, 0]);
    assert_eq!(of(8).await, [0, 1, 2, 0, 0, 0]);
    // An older report of a server does not take it back.
    write(&db, &mesh, ONE, 7, &[]).await;
    assert_eq!(of(8).await, [0, 1, 2, 0, 0, 0]);

    // One moves to the other server. What its old server says of it afterwards is of no interest.
    write(&db, &mesh, OTHER, 6, &[connected(ids[0], 5, 5)]).await;
    let mut left = connected(ids[0], 8, 5);
    left.connected = false;
    write(&db, &mesh, ONE, 8, &[left.clone()]).await;
    assert!(find(&db, &owner, &mesh, "a").await.unwrap().connected);
    assert_eq!(of(8).await, [0, 0, 3, 0, 0, 0]);
    // From there it leaves: what it had it keeps.
    left.acked_revision = Some(6);
    write(&db, &mesh, OTHER, 6, &[left.clone()]).await;
    assert_eq!(of(6).await, [1, 2, 0, 0, 0, 0]);
    assert_eq!(of(8).await, [0, 0, 2, 0, 1, 0]);
    left.registration = None;
    write(&db, &mesh, OTHER, 8, &[left]).await;
    assert_eq!(of(8).await, [0, 2, 0, 0, 1, 1]);

    // Servers that do not live have nobody connected, and everybody is as far as they were.
    proxies::disconnect_gone(&db.store, &mesh).await.unwrap();
    assert_eq!(of(8).await, [2, 0, 0, 0, 1, 1]);
    assert_eq!(of(9).await, [0, 0, 0, 0, 3, 1]);
    let back = [connected(ids[1], 8, 8), connected(ids[2], 8, 8)];
    write(&db, &mesh, Uuid::from_u128(3), 9, &back).await;
    assert_eq!(of(9).await, [0, 2, 0, 0, 1, 1]);
}

#[tokio::test]
async fn news_are_counted_without_a_gap() {
    let (db, owner, mesh, ids) = world(&NODES).await;
    let heads = async || live::look(&db.store, &mesh).await.unwrap().unwrap();
    let before = heads().await;
    assert_eq!((before.revision, before.status), (3, 0));
    let all: Vec<Checkpoint> = ids.iter().map(|id| connected(*id, 3, 3)).collect();
    write(&db, &mesh, ONE, 3, &all).await;
    let numbers = async || -> Vec<i64> {
        let numbers = "select status_seq from heddle.proxies order by id";
        let pool = db.superuser().await;
        sqlx::query_scalar(numbers).fetch_all(&pool).await.unwrap()
    };
    let first = numbers().await;
    let end = i64::try_from(heads().await.status).unwrap();
    assert_eq!(first, [end - 2, end - 1, end]);
    // A lease that is renewed is no news.
    let mut renewed = all.clone();
    renewed[0].lease_until = Some(crate::support::start() + chrono::TimeDelta::days(1));
    renewed[1].acked_revision = Some(2);
    write(&db, &mesh, ONE, 3, &renewed).await;
    let then = numbers().await;
    assert_eq!((then[0], then[2]), (first[0], first[2]));
    assert!(then[1] > end && then[1] <= i64::try_from(heads().await.status).unwrap());
    drop(owner);
}
