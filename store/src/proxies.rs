//! Proxies: bound to a service by their join token, and what they were last seen doing.

mod admission;
mod agents;
mod ephemeral;
mod join;
mod news;
mod refused;
mod rollout;
mod status;
mod workloads;

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::ProxyWrite;
use heddle_model::id::{JoinTokenId, MeshId, ProxyId};
use heddle_model::name::Name;
use heddle_model::workload::{Endpoint, Health};
use serde_json::{Map, Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result, inconsistent};
use crate::revocations::OF_PROXY;
use crate::tx::{Change, Tx, Work};

pub use admission::Arrival;
pub(crate) use agents::{AGENTS, SEEN, SEEN_TOGETHER, SeenAgents};
pub use agents::{AgentSeen, agent_seen, agents_seen};
pub use ephemeral::forget_away;
pub(crate) use join::Joins;
pub use join::{JoinRefused, JoinScope, Joined, bars, join, token_scope};
pub use news::{Forgotten, forgotten, news};
pub(crate) use refused::Refusals;
pub use refused::{Turned, turned_away};
pub(crate) use rollout::STANDS;
pub use rollout::{Counts, Rollout, Stands, counts, rollout};
pub use status::{Checkpoint, Ousted, checkpoint, disconnect_gone, ousted};
pub use workloads::{Workload, Workloads, endpoints, workloads};

/// A proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyRow {
    /// Its identifier.
    pub id: ProxyId,
    /// What its Envoy calls itself; unique within the service.
    pub node_id: String,
    /// The service that it stands in front of.
    pub service: Name,
    /// The join token that it is bound to.
    pub join_token: JoinTokenId,
    /// When it came first.
    pub joined_at: DateTime<Utc>,
    /// The labels of its join token.
    pub labels: Map<String, Value>,
    /// Whether it is forgotten once it has been away for a while.
    pub ephemeral: bool,
    /// Whether it, or its service, is revoked.
    pub revoked: bool,
    /// Whether it had a stream when it was last seen.
    pub connected: bool,
    /// Whether it keeps its own listeners, beside what it gets.
    pub augments: bool,
    /// Where it takes calls; `None` when it is no endpoint.
    pub registration: Option<Endpoint>,
    /// How long the registration holds without further news.
    pub lease_until: Option<DateTime<Utc>>,
    /// Its Envoy's version, as it says.
    pub envoy_version: Option<String>,
    /// How it is set up, as the xDS server described it; `None` when it was not connected since that is kept.
    pub setup: Option<Value>,
    /// The newest mesh revision of which it has everything that concerns it.
    pub acked_revision: Option<u64>,
    /// The mesh revision that gave it the configuration that it should have.
    pub target_revision: Option<u64>,
    /// Types with something that is not acknowledged.
    pub pending_types: Vec<String>,
    /// What it refuses, as the xDS server described it.
    pub nacks: Value,
    /// When it was last seen.
    pub seen_at: Option<DateTime<Utc>>,
}

impl ProxyRow {
    /// What [`page`] continues after.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.service, self.node_id)
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    node_id: String,
    service: String,
    join_token_id: Uuid,
    joined_at: DateTime<Utc>,
    #[sqlx(json)]
    labels: Map<String, Value>,
    ephemeral: bool,
    revoked: bool,
    connected: bool,
    augments: bool,
    address: Option<String>,
    ports: Option<Json<BTreeMap<Name, u16>>>,
    version: Option<String>,
    draining: bool,
    lease_until: Option<DateTime<Utc>>,
    envoy_version: Option<String>,
    setup: Option<Value>,
    acked_revision: Option<i64>,
    target_revision: Option<i64>,
    pending_types: Json<Vec<String>>,
    nacks: Value,
    seen_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "p.id, p.node_id, p.service, p.join_token_id, t.labels, t.ephemeral, p.joined_at, p.connected, p.augments, \
     host(p.address) as address, p.ports, p.version, p.draining, p.lease_until, p.envoy_version, p.setup, \
     case when p.connected and p.acked_revision >= p.target_revision \
          then greatest(p.acked_revision, r.revision) else p.acked_revision end as acked_revision, \
     p.target_revision, p.pending_types, p.nacks, p.seen_at";

/// Proxies, each with the server that it is connected to: it is as far as that one when it has what it should have.
pub(crate) const TABLE: &str = "heddle.proxies p \
     join heddle.join_tokens t on t.org_id = p.org_id and t.id = p.join_token_id \
     left join heddle.mesh_replicas r \
     on r.org_id = p.org_id and r.mesh_id = p.mesh_id and r.replica = p.replica";

impl TryFrom<Row> for ProxyRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = ProxyId::from_uuid(row.id);
        let name = |column, text: &str| {
            text.parse::<Name>()
                .map_err(|e| inconsistent("proxies", column, id, e))
        };
        let version = row
            .version
            .as_deref()
            .map(|v| name("version", v))
            .transpose()?;
        let registration = match (row.address, row.ports) {
            (Some(address), Some(Json(ports))) => Some(Endpoint {
                proxy: id,
                version,
                address: address
                    .parse::<IpAddr>()
                    .map_err(|e| inconsistent("proxies", "address", id, e))?,
                ports,
                health: if row.draining {
                    Health::Draining
                } else {
                    Health::Healthy
                },
            }),
            _ => None,
        };
        Ok(Self {
            id,
            service: name("service", &row.service)?,
            node_id: row.node_id,
            join_token: JoinTokenId::from_uuid(row.join_token_id),
            joined_at: row.joined_at,
            labels: row.labels,
            ephemeral: row.ephemeral,
            revoked: row.revoked,
            connected: row.connected,
            augments: row.augments,
            registration,
            lease_until: row.lease_until,
            envoy_version: row.envoy_version,
            setup: row.setup,
            acked_revision: row.acked_revision.map(i64::unsigned_abs),
            target_revision: row.target_revision.map(i64::unsigned_abs),
            pending_types: row.pending_types.0,
            nacks: row.nacks,
            seen_at: row.seen_at,
        })
    }
}

