//! Short ways to fill a database.

use heddle_model::authz::permission::{AccessWrite, ConfigWrite, JoinTokenWrite, MeshWrite};
use heddle_model::id::{MeshId, ProxyId};
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_store::join_tokens::{self, NewJoinToken};
use heddle_store::meshes::{self, MeshRow};
use heddle_store::proxies::Arrival;
use heddle_store::resources::{self, Address, Precondition, Put, Stored};
use heddle_store::{Caller, Committed, Error, MeshRef, Store, proxies};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::support::grant;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

pub(crate) async fn mesh(store: &Store, caller: &Caller, mesh: &str) -> MeshRow {
    let mut tx = store.begin(&grant::<MeshWrite>(caller)).await.unwrap();
    let domain = format!(
        "{mesh}-{}.example",
        caller.org().to_string().replace('_', "-")
    );
    let sent = object(json!({"display_name": mesh, "deletion_protection": false}));
    let row = meshes::insert(&mut tx, &name(mesh), &domain, &sent)
        .await
        .unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, Some(1));
    row
}

pub(crate) async fn mesh_ref(store: &Store, caller: &Caller, mesh: &MeshRow) -> MeshRef {
    let tx = store.begin(&grant::<MeshWrite>(caller)).await.unwrap();
    tx.mesh_ref(mesh)
}

pub(crate) fn service_spec(port: u16) -> Map<String, Value> {
    object(json!({"ports": [{"name": "http", "port": port, "protocol": "http"}]}))
}

pub(crate) fn route_spec(priority: u32) -> Map<String, Value> {
    object(json!({"priority": priority, "backends": [{"version": "v1"}]}))
}

pub(crate) fn split_spec(v1: u32, v2: u32) -> Map<String, Value> {
    object(json!({"weights": [{"version": "v1", "weight": v1}, {"version": "v2", "weight": v2}]}))
}

pub(crate) fn rule_spec(caller: &str) -> Map<String, Value> {
    object(json!({"action": "allow", "from": [{"service": caller}]}))
}

pub(crate) fn address(mesh: MeshId, kind: Kind, parent: Option<Uuid>, name: &Name) -> Address<'_> {
    Address {
        mesh,
        kind,
        parent,
        name,
    }
}

/// Puts one object in a transaction of its own.
pub(crate) async fn put_if(
    store: &Store,
    caller: &Caller,
    at: &Address<'_>,
    sent: &Map<String, Value>,
    precondition: &Precondition,
) -> Result<(Put, Committed), Error> {
    if at.kind == Kind::AccessRule {
        let mut tx = store.begin(&grant::<AccessWrite>(caller)).await?;
        let put = resources::put(&mut tx, at, sent, precondition).await?;
        return Ok((put, tx.commit().await?));
    }
    let mut tx = store.begin(&grant::<ConfigWrite>(caller)).await?;
    let put = resources::put(&mut tx, at, sent, precondition).await?;
    Ok((put, tx.commit().await?))
}

pub(crate) async fn put(
    store: &Store,
    caller: &Caller,
    at: &Address<'_>,
    sent: &Map<String, Value>,
) -> (Put, Committed) {
    put_if(store, caller, at, sent, &Precondition::None)
        .await
        .unwrap()
}

pub(crate) async fn service(store: &Store, caller: &Caller, mesh: MeshId, service: &str) -> Stored {
    let service = name(service);
    let at = address(mesh, Kind::Service, None, &service);
    put(store, caller, &at, &service_spec(8080)).await.0.stored
}

pub(crate) async fn join_token(
    store: &Store,
    caller: &Caller,
    mesh: MeshId,
    token: &str,
    service: &str,
    reusable: bool,
) -> SecretString {
    let new = NewJoinToken {
        name: name(token),
        service: name(service),
        reusable,
        bounds: join_tokens::Bounds::default(),
        expires_at: Some(crate::support::start() + chrono::TimeDelta::hours(1)),
    };
    let mut tx = store.begin(&grant::<JoinTokenWrite>(caller)).await.unwrap();
    let created = join_tokens::create(&mut tx, mesh, &new).await.unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, None);
    created.secret
}

/// Which of these proxies may not stay.
pub(crate) async fn ousted(store: &Store, mesh: &MeshRef, asked: &[ProxyId]) -> Vec<ProxyId> {
    let ousted = proxies::ousted(store, mesh, asked).await.unwrap();
    ousted.into_iter().map(|one| one.proxy).collect()
}

/// A proxy that comes from nobody knows where.
pub(crate) const fn arriving(node_id: &str) -> Arrival<'_> {
    Arrival {
        node_id,
        from: None,
        claimed: None,
    }
}
