//! Where workloads are, by the word of every server: what one of them has to know of those that are connected to others.

use heddle_model::id::ProxyId;
use heddle_model::name::Name;
use heddle_model::workload::{Endpoint, Endpoints};
use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use super::{COLUMNS, OF_PROXY, ProxyRow, Row, TABLE};
use crate::authz::MeshRef;
use crate::error::Result;
use crate::store::Store;
use crate::tx::Mode;

/// A proxy, and where it takes calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// It.
    pub proxy: ProxyId,
    /// The service that it stands in front of.
    pub service: Name,
    /// Whether it has a stream, at whichever server.
    pub connected: bool,
    /// Whether the server that asks was the last to say something about it.
    pub here: bool,
    /// Where it takes calls; `None` when it is no endpoint.
    pub endpoint: Option<Endpoint>,
}

/// Proxies, up to a number of the news.
#[derive(Debug, Clone, PartialEq)]
pub struct Workloads {
    /// Everything up to this number is in it.
    pub status: u64,
    /// They.
    pub workloads: Vec<Workload>,
}

/// Every endpoint of a mesh with a live lease.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn endpoints(store: &Store, mesh: &MeshRef) -> Result<Endpoints> {
    let all = workloads(store, mesh, Uuid::nil(), None).await?;
    let mut endpoints = Endpoints::new();
    for workload in all.workloads {
        if let Some(endpoint) = workload.endpoint {
            endpoints
                .entry(workload.service)
                .or_default()
                .insert(workload.proxy, endpoint);
        }
    }
    Ok(endpoints)
}

/// The proxies of a mesh with news after the number `after`, but for those that the server `replica` itself says are connected to it;
/// without a number, every endpoint with a live lease.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn workloads(
    store: &Store,
    mesh: &MeshRef,
    replica: Uuid,
    after: Option<u64>,
) -> Result<Workloads> {
    let mut work = store.work(mesh.org(), "xds", Mode::Read).await?;
    let now = work.now();
    // First the number: what comes meanwhile is read twice and not missed.
    let status: Option<i64> =
        sqlx::query_scalar("select seq from heddle.mesh_status where mesh_id = $1")
            .bind(mesh.mesh().uuid())
            .fetch_optional(work.conn())
            .await?;
    let which = match after {
        Some(_) => "p.status_seq > $3 and (not p.connected or p.replica is distinct from $2)",
        None => "$3::bigint is null and p.address is not null and p.lease_until > $4",
    };
    let sql = format!(
        "select {COLUMNS}, {OF_PROXY} as revoked, coalesce(p.replica = $2, false) as here from {TABLE} \
         where p.mesh_id = $1 and $4::timestamptz is not null and {which} order by p.id"
    );
    let rows = sqlx::query(&sql)
        .bind(mesh.mesh().uuid())
        .bind(replica)
        .bind(after.map(u64::cast_signed))
        .bind(now)
        .fetch_all(work.conn())
        .await?;
    let mut workloads = Vec::with_capacity(rows.len());
    for row in rows {
        let here = row.try_get("here")?;
        let row = ProxyRow::try_from(Row::from_row(&row)?)?;
        workloads.push(Workload {
            proxy: row.id,
            service: row.service,
            connected: row.connected,
            here,
            endpoint: row.registration,
        });
    }
    Ok(Workloads {
        status: status.unwrap_or_default().unsigned_abs(),
        workloads,
    })
}
