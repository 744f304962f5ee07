//! Meshes: a row that holds the revision, and an object of kind `mesh` that holds what the owner wrote.

use heddle_model::authz::permission::MeshWrite;
use heddle_model::authz::{Action, Permission};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_model::quota::Quota;
use serde_json::{Map, Value};
use sqlx::FromRow as _;
use sqlx::QueryBuilder;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::listing::Wanted;
use crate::quotas;
use crate::resources::{
    Address, COLUMNS, Named, Precondition, Row, Stored, insert_row, named, put_row, require_match,
};
use crate::sessions;
use crate::tx::{Change, Tx, Work};

/// A mesh.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshRow {
    /// Its identifier.
    pub id: MeshId,
    /// Its name.
    pub name: Name,
    /// Its SPIFFE trust domain, without the scheme. Never given to another mesh.
    pub trust_domain: String,
    /// The revision of the mesh with everything in it.
    pub revision: u64,
    /// What its owner wrote about it.
    pub spec: Stored,
}

/// Creates a mesh. Its first revision is 1. It takes a permission that reaches the whole organisation.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::LimitReached`], [`Error::AlreadyExists`] with `meshes_name_key` or `meshes_trust_domain_key`, [`Error::NulCharacter`],
/// [`Error::Unavailable`].
pub async fn insert(
    tx: &mut Tx<MeshWrite>,
    name: &Name,
    trust_domain: &str,
    sent: &Map<String, Value>,
) -> Result<MeshRow> {
    let work = &mut tx.work;
    work.require_org()?;
    quotas::admit(work, Quota::Meshes, 1).await?;
    let id = MeshId::from_uuid(work.next_id());
    let query = sqlx::query(
        "insert into heddle.meshes (org_id, mesh_id, name, trust_domain, revision, created_at) \
         values ($1, $2, $3, $4, 1, $5)",
    )
    .bind(work.org().uuid())
    .bind(id.uuid())
    .bind(name.as_str())
    .bind(trust_domain)
    .bind(work.now());
    query.execute(work.conn()).await?;
    let revision = work.made(id, 1);
    let spec = insert_row(work, &address(id, name), id.uuid(), sent).await?;
    Ok(MeshRow {
        id,
        name: name.clone(),
        trust_domain: trust_domain.to_owned(),
        revision,
        spec,
    })
}

fn address(mesh: MeshId, name: &Name) -> Address<'_> {
    Address {
        mesh,
        kind: Kind::Mesh,
        parent: None,
        name,
    }
}

/// Finds a live mesh by name or identifier. One that the caller may not know of is not found.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(tx: &mut Tx<P>, name_or_id: &str) -> Result<Option<MeshRow>> {
    let (id, name) = match named(Kind::Mesh, name_or_id) {
        None => return Ok(None),
        Some(Named::Id(id)) => (Some(id), None),
        Some(Named::Name(name)) => (None, Some(name)),
    };
    let rows = select(&mut tx.work, id, name).await?;
    let found = rows.into_iter().next();
    match found.map(|row| tx.work.enter(row.id).map(|()| row)) {
        None | Some(Err(Error::NotFound)) => Ok(None),
        Some(Err(error)) => Err(error),
        Some(Ok(row)) => Ok(Some(row)),
    }
}

/// Finds a live mesh by name or identifier. In a transaction that writes, what is found is locked first: whatever the
/// caller then reads of the mesh and judges a write by is still so at its commit.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn require<P: Permission>(tx: &mut Tx<P>, name_or_id: &str) -> Result<MeshRow> {
    let found = find(tx, name_or_id).await?.ok_or(Error::NotFound)?;
    if !tx.work.lock_if_writing(found.id).await? {
        return Ok(found);
    }
    // Nobody wrote in between. (Who looks after the mesh itself can change without a revision.)
    if P::ACTION != Action::MeshWrite && tx.work.locked_at(found.id) == Some(found.revision) {
        return Ok(found);
    }
    let locked = select(&mut tx.work, Some(found.id.uuid()), None).await?;
    locked.into_iter().next().ok_or(Error::NotFound)
}