/// Finds a proxy by identifier or node id. A node id that several services use names none of them.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    name_or_id: &str,
) -> Result<Option<ProxyRow>> {
    let id = name_or_id.parse::<ProxyId>().ok().map(ProxyId::uuid);
    let node = id.is_none().then_some(name_or_id);
    let mut rows = select(&mut tx.work, mesh, id, node, None, Some(2)).await?;
    Ok(if rows.len() == 1 { rows.pop() } else { None })
}

/// The proxies in the order of service and node id, after the [`ProxyRow::key`] `after`, at most `limit`.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ProxyRow>> {
    select(&mut tx.work, mesh, None, None, after, Some(limit)).await
}

async fn select(
    work: &mut Work,
    mesh: MeshId,
    id: Option<Uuid>,
    node: Option<&str>,
    after: Option<&str>,
    limit: Option<u32>,
) -> Result<Vec<ProxyRow>> {
    work.enter(mesh)?;
    // A service has no slash, so up to the first one the cursor is a service.
    let (service, after_node) = after.and_then(|a| a.split_once('/')).unwrap_or_default();
    let sql = format!(
        "select {COLUMNS}, {OF_PROXY} as revoked from {TABLE} \
         where p.mesh_id = $1 and ($2::uuid is null or p.id = $2) and ($3::text is null or p.node_id = $3) \
           and (p.service, p.node_id) > ($4, $5) \
         order by p.service, p.node_id limit $6"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(id)
        .bind(node)
        .bind(service)
        .bind(after_node)
        .bind(limit.map(i64::from))
        .fetch_all(work.conn())
        .await?;
    rows.into_iter().map(ProxyRow::try_from).collect()
}

/// Forgets a proxy: its stream ends, its certificates are not taken for current any more. With a reusable join token
/// it may join anew; a one-off token stays used.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unavailable`].
pub async fn forget(tx: &mut Tx<ProxyWrite>, mesh: MeshId, proxy: &ProxyRow) -> Result<()> {
    let work = &mut tx.work;
    work.lock(mesh).await?;
    let before = json!({"service": proxy.service, "join_token": proxy.join_token});
    remove(work, mesh, proxy.id, &proxy.node_id, before.as_object()).await
}

async fn remove(
    work: &mut Work,
    mesh: MeshId,
    proxy: ProxyId,
    node_id: &str,
    before: Option<&Map<String, Value>>,
) -> Result<()> {
    let now = work.now();
    let done = sqlx::query("delete from heddle.proxies where mesh_id = $1 and id = $2")
        .bind(mesh.uuid())
        .bind(proxy.uuid())
        .execute(work.conn())
        .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    sqlx::query("delete from heddle.agents where mesh_id = $1 and proxy_id = $2")
        .bind(mesh.uuid())
        .bind(proxy.uuid())
        .execute(work.conn())
        .await?;
    sqlx::query(
        "update heddle.certificates set revoked_at = $3 \
         where mesh_id = $1 and proxy_id = $2 and revoked_at is null",
    )
    .bind(mesh.uuid())
    .bind(proxy.uuid())
    .bind(now)
    .execute(work.conn())
    .await?;
    work.record(Change {
        mesh: Some(mesh),
        revision: None,
        action: "forget",
        kind: "proxy",
        id: proxy.uuid(),
        name: node_id,
        before,
        after: None,
    })
    .await
}
