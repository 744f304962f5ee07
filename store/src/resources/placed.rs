//! Objects of several kinds at once, each with where it is.

use heddle_model::authz::Permission;
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use sqlx::{FromRow as _, Row as _};

use super::{COLUMNS, Row, Stored};
use crate::error::Result;
use crate::tx::Tx;

/// An object, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The object.
    pub stored: Stored,
    /// Its name, after that of its parent when it has one: `payments/all`.
    pub path: String,
}

/// All objects of some kinds in a mesh, by kind and path. In a writing transaction the answer holds until the commit.
///
/// # Errors
/// [`crate::Error::NotFound`] without such a mesh, [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn placed<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    kinds: &[Kind],
) -> Result<Vec<Placed>> {
    tx.work.lock_if_writing(mesh).await?;
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let sql = format!(
        "select {COLUMNS}, coalesce(p.name || '/', '') || r.name as path \
         from heddle.resources r \
         left join heddle.resources p on p.org_id = r.org_id and p.mesh_id = r.mesh_id \
                                     and p.id = r.parent_id and p.to_revision is null \
         where r.mesh_id = $1 and r.kind = any($2) and r.to_revision is null \
         order by r.kind, path"
    );
    let rows = sqlx::query(&sql)
        .bind(mesh.uuid())
        .bind(&kinds)
        .fetch_all(tx.work.conn())
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Placed {
                stored: Stored::try_from(Row::from_row(row)?)?,
                path: row.try_get("path")?,
            })
        })
        .collect()
}
