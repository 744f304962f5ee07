//! Declarative objects: all kinds in one table, each version kept.
//!
//! What a user sent is stored and given back as it is. Content is judged before it comes here; this file judges
//! only what needs the other rows: names among siblings, preconditions, priorities.

mod batch;
mod own;
mod placed;
mod replace;
mod write;

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::{AccessRuleId, MeshId, ProfileId, RouteId, ServiceId, SplitId};
use heddle_model::kind::Kind;
use heddle_model::manager::ManagedBy;
use heddle_model::name::Name;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sqlx::QueryBuilder;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result, inconsistent};
use crate::listing::Wanted;
use crate::tx::{Tx, Work};

pub use batch::{Pair, Step, equal, everything, new_id, write_all};
pub use own::own;
pub use placed::{Placed, placed};
pub use replace::replace_seen;
pub use write::{Put, delete, insert, put};
pub(crate) use write::{granted, insert_row, put_row, require_match};

/// The shape of `spec` that this version writes.
pub(crate) const SPEC_VERSION: i32 = 1;

/// An object as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its identifier, without the prefix that its kind gives it.
    pub id: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// The object that it is below; `None` directly below the mesh.
    pub parent: Option<Uuid>,
    /// Its name.
    pub name: Name,
    /// What the user sent.
    pub sent: Map<String, Value>,
    /// The revision of the mesh that wrote it last.
    pub revision: u64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
    /// Who looks after it.
    pub managed_by: Option<ManagedBy>,
}

impl Stored {
    /// The strong entity tag, quoted: `"r<revision>-<8 hex digits of the content>"`.
    #[must_use]
    pub fn etag(&self) -> String {
        // jsonb gives keys back in one fixed order, so equal content has equal text.
        let mut content = serde_json::to_string(&self.sent).unwrap_or_default();
        if let Some(owner) = &self.managed_by {
            content.push_str(&format!("{owner:?}"));
        }
        let digest = Sha256::digest(content.as_bytes());
        format!("\"r{}-{}\"", self.revision, hex::encode(&digest[..4]))
    }
}

/// What must hold of an object for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    None,
    /// `If-Match`: it has this entity tag; `*`: it exists.
    Match(String),
    /// `If-None-Match: *`: it does not exist.
    Absent,
}

/// Which object is meant.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// The mesh.
    pub mesh: MeshId,
    /// The kind.
    pub kind: Kind,
    /// The object that it is below; `None` directly below the mesh.
    pub parent: Option<Uuid>,
    /// Its name.
    pub name: &'a Name,
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    kind: String,
    parent_id: Option<Uuid>,
    name: String,
    spec: Value,
    spec_version: i32,
    from_revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    managed_by: Option<Json<ManagedBy>>,
}

pub(crate) const COLUMNS: &str = "r.id, r.kind, r.parent_id, r.name, r.spec, r.spec_version, \
                                  r.from_revision, r.created_at, r.updated_at, r.managed_by";

impl TryFrom<Row> for Stored {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let bad = |column, reason: String| inconsistent("resources", column, row.id, reason);
        if row.spec_version != SPEC_VERSION {
            let reason = format!("version {} is unknown", row.spec_version);
            return Err(bad("spec_version", reason));
        }
        let kind = row
            .kind
            .parse()
            .map_err(|_| bad("kind", row.kind.clone()))?;
        let name = row
            .name
            .parse()
            .map_err(|_| bad("name", row.name.clone()))?;
        let Value::Object(sent) = row.spec else {
            return Err(inconsistent("resources", "spec", row.id, "not an object"));
        };
        Ok(Self {
            id: row.id,
            kind,
            parent: row.parent_id,
            name,
            sent,
            revision: row.from_revision.unsigned_abs(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            managed_by: row.managed_by.map(|Json(owner)| owner),
        })
    }
}

/// How a path segment names an object: names have no underscore, identifiers do.
pub(crate) enum Named<'a> {
    Id(Uuid),
    Name(&'a str),
}

/// Reads a path segment; `None` when it is the identifier of another kind or nothing at all.
pub(crate) fn named(kind: Kind, text: &str) -> Option<Named<'_>> {
    if !text.contains('_') {
        return Some(Named::Name(text));
    }
    let id = match kind {
        Kind::Mesh => text.parse().ok().map(MeshId::uuid),
        Kind::Service => text.parse().ok().map(ServiceId::uuid),
        Kind::Route => text.parse().ok().map(RouteId::uuid),
        Kind::Split => text.parse().ok().map(SplitId::uuid),
        Kind::AccessRule => text.parse().ok().map(AccessRuleId::uuid),
        Kind::Profile => text.parse().ok().map(ProfileId::uuid),
    };
    id.map(Named::Id)
}

/// Finds an object below `parent` by name or identifier.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    kind: Kind,
    parent: Option<Uuid>,
    name_or_id: &str,
) -> Result<Option<Stored>> {
    match named(kind, name_or_id) {
        Some(named) => find_row(&mut tx.work, mesh, kind, parent, &named).await,
        None => Ok(None),
    }
}

