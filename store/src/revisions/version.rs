//! One version of an object: as it was at an instant, and what has become of it since.

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use sqlx::FromRow as _;
use sqlx::Row as _;
use uuid::Uuid;

use super::{PARENTS, Placed, parents};
use crate::error::Result;
use crate::resources::{COLUMNS, Row, Stored};
use crate::tx::Tx;

/// Which version of an object is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The newest one, which may be gone.
    Newest,
    /// The newest one that was written up to an instant; the first one where the object is younger.
    At(DateTime<Utc>),
    /// The one that a revision wrote.
    Revision(u64),
}

/// A version of an object that is there, or was.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The object as it was, with what it is below. Its `revision` is the one that wrote this version.
    pub placed: Placed<Stored>,
    /// The revision that wrote the newest version.
    pub newest: u64,
    /// The revision that deleted the object; `None` while it is there.
    pub deleted: Option<u64>,
}

/// A version of an object of a mesh; `None` when the mesh never had it.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`], [`crate::Error::Inconsistent`].
pub async fn version<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    (kind, id): (Kind, Uuid),
    when: When,
) -> Result<Option<Version>> {
    tx.work.enter(mesh)?;
    let (at, revision) = match when {
        When::Newest => (None, None),
        When::At(at) => (Some(at), None),
        When::Revision(revision) => (None, Some(revision.cast_signed())),
    };
    let sql = format!(
        "select {COLUMNS}, p.name as parent_name, g.name as grandparent_name, \
                n.from_revision as newest, n.to_revision as deleted \
         from heddle.resources r {PARENTS} \
         join heddle.revisions v on v.org_id = r.org_id and v.mesh_id = r.mesh_id and v.revision = r.from_revision \
         join lateral (select n.from_revision, n.to_revision from heddle.resources n \
                       where n.org_id = r.org_id and n.mesh_id = r.mesh_id and n.id = r.id \
                       order by n.from_revision desc limit 1) n on true \
         where r.mesh_id = $1 and r.kind = $2 and r.id = $3 and ($5::bigint is null or r.from_revision = $5) \
         order by coalesce(v.created_at > $4::timestamptz, false), \
                  case when v.created_at > $4 then r.from_revision end, r.from_revision desc \
         limit 1"
    );
    let row = sqlx::query(&sql)
        .bind(mesh.uuid())
        .bind(kind.as_str())
        .bind(id)
        .bind(at)
        .bind(revision)
        .fetch_optional(tx.work.conn())
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let object = Stored::try_from(Row::from_row(&row)?)?;
    let parents = parents(object.id, &row)?;
    Ok(Some(Version {
        placed: Placed { object, parents },
        newest: row.try_get::<i64, _>("newest")?.unsigned_abs(),
        deleted: row
            .try_get::<Option<i64>, _>("deleted")?
            .map(i64::unsigned_abs),
    }))
}
