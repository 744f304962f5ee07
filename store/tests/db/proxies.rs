//! Checkpoints: what is stored of proxies, and what a restarted server starts from.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use heddle_model::authz::permission::ProxyRead;
use heddle_model::id::ProxyId;
use heddle_model::workload::{Endpoint, Health};
use heddle_store::proxies::{self, Checkpoint, ProxyRow};
use heddle_store::{Caller, MeshRef};
use secrecy::ExposeSecret as _;
use serde_json::json;
use uuid::Uuid;

use crate::build::{arriving, join_token, mesh, mesh_ref, name, service};
use crate::support::{TestDb, grant, start};

pub(crate) async fn world(nodes: &[(&str, &str)]) -> (TestDb, Caller, MeshRef, Vec<ProxyId>) {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mut tokens = BTreeMap::new();
    let mut ids = Vec::new();
    let at = mesh_ref(&db.store, &owner, &mesh).await;
    for (of, node) in nodes {
        if !tokens.contains_key(of) {
            service(&db.store, &owner, mesh.id, of).await;
            tokens.insert(
                *of,
                join_token(&db.store, &owner, mesh.id, of, of, true).await,
            );
        }
        let joined = proxies::join(&db.store, tokens[of].expose_secret(), arriving(node))
            .await
            .unwrap()
            .unwrap();
        ids.push(joined.proxy);
    }
    (db, owner, at, ids)
}

pub(crate) fn endpoint(proxy: ProxyId, address: &str) -> Endpoint {
    Endpoint {
        proxy,
        version: Some(name("v1")),
        address: address.parse().unwrap(),
        ports: BTreeMap::from([(name("http"), 15006), (name("grpc"), 15007)]),
        health: Health::Healthy,
    }
}

pub(crate) fn checkpoint(proxy: ProxyId, registration: Option<Endpoint>) -> Checkpoint {
    Checkpoint {
        proxy,
        connected: true,
        augments: false,
        registration,
        lease_until: Some(start() + TimeDelta::minutes(1)),
        envoy_version: Some(String::from("1.36.1")),
        leaf_serial: None,
        setup: Some(json!({"outbound_port": 15001})),
        acked_revision: Some(3),
        target_revision: Some(4),
        pending_types: vec![String::from("lds"), String::from("rds")],
        nacks: json!([{"kind": "lds", "message": "no"}]),
        seen_at: start(),
    }
}

pub(crate) async fn find(
    db: &TestDb,
    owner: &Caller,
    mesh: &MeshRef,
    text: &str,
) -> Option<ProxyRow> {
    let mut tx = db.store.begin(&grant::<ProxyRead>(owner)).await.unwrap();
    proxies::find(&mut tx, mesh.mesh(), text).await.unwrap()
}

#[tokio::test]
async fn a_checkpoint_is_what_is_read() {
    let (db, owner, mesh, ids) = world(&[("payments", "a"), ("payments", "b")]).await;
    let fresh = find(&db, &owner, &mesh, "a").await.unwrap();
    assert_eq!(
        (fresh.connected, fresh.seen_at, fresh.registration),
        (false, None, None)
    );

    let mut six = endpoint(ids[1], "fd00::7");
    (six.version, six.health) = (None, Health::Draining);
    let batch = [
        checkpoint(ids[0], Some(endpoint(ids[0], "10.0.0.7"))),
        checkpoint(ids[1], Some(six.clone())),
    ];
    proxies::checkpoint(&db.store, &mesh, Uuid::nil(), None, &batch)
        .await
        .unwrap();
    let row = find(&db, &owner, &mesh, &ids[0].to_string()).await.unwrap();
    assert_eq!(row.registration, Some(endpoint(ids[0], "10.0.0.7")));
    assert_eq!(
        (row.acked_revision, row.target_revision),
        (Some(3), Some(4))
    );
    assert_eq!(row.pending_types, ["lds", "rds"]);
    assert_eq!(row.nacks, batch[0].nacks);
    assert_eq!(row.envoy_version.as_deref(), Some("1.36.1"));
    assert_eq!(row.setup, batch[0].setup);
    assert_eq!((row.connected, row.seen_at), (true, Some(start())));
    assert_eq!(
        (row.node_id.as_str(), row.service.as_str()),
        ("a", "payments")
    );

    let endpoints = proxies::endpoints(&db.store, &mesh).await.unwrap();
    let payments = &endpoints[&name("payments")];
    assert_eq!(payments.len(), 2);
    assert_eq!(payments[&ids[1]], six);

    // Older news do not undo newer; an absent version of the Envoy is not news.
    let mut old = checkpoint(ids[0], None);
    old.seen_at -= TimeDelta::seconds(1);
    proxies::checkpoint(&db.store, &mesh, Uuid::nil(), None, &[old])
        .await
        .unwrap();
    assert!(
        find(&db, &owner, &mesh, "a")
            .await
            .unwrap()
            .registration
            .is_some()
    );
    let mut left = checkpoint(ids[0], None);
    (left.connected, left.envoy_version) = (false, None);
    proxies::checkpoint(&db.store, &mesh, Uuid::nil(), None, &[left])
        .await
        .unwrap();
    let row = find(&db, &owner, &mesh, "a").await.unwrap();
    assert_eq!(
        (
            row.connected,
            row.registration,
            row.envoy_version.as_deref()
        ),
        (false, None, Some("1.36.1"))
    );

    // None of this is a revision.
    let revision: i64 = sqlx::query_scalar("select revision from heddle.meshes")
        .fetch_one(&db.superuser().await)
        .await
        .unwrap();
    assert_eq!(revision, 2);
}

