//! Whose an object is.

use heddle_model::authz::{Permission, access};
use heddle_model::id::MeshId;
use heddle_model::manager::ManagedBy;
use sqlx::types::Json;

use super::Stored;
use crate::error::Result;
use crate::tx::{Change, Tx};

/// Gives an object that was just written or read to a manager, or to nobody. Nothing happens when it is so already. Not a
/// change of configuration: it makes no revision. `written` says whether the same transaction wrote the object, so that
/// the audit log has its entry already.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn own<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    stored: &mut Stored,
    owner: Option<&ManagedBy>,
    written: bool,
) -> Result<()> {
    if stored.managed_by.as_ref() == owner {
        return Ok(());
    }
    let work = &mut tx.work;
    sqlx::query(
        "update heddle.resources set managed_by = $3 \
         where mesh_id = $1 and id = $2 and to_revision is null",
    )
    .bind(mesh.uuid())
    .bind(stored.id)
    .bind(owner.map(Json))
    .execute(work.conn())
    .await?;
    stored.managed_by = owner.cloned();
    if !written {
        work.record(Change {
            mesh: Some(mesh),
            revision: None,
            action: if owner.is_some() { "adopt" } else { "release" },
            kind: stored.kind.as_str(),
            id: stored.id,
            name: stored.name.as_str(),
            before: None,
            after: None,
        })
        .await?;
    }
    Ok(())
}