/// The live meshes that are wanted, of those that the permission reaches.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn search<P: Permission>(tx: &mut Tx<P>, wanted: &Wanted) -> Result<Vec<MeshRow>> {
    let mut query = QueryBuilder::new("select m.trust_domain, m.revision as mesh_revision, ");
    query.push(COLUMNS).push(
        " from heddle.meshes m \
         join heddle.resources r on r.org_id = m.org_id and r.mesh_id = m.mesh_id \
                                and r.id = m.mesh_id and r.to_revision is null \
         where m.deleted_at is null",
    );
    if let Some(covered) = tx.work.covered() {
        query
            .push(" and m.mesh_id = any(")
            .push_bind(covered)
            .push(")");
    }
    wanted.push(&mut query);
    let rows = query
        .build()
        .persistent(wanted.filter.is_none())
        .fetch_all(tx.work.conn())
        .await?;
    rows.iter().map(mesh_row).collect()
}

async fn select(work: &mut Work, id: Option<Uuid>, name: Option<&str>) -> Result<Vec<MeshRow>> {
    // Two texts, because a plan that serves both columns serves neither.
    let column = match (id, name) {
        (Some(_), None) => "m.mesh_id = $1 and $2::text is null",
        _ => "m.name = $2 and $1::uuid is null",
    };
    let sql = format!(
        "select m.trust_domain, m.revision as mesh_revision, {COLUMNS} \
         from heddle.meshes m \
         join heddle.resources r on r.org_id = m.org_id and r.mesh_id = m.mesh_id \
                                and r.id = m.mesh_id and r.to_revision is null \
         where m.deleted_at is null and {column} limit 1"
    );
    let rows = sqlx::query(&sql)
        .bind(id)
        .bind(name)
        .fetch_all(work.conn())
        .await?;
    rows.iter().map(mesh_row).collect()
}

pub(crate) fn mesh_row(row: &PgRow) -> Result<MeshRow> {
    let trust_domain = row.try_get("trust_domain")?;
    let revision: i64 = row.try_get("mesh_revision")?;
    let spec = Stored::try_from(Row::from_row(row)?)?;
    Ok(MeshRow {
        id: MeshId::from_uuid(spec.id),
        name: spec.name.clone(),
        trust_domain,
        revision: revision.unsigned_abs(),
        spec,
    })
}

/// Replaces what the owner wrote about a mesh. Equal content changes nothing and makes no revision.
///
/// # Errors
/// [`Error::NotFound`] when it was deleted meanwhile, [`Error::StaleEtag`], [`Error::NulCharacter`],
/// [`Error::Unavailable`].
pub async fn replace(
    tx: &mut Tx<MeshWrite>,
    mesh: &MeshRow,
    sent: &Map<String, Value>,
    precondition: &Precondition,
) -> Result<MeshRow> {
    let work = &mut tx.work;
    put_row(work, &address(mesh.id, &mesh.name), sent, precondition).await?;
    let rows = select(work, Some(mesh.id.uuid()), None).await?;
    rows.into_iter().next().ok_or(Error::NotFound)
}

/// Deletes a mesh: its name is free at once, its trust domain never, its join tokens are dead. The rows below it
/// stay, out of reach, for as long as deletion can be taken back.
///
/// # Errors
/// [`Error::NotFound`], [`Error::StaleEtag`], [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn delete(
    tx: &mut Tx<MeshWrite>,
    mesh: &MeshRow,
    precondition: &Precondition,
) -> Result<()> {
    let work = &mut tx.work;
    work.lock(mesh.id).await?;
    let now = select(work, Some(mesh.id.uuid()), None).await?;
    let now = now.first().ok_or(Error::NotFound)?;
    require_match(precondition, Some(&now.spec))?;
    sessions::require_fresh(work).await?;
    let revision = work.bump(mesh.id).await?;
    let query = sqlx::query("update heddle.meshes set deleted_at = $2 where mesh_id = $1")
        .bind(mesh.id.uuid())
        .bind(work.now());
    query.execute(work.conn()).await?;
    work.record(Change {
        mesh: Some(mesh.id),
        revision: Some(revision),
        action: "delete",
        kind: Kind::Mesh.as_str(),
        id: mesh.id.uuid(),
        name: mesh.name.as_str(),
        before: Some(&now.spec.sent),
        after: None,
    })
    .await
}