pub(crate) async fn find_row(
    work: &mut Work,
    mesh: MeshId,
    kind: Kind,
    parent: Option<Uuid>,
    named: &Named<'_>,
) -> Result<Option<Stored>> {
    work.enter(mesh)?;
    let (column, id, name) = match named {
        Named::Id(id) => ("r.id = $4", Some(*id), None),
        Named::Name(name) => ("r.name = $5", None, Some(*name)),
    };
    let sql = format!(
        "select {COLUMNS} from heddle.resources r \
         where r.mesh_id = $1 and r.kind = $2 and coalesce(r.parent_id, r.mesh_id) = coalesce($3, $1) \
           and r.to_revision is null and {column} and ($4::uuid is null or $5::text is null)"
    );
    let row: Option<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(kind.as_str())
        .bind(parent)
        .bind(id)
        .bind(name)
        .fetch_optional(work.conn())
        .await?;
    row.map(Stored::try_from).transpose()
}

/// Which objects of a kind a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// Those of one parent; `None` is the mesh itself.
    One(Option<Uuid>),
    /// Those of every parent in the mesh.
    Any,
}

/// The objects of a kind that are wanted.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn search<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    kind: Kind,
    below: Below,
    wanted: &Wanted,
) -> Result<Vec<Stored>> {
    tx.work.enter(mesh)?;
    let mut query = QueryBuilder::new("select ");
    query
        .push(COLUMNS)
        .push(" from heddle.resources r where r.to_revision is null and r.mesh_id = ")
        .push_bind(mesh.uuid())
        .push(" and r.kind = ")
        .push_bind(kind.as_str());
    if let Below::One(parent) = below {
        query
            .push(" and coalesce(r.parent_id, r.mesh_id) = ")
            .push_bind(parent.unwrap_or(mesh.uuid()));
    }
    wanted.push(&mut query);
    // What clients make up is not worth the connection's memory.
    let rows: Vec<Row> = query
        .build_query_as()
        .persistent(wanted.filter.is_none())
        .fetch_all(tx.work.conn())
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// What some objects of a mesh are called, and what they are below.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn names<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, Name, Option<Uuid>)>> {
    tx.work.enter(mesh)?;
    let rows: Vec<(Uuid, String, Option<Uuid>)> = sqlx::query_as(
        "select r.id, r.name, r.parent_id from heddle.resources r \
         where r.mesh_id = $1 and r.id = any($2) and r.to_revision is null",
    )
    .bind(mesh.uuid())
    .bind(ids)
    .fetch_all(tx.work.conn())
    .await?;
    let named = |(id, name, parent): (Uuid, String, Option<Uuid>)| match name.parse() {
        Ok(name) => Ok((id, name, parent)),
        Err(error) => Err(inconsistent("resources", "name", id, error)),
    };
    rows.into_iter().map(named).collect()
}

/// All objects below `parent` in the order of their names.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn all<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    kind: Kind,
    parent: Option<Uuid>,
) -> Result<Vec<Stored>> {
    tx.work.enter(mesh)?;
    let sql = format!(
        "select {COLUMNS} from heddle.resources r \
         where r.mesh_id = $1 and r.kind = $2 and coalesce(r.parent_id, r.mesh_id) = coalesce($3, $1) \
           and r.to_revision is null \
         order by r.name"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(kind.as_str())
        .bind(parent)
        .fetch_all(tx.work.conn())
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// For each name, whether the mesh has such a service. In a writing transaction the answer holds until the commit.
///
/// # Errors
/// [`Error::NotFound`] without such a mesh, [`Error::Unavailable`].
pub async fn service_exists<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    names: &[Name],
) -> Result<Vec<bool>> {
    exists(tx, mesh, Kind::Service, names).await
}

/// For each name, whether the mesh has such an object directly below it. In a writing transaction the answer holds until
/// the commit.
///
/// # Errors
/// [`Error::NotFound`] without such a mesh, [`Error::Unavailable`].
pub async fn exists<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    kind: Kind,
    names: &[Name],
) -> Result<Vec<bool>> {
    tx.work.lock_if_writing(mesh).await?;
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    let found: Vec<String> = sqlx::query_scalar(
        "select r.name from heddle.resources r \
         where r.mesh_id = $1 and r.kind = $3 and r.parent_id is null and r.to_revision is null \
           and r.name = any($2)",
    )
    .bind(mesh.uuid())
    .bind(&names)
    .bind(kind.as_str())
    .fetch_all(tx.work.conn())
    .await?;
    Ok(names
        .iter()
        .map(|name| found.iter().any(|f| f == name))
        .collect())
}

/// The service that answers for a host: as its name, as `<name>.<mesh>.mesh`, or among its `hostnames`. The object
/// `except` is not looked at. In a writing transaction the answer holds until the commit.
///
/// # Errors
/// [`Error::NotFound`] without such a mesh, [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn host_owner<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    host: &str,
    except: Option<Uuid>,
) -> Result<Option<Name>> {
    tx.work.lock_if_writing(mesh).await?;
    let owner: Option<(Uuid, String)> = sqlx::query_as(
        "select r.id, r.name from heddle.resources r join heddle.meshes m using (org_id, mesh_id) \
         where r.mesh_id = $1 and r.kind = 'service' and r.to_revision is null \
           and r.id is distinct from $3 \
           and (r.name = $2 or r.name || '.' || m.name || '.mesh' = $2 or r.spec -> 'hostnames' ? $2) \
         order by r.name limit 1",
    )
    .bind(mesh.uuid())
    .bind(host)
    .bind(except)
    .fetch_optional(tx.work.conn())
    .await?;
    owner
        .map(|(id, name)| {
            name.parse()
                .map_err(|e| inconsistent("resources", "name", id, e))
        })
        .transpose()
}
