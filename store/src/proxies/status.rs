//! Checkpoints of soft state: what proxies do right now, so that another server, or the next one, starts from the same endpoints.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use heddle_model::id::ProxyId;
use heddle_model::workload::{Endpoint, Health};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use crate::authz::MeshRef;
use crate::error::{Result, retry};
use crate::revocations::OF_PROXY;
use crate::store::Store;
use crate::tx::Mode;

/// What is known of a proxy right now; it replaces what was known before.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Which proxy.
    pub proxy: ProxyId,
    /// Whether it has a stream.
    pub connected: bool,
    /// Whether it keeps its own listeners, beside what it gets.
    pub augments: bool,
    /// Where it takes calls; `None`: it is no endpoint (any more).
    pub registration: Option<Endpoint>,
    /// How long the registration holds without further news.
    pub lease_until: Option<DateTime<Utc>>,
    /// Its Envoy's version, as it says; `None`: as before.
    pub envoy_version: Option<String>,
    /// How it is set up, by its own words, as the xDS server described it; `None`: as before.
    pub setup: Option<Value>,
    /// The serial number of the leaf that it has acknowledged; `None`: as before.
    pub leaf_serial: Option<String>,
    /// The newest mesh revision that every type has acknowledged.
    pub acked_revision: Option<u64>,
    /// The mesh revision that it should have.
    pub target_revision: Option<u64>,
    /// Types with something that is not acknowledged.
    pub pending_types: Vec<String>,
    /// What it refuses.
    pub nacks: Value,
    /// When this was true: an older one than what is stored is ignored.
    pub seen_at: DateTime<Utc>,
}

/// The number of the news grows by the number of entries, and each that says something new gets one of its own. Whoever writes
/// holds the counter until the commit. A server that a proxy has left says nothing more about it. Times are compared only with
/// those of the same server: the clocks of two may be apart.
const CHECKPOINT: &str = "with b as ( \
         select * from rows from (jsonb_to_recordset($2) as ( \
             id uuid, connected boolean, augments boolean, address inet, ports jsonb, version text, draining boolean, \
             lease_until timestamptz, envoy_version text, setup jsonb, leaf_serial text, acked_revision bigint, \
             target_revision bigint, pending_types jsonb, nacks jsonb, seen_at timestamptz)) with ordinality), \
     offered as ( \
         insert into heddle.mesh_replicas (org_id, mesh_id, replica, revision, seen_at) \
         select $3, $1, $4, $5, $6 where $5::bigint is not null \
         on conflict (org_id, mesh_id, replica) do update set \
             revision = greatest(mesh_replicas.revision, excluded.revision), seen_at = excluded.seen_at), \
     news as ( \
         insert into heddle.mesh_status (org_id, mesh_id, seq) values ($3, $1, 1 + jsonb_array_length($2)) \
         on conflict (org_id, mesh_id) do update set seq = mesh_status.seq + excluded.seq, xid = pg_current_xact_id() \
         returning seq), \
     wrote as (update heddle.proxies p set \
         connected = b.connected, augments = b.augments, address = b.address, ports = b.ports, version = b.version, \
         draining = b.draining, lease_until = b.lease_until, \
         envoy_version = coalesce(b.envoy_version, p.envoy_version), \
         setup = coalesce(b.setup, p.setup), \
         leaf_serial = coalesce(b.leaf_serial, p.leaf_serial), \
         acked_revision = b.acked_revision, target_revision = b.target_revision, \
         pending_types = b.pending_types, nacks = b.nacks, seen_at = b.seen_at, replica = $4, \
         status_seq = case \
             when (p.connected, p.augments, p.address, p.ports, p.version, p.draining, p.acked_revision, p.target_revision, \
                   p.pending_types, p.nacks) \
                  is distinct from \
                  (b.connected, b.augments, b.address, b.ports, b.version, b.draining, b.acked_revision, b.target_revision, \
                   b.pending_types, b.nacks) \
             then news.seq - jsonb_array_length($2) + b.ordinality else p.status_seq end \
     from b, news \
     where p.mesh_id = $1 and p.id = b.id \
       and (p.seen_at is null or p.seen_at <= b.seen_at or p.replica is distinct from $4) \
       and (b.connected or not p.connected or p.replica is null or p.replica = $4)) \
     select seq - 1 - jsonb_array_length($2), seq from news";

/// Stores what is known of proxies of one mesh that are connected to one server: one statement, no revision, not waiting for the
/// disk. Proxies that were forgotten are passed over. `offered`: up to this revision everything was shown to the proxies that are
/// connected there, so those of them that have what they should have are as far.
///
/// Returns the number of the news before this one and that of the last of these.
///
/// # Errors
/// [`crate::Error::Unavailable`]: nothing was stored.
pub async fn checkpoint(
    store: &Store,
    mesh: &MeshRef,
    replica: Uuid,
    offered: Option<u64>,
    batch: &[Checkpoint],
) -> Result<Option<(u64, u64)>> {
    if batch.is_empty() && offered.is_none() {
        return Ok(None);
    }
    let rows: Vec<Value> = newest(batch).into_values().map(row).collect();
    let rows = Json(rows);
    retry!(async {
        let mut work = store.work(mesh.org(), "xds", Mode::Soft).await?;
        let now = work.now();
        let (before, last): (i64, i64) = sqlx::query_as(CHECKPOINT)
            .bind(mesh.mesh().uuid())
            .bind(&rows)
            .bind(mesh.org().uuid())
            .bind(replica)
            .bind(offered.map(u64::cast_signed))
            .bind(now)
            .fetch_one(work.conn())
            .await?;
        work.commit().await?;
        store.tell(*mesh);
        Ok::<_, crate::Error>(Some((before.unsigned_abs(), last.unsigned_abs())))
    })
}

