//! Where the news of a mesh end: three numbers that only grow, and that nobody sees grow out of order.

use heddle_model::authz::Permission;
use heddle_model::id::MeshId;
use sqlx::PgConnection;

use crate::authz::MeshRef;
use crate::error::Result;
use crate::store::Store;
use crate::tx::{Mode, Tx};

/// How far a mesh is, or how far somebody has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heads {
    /// Its revision.
    pub revision: u64,
    /// Rows of its audit log.
    pub audit: u64,
    /// News about its proxies.
    pub status: u64,
}

/// The heads of a live mesh.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`].
pub async fn heads<P: Permission>(tx: &mut Tx<P>, mesh: MeshId) -> Result<Option<Heads>> {
    tx.work.enter(mesh)?;
    select(tx.work.conn(), mesh).await
}

/// The heads of a mesh that the caller was led to; `None` when it was deleted.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn look(store: &Store, mesh: &MeshRef) -> Result<Option<Heads>> {
    let mut work = store.work(mesh.org(), "live", Mode::Read).await?;
    select(work.conn(), mesh.mesh()).await
}

async fn select(conn: &mut PgConnection, mesh: MeshId) -> Result<Option<Heads>> {
    let row: Option<(i64, i64, i64)> = sqlx::query_as(
        "select m.revision, coalesce(h.seq, 0), coalesce(s.seq, 0) from heddle.meshes m \
         left join heddle.audit_heads h on h.org_id = m.org_id and h.chain = m.mesh_id \
         left join heddle.mesh_status s on s.org_id = m.org_id and s.mesh_id = m.mesh_id \
         where m.mesh_id = $1 and m.deleted_at is null",
    )
    .bind(mesh.uuid())
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(revision, audit, status)| Heads {
        revision: revision.unsigned_abs(),
        audit: audit.unsigned_abs(),
        status: status.unsigned_abs(),
    }))
}
