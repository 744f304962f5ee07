//! What is new about proxies, for whoever knows how far they have read.

use heddle_model::authz::permission::ProxyRead;
use heddle_model::id::{MeshId, ProxyId};
use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use super::{COLUMNS, OF_PROXY, ProxyRow, Row, TABLE};
use crate::error::Result;
use crate::tx::Tx;

/// The proxies about which there is news after the number `after`, with the number of the newest of each, in its order, at most
/// `limit`. What happened in between is not kept: a proxy is there once, as it is now.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`].
pub async fn news(
    tx: &mut Tx<ProxyRead>,
    mesh: MeshId,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, ProxyRow)>> {
    tx.work.enter(mesh)?;
    let sql = format!(
        "select {COLUMNS}, {OF_PROXY} as revoked, p.status_seq from {TABLE} \
         where p.mesh_id = $1 and p.status_seq > $2 order by p.status_seq limit $3"
    );
    let rows = sqlx::query(&sql)
        .bind(mesh.uuid())
        .bind(after.cast_signed())
        .bind(i64::from(limit))
        .fetch_all(tx.work.conn())
        .await?;
    rows.iter()
        .map(|row| {
            let seq: i64 = row.try_get("status_seq")?;
            Ok((seq.unsigned_abs(), ProxyRow::try_from(Row::from_row(row)?)?))
        })
        .collect()
}

/// A proxy that was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The place in the mesh's audit log.
    pub seq: u64,
    /// It.
    pub proxy: ProxyId,
    /// What its Envoy called itself.
    pub node_id: String,
}

/// The proxies that were forgotten after a place in the mesh's audit log, in its order, at most `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`].
pub async fn forgotten(
    tx: &mut Tx<ProxyRead>,
    mesh: MeshId,
    after: u64,
    limit: u32,
) -> Result<Vec<Forgotten>> {
    tx.work.enter(mesh)?;
    let rows: Vec<(i64, Uuid, String)> = sqlx::query_as(
        "select c.seq, c.resource_id, c.name from heddle.changes c \
         where c.chain = $1 and c.seq > $2 and c.kind = 'proxy' and c.action = 'forget' order by c.seq limit $3",
    )
    .bind(mesh.uuid())
    .bind(after.cast_signed())
    .bind(i64::from(limit))
    .fetch_all(tx.work.conn())
    .await?;
    let forgotten = |(seq, proxy, node_id): (i64, _, _)| Forgotten {
        seq: seq.unsigned_abs(),
        proxy: ProxyId::from_uuid(proxy),
        node_id,
    };
    Ok(rows.into_iter().map(forgotten).collect())
}