/// One statement updates a row once: of several entries of a proxy the last one counts.
fn newest(batch: &[Checkpoint]) -> BTreeMap<ProxyId, &Checkpoint> {
    batch.iter().map(|entry| (entry.proxy, entry)).collect()
}

fn row(entry: &Checkpoint) -> Value {
    let at = entry.registration.as_ref();
    let mut row = json!({
        "id": entry.proxy.uuid(),
        "connected": entry.connected,
        "augments": entry.augments,
        "address": at.map(|e| e.address),
        "ports": at.map(|e| &e.ports),
        "version": at.and_then(|e| e.version.as_ref()),
        "draining": at.is_some_and(|e| e.health == Health::Draining),
        "lease_until": entry.lease_until,
        "envoy_version": entry.envoy_version,
        "setup": entry.setup,
        "leaf_serial": entry.leaf_serial,
        "acked_revision": entry.acked_revision,
        "target_revision": entry.target_revision,
        "pending_types": entry.pending_types,
        "nacks": entry.nacks,
        "seen_at": entry.seen_at,
    });
    without_nul(&mut row);
    row
}

/// Texts of proxies are text from outside. One NUL, which Postgres refuses, must not cost a whole batch.
fn without_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(without_nul),
        Value::Object(map) => {
            if map.keys().any(|key| key.contains('\0')) {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(key, value)| (key.replace('\0', "\u{fffd}"), value))
                    .collect();
            }
            map.values_mut().for_each(without_nul);
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Notes that no proxy of a mesh has a stream at a server that does not live any more. Registrations stay as they are, and so does
/// how far each of them came.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn disconnect_gone(store: &Store, mesh: &MeshRef) -> Result<()> {
    let mut work = store.work(mesh.org(), "xds", Mode::Soft).await?;
    let done = sqlx::query(
        "with living as (select replica from heddle.replicas where lease_until > now()), \
         gone as ( \
             select p.id, r.revision, row_number() over () as nth from heddle.proxies p \
             left join heddle.mesh_replicas r on r.mesh_id = p.mesh_id and r.replica = p.replica \
             where p.mesh_id = $1 and p.connected and not exists (select from living l where l.replica = p.replica)), \
         ended as ( \
             delete from heddle.mesh_replicas r \
             where r.mesh_id = $1 and not exists (select from living l where l.replica = r.replica)), \
         news as ( \
             insert into heddle.mesh_status (org_id, mesh_id, seq) \
             select $2, $1, count(*) from gone having count(*) > 0 \
             on conflict (org_id, mesh_id) do update set seq = mesh_status.seq + excluded.seq, xid = pg_current_xact_id() \
             returning seq) \
         update heddle.proxies p set connected = false, away_since = now(), \
             acked_revision = case when p.acked_revision >= p.target_revision \
                              then greatest(p.acked_revision, gone.revision) else p.acked_revision end, \
             status_seq = news.seq - (select count(*) from gone) + gone.nth \
         from gone, news where p.mesh_id = $1 and p.id = gone.id",
    )
    .bind(mesh.mesh().uuid())
    .bind(mesh.org().uuid())
    .execute(work.conn())
    .await?;
    work.commit().await?;
    if done.rows_affected() > 0 {
        store.tell(*mesh);
    }
    Ok(())
}

/// A proxy that may no longer have a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ousted {
    /// It.
    pub proxy: ProxyId,
    /// Whether it, or its service, is revoked; otherwise it was forgotten, or its join token revoked, or its mesh deleted.
    pub revoked: bool,
}

/// Which of these proxies may no longer have a stream: revoked, forgotten, join token revoked, mesh deleted.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn ousted(store: &Store, mesh: &MeshRef, proxies: &[ProxyId]) -> Result<Vec<Ousted>> {
    let mut work = store.work(mesh.org(), "xds", Mode::Read).await?;
    let ids: Vec<Uuid> = proxies.iter().copied().map(ProxyId::uuid).collect();
    let sql = format!(
        "select given.id, {OF_PROXY} as revoked \
         from unnest($2::uuid[]) as given (id) \
         left join heddle.proxies p on p.mesh_id = $1 and p.id = given.id \
         left join heddle.join_tokens j on j.org_id = p.org_id and j.id = p.join_token_id and j.revoked_at is null \
         left join heddle.meshes m on m.org_id = p.org_id and m.mesh_id = p.mesh_id and m.deleted_at is null \
         where j.id is null or m.mesh_id is null or {OF_PROXY}"
    );
    let gone: Vec<(Uuid, bool)> = sqlx::query_as(&sql)
        .bind(mesh.mesh().uuid())
        .bind(&ids)
        .fetch_all(work.conn())
        .await?;
    let ousted = |(proxy, revoked)| Ousted {
        proxy: ProxyId::from_uuid(proxy),
        revoked,
    };
    Ok(gone.into_iter().map(ousted).collect())
}