#[tokio::test]
async fn leases_end() {
    let (db, _, mesh, ids) = world(&[("payments", "a"), ("payments", "b")]).await;
    let mut longer = checkpoint(ids[1], Some(endpoint(ids[1], "10.0.0.8")));
    longer.lease_until = Some(start() + TimeDelta::minutes(5));
    let batch = [
        checkpoint(ids[0], Some(endpoint(ids[0], "10.0.0.7"))),
        longer,
    ];
    proxies::checkpoint(&db.store, &mesh, Uuid::nil(), None, &batch)
        .await
        .unwrap();
    let alive = async || -> Vec<ProxyId> {
        let endpoints = proxies::endpoints(&db.store, &mesh).await.unwrap();
        endpoints
            .values()
            .flat_map(|of| of.keys().copied())
            .collect()
    };
    assert_eq!(alive().await, ids);
    db.clock.advance(TimeDelta::minutes(1));
    assert_eq!(alive().await, [ids[1]]);
    db.clock.advance(TimeDelta::minutes(4));
    assert_eq!(alive().await, []);
}

#[tokio::test]
async fn sec_i15_text_from_outside_does_not_cost_a_batch() {
    let (db, owner, mesh, ids) = world(&[("payments", "a"), ("payments", "b")]).await;
    let mut hostile = checkpoint(ids[0], None);
    hostile.nacks =
        json!([{"message": "a\0b", "k\0": ["\0", {"x": "\u{1b}[31m' ; drop table --"}]}]);
    hostile.envoy_version = Some(String::from("\0"));
    hostile.pending_types = vec![String::from("\0")];
    let unknown = checkpoint(ProxyId::from_uuid(Uuid::from_u128(9)), None);
    let twice = [
        checkpoint(ids[1], None),
        hostile,
        unknown,
        checkpoint(ids[1], Some(endpoint(ids[1], "10.0.0.8"))),
    ];
    proxies::checkpoint(&db.store, &mesh, Uuid::nil(), None, &twice)
        .await
        .unwrap();
    proxies::checkpoint(&db.store, &mesh, Uuid::nil(), None, &[])
        .await
        .unwrap();
    let row = find(&db, &owner, &mesh, "a").await.unwrap();
    assert_eq!(row.nacks[0]["message"], "a\u{fffd}b");
    assert_eq!(
        row.nacks[0]["k\u{fffd}"][1]["x"],
        "\u{1b}[31m' ; drop table --"
    );
    // Of two entries for one proxy the later one counts.
    assert!(
        find(&db, &owner, &mesh, "b")
            .await
            .unwrap()
            .registration
            .is_some()
    );
    let rows: i64 = sqlx::query_scalar("select count(*) from heddle.proxies")
        .fetch_one(&db.superuser().await)
        .await
        .unwrap();
    assert_eq!(rows, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_batches_in_any_order_all_arrive() {
    let nodes: Vec<String> = (0..12).map(|i| format!("n{i:02}")).collect();
    let nodes: Vec<(&str, &str)> = nodes.iter().map(|n| ("payments", n.as_str())).collect();
    let (db, _, mesh, ids) = world(&nodes).await;
    let mut tasks = tokio::task::JoinSet::new();
    for round in 0..8 {
        let store = db.store.clone();
        let mut batch: Vec<Checkpoint> = ids.iter().map(|id| checkpoint(*id, None)).collect();
        for entry in &mut batch {
            entry.acked_revision = Some(round);
            entry.seen_at = start() + TimeDelta::seconds(round.cast_signed());
        }
        if round % 2 == 0 {
            batch.reverse();
        }
        tasks.spawn(async move {
            proxies::checkpoint(&store, &mesh, Uuid::nil(), None, &batch)
                .await
                .unwrap();
        });
    }
    tasks.join_all().await;
    let acked: Vec<i64> = sqlx::query_scalar("select distinct acked_revision from heddle.proxies")
        .fetch_all(&db.superuser().await)
        .await
        .unwrap();
    assert_eq!(acked, [7], "the newest wins, whatever order they came in");
}

#[tokio::test]
async fn pages_and_ambiguous_names() {
    let nodes = [
        ("b", "x"),
        ("a", "x"),
        ("a", "y/z"),
        ("a", "y"),
        ("a", "only"),
    ];
    let (db, owner, mesh, ids) = world(&nodes).await;
    let mut tx = db.store.begin(&grant::<ProxyRead>(&owner)).await.unwrap();
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = proxies::page(&mut tx, mesh.mesh(), after.as_deref(), 2)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key());
        keys.extend(page.iter().map(ProxyRow::key));
    }
    assert_eq!(keys, ["a/only", "a/x", "a/y", "a/y/z", "b/x"]);
    drop(tx);
    assert_eq!(
        find(&db, &owner, &mesh, "x").await,
        None,
        "two services have one"
    );
    assert_eq!(find(&db, &owner, &mesh, "only").await.unwrap().id, ids[4]);
    assert_eq!(
        find(&db, &owner, &mesh, &ids[1].to_string())
            .await
            .unwrap()
            .service
            .as_str(),
        "a"
    );
    assert_eq!(find(&db, &owner, &mesh, "px_junk").await, None);
}

#[tokio::test]
async fn nobody_is_connected_to_a_server_that_is_gone_and_every_registration_stays() {
    let (db, owner, mesh, ids) = world(&[("payments", "a")]).await;
    let batch = [checkpoint(ids[0], Some(endpoint(ids[0], "10.0.0.7")))];
    proxies::checkpoint(&db.store, &mesh, Uuid::nil(), None, &batch)
        .await
        .unwrap();
    proxies::disconnect_gone(&db.store, &mesh).await.unwrap();
    let row = find(&db, &owner, &mesh, "a").await.unwrap();
    assert!(!row.connected);
    assert_eq!(row.registration, Some(endpoint(ids[0], "10.0.0.7")));
}
