//! The history of a mesh: its revisions, what differs between two of them, and every object as it was.

mod version;

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::{MeshId, TokenId};
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use serde_json::{Map, Value};
use sqlx::FromRow as _;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::{Result, inconsistent};
use crate::resources::{COLUMNS, Row, Stored};
use crate::tx::{Tx, Work};

pub use version::{Version, When, version};

/// One revision of a mesh. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// Its number: one more than the one before.
    pub revision: u64,
    /// Who made it.
    pub actor: String,
    /// The token that was used, where it was one.
    pub token: Option<TokenId>,
    /// What the client calls itself.
    pub client: Option<String>,
    /// Why, in the author's words.
    pub message: Option<String>,
    /// What ties it to other revisions.
    pub change_group: Option<String>,
    /// The revision that it restored.
    pub rolled_back_to: Option<u64>,
    /// The revision that it took back.
    pub reverted: Option<u64>,
    /// How many objects it changed.
    pub summary: Summary,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// How many objects differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// New ones.
    pub added: u64,
    /// Those with other content.
    pub changed: u64,
    /// Those that are gone.
    pub removed: u64,
}

#[derive(sqlx::FromRow)]
struct RevisionColumns {
    revision: i64,
    actor: String,
    token_id: Option<Uuid>,
    client: Option<String>,
    message: Option<String>,
    change_group: Option<String>,
    rolled_back_to: Option<i64>,
    reverted: Option<i64>,
    added: i64,
    changed: i64,
    removed: i64,
    created_at: DateTime<Utc>,
}

impl From<RevisionColumns> for RevisionRow {
    fn from(row: RevisionColumns) -> Self {
        Self {
            revision: row.revision.unsigned_abs(),
            actor: row.actor,
            token: row.token_id.map(TokenId::from_uuid),
            client: row.client,
            message: row.message,
            change_group: row.change_group,
            rolled_back_to: row.rolled_back_to.map(i64::unsigned_abs),
            reverted: row.reverted.map(i64::unsigned_abs),
            summary: Summary {
                added: row.added.unsigned_abs(),
                changed: row.changed.unsigned_abs(),
                removed: row.removed.unsigned_abs(),
            },
            created_at: row.created_at,
        }
    }
}

/// The revisions of a mesh, newest first, older than `before`, at most `limit`; only those of a change group where one is
/// named.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    change_group: Option<&str>,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<RevisionRow>> {
    select(&mut tx.work, mesh, change_group, before, limit).await
}

/// One revision of a mesh; `None` when the mesh never had it.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    revision: u64,
) -> Result<Option<RevisionRow>> {
    by_number(&mut tx.work, mesh, revision).await
}

/// The same for whoever was led to the mesh.
pub(crate) async fn by_number(
    work: &mut Work,
    mesh: MeshId,
    revision: u64,
) -> Result<Option<RevisionRow>> {
    let Some(before) = revision.checked_add(1) else {
        return Ok(None);
    };
    let rows = select(work, mesh, None, Some(before), 1).await?;
    Ok(rows.into_iter().find(|row| row.revision == revision))
}

/// The revisions of a mesh after one, oldest first, at most `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`].
pub async fn after<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    after: u64,
    limit: u32,
) -> Result<Vec<RevisionRow>> {
    tx.work.enter(mesh)?;
    let rows: Vec<RevisionColumns> = sqlx::query_as(
        "select v.revision, v.actor, v.token_id, v.client, v.message, v.change_group, v.rolled_back_to, v.reverted, \
                v.added, v.changed, v.removed, v.created_at \
         from heddle.revisions v where v.mesh_id = $1 and v.revision > $2 order by v.revision limit $3",
    )
    .bind(mesh.uuid())
    .bind(after.cast_signed())
    .bind(i64::from(limit))
    .fetch_all(tx.work.conn())
    .await?;
    Ok(rows.into_iter().map(RevisionRow::from).collect())
}

async fn select(
    work: &mut Work,
    mesh: MeshId,
    change_group: Option<&str>,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<RevisionRow>> {
    let before = before.map_or(i64::MAX, |b| i64::try_from(b).unwrap_or(i64::MAX));
    let rows: Vec<RevisionColumns> = sqlx::query_as(
        "select v.revision, v.actor, v.token_id, v.client, v.message, v.change_group, v.rolled_back_to, v.reverted, \
                v.added, v.changed, v.removed, v.created_at \
         from heddle.revisions v \
         where v.mesh_id = $1 and v.revision < $2 and ($3::text is null or v.change_group = $3) \
         order by v.revision desc limit $4",
    )
    .bind(mesh.uuid())
    .bind(before)
    .bind(change_group)
    .bind(i64::from(limit))
    .fetch_all(work.conn())
    .await?;
    Ok(rows.into_iter().map(RevisionRow::from).collect())
}

/// An object with the names of what it is below.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed<T> {
    /// The object.
    pub object: T,
    /// The names of its parents, outermost first; none directly below the mesh.
    pub parents: Vec<Name>,
}

/// An object that is not the same at two revisions: at least one of the two sides is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its identifier, without the prefix of its kind.
    pub id: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// The object that it is below.
    pub parent: Option<Uuid>,
    /// Its name.
    pub name: Name,
    /// What it was; `None` when there was none.
    pub before: Option<Map<String, Value>>,
    /// What it is; `None` when there is none.
    pub after: Option<Map<String, Value>>,
    /// When it was first created.
    pub created_at: DateTime<Utc>,
}

/// Names and identities never change, so any row of a parent says what it is called, also one that is gone.
const PARENTS: &str = "left join lateral (select p.name, p.parent_id from heddle.resources p \
                                          where p.org_id = r.org_id and p.mesh_id = r.mesh_id and p.id = r.parent_id \
                                          limit 1) p on true \
                       left join lateral (select g.name from heddle.resources g \
                                          where g.org_id = r.org_id and g.mesh_id = r.mesh_id and g.id = p.parent_id \
                                          limit 1) g on true";

/// The rows that hold at only one of the revisions `$2` <= `$3`, joined by object. What holds at both is the same row.
const DIFFERING: &str = "lo as (select r.* from heddle.resources r \
                                where r.mesh_id = $1 and r.from_revision <= $2 \
                                  and r.to_revision > $2 and r.to_revision <= $3), \
                         hi as (select r.* from heddle.resources r \
                                where r.mesh_id = $1 and r.from_revision > $2 and r.from_revision <= $3 \
                                  and (r.to_revision is null or r.to_revision > $3)), \
                         r as (select coalesce(lo.org_id, hi.org_id) as org_id, coalesce(lo.mesh_id, hi.mesh_id) as mesh_id, \
                                      coalesce(lo.id, hi.id) as id, coalesce(lo.kind, hi.kind) as kind, \
                                      coalesce(lo.parent_id, hi.parent_id) as parent_id, \
                                      coalesce(lo.name, hi.name) as name, \
                                      coalesce(lo.created_at, hi.created_at) as created_at, \
                                      lo.spec as lo, hi.spec as hi \
                               from lo full join hi on lo.id = hi.id \
                               where lo.spec is distinct from hi.spec)";

/// The same, object by object: for two revisions with much in between. What it costs does not grow with the number of versions that
/// each object had meanwhile, but with that of all objects that there ever were.
const DIFFERING_FAR: &str = "ids as ( \
                                 (select r.id from heddle.resources r where r.mesh_id = $1 order by r.id limit 1) \
                                 union all \
                                 select (select r.id from heddle.resources r \
                                         where r.mesh_id = $1 and r.id > ids.id order by r.id limit 1) \
                                 from ids where ids.id is not null), \
                             r as (select coalesce(lo.org_id, hi.org_id) as org_id, coalesce(lo.mesh_id, hi.mesh_id) as mesh_id, \
                                          ids.id, coalesce(lo.kind, hi.kind) as kind, \
                                          coalesce(lo.parent_id, hi.parent_id) as parent_id, \
                                          coalesce(lo.name, hi.name) as name, \
                                          coalesce(lo.created_at, hi.created_at) as created_at, \
                                          lo.spec as lo, hi.spec as hi \
                                   from ids \
                                   left join lateral (select v.* from heddle.resources v \
                                                      where v.mesh_id = $1 and v.id = ids.id and v.from_revision <= $2 \
                                                      order by v.from_revision desc limit 1) lo \
                                       on lo.to_revision is null or lo.to_revision > $2 \
                                   left join lateral (select v.* from heddle.resources v \
                                                      where v.mesh_id = $1 and v.id = ids.id and v.from_revision <= $3 \
                                                      order by v.from_revision desc limit 1) hi \
                                       on hi.to_revision is null or hi.to_revision > $3 \
                                   where ids.id is not null and lo.from_revision is distinct from hi.from_revision \
                                     and lo.spec is distinct from hi.spec)";

/// The objects that differ between two revisions, in either order, in the order of their identifiers, after the identifier
/// `after`, at most `limit`. Revision 0 is the empty mesh.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn differences<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    (from, to): (u64, u64),
    after: Option<Uuid>,
    limit: Option<u32>,
) -> Result<Vec<Placed<Difference>>> {
    differences_in(&mut tx.work, mesh, (from, to), after, limit).await
}

pub(crate) async fn differences_in(
    work: &mut Work,
    mesh: MeshId,
    (from, to): (u64, u64),
    after: Option<Uuid>,
    limit: Option<u32>,
) -> Result<Vec<Placed<Difference>>> {
    differing(work, mesh, (from, to), (after, limit), DIFFERING).await
}

/// [`differences_in`] of two revisions that may be far from each other: all of them.
pub(crate) async fn differences_far(
    work: &mut Work,
    mesh: MeshId,
    (from, to): (u64, u64),
) -> Result<Vec<Placed<Difference>>> {
    differing(work, mesh, (from, to), (None, None), DIFFERING_FAR).await
}

async fn differing(
    work: &mut Work,
    mesh: MeshId,
    (from, to): (u64, u64),
    (after, limit): (Option<Uuid>, Option<u32>),
    found: &str,
) -> Result<Vec<Placed<Difference>>> {
    let sql = format!(
        "with recursive {found} \
         select r.id, r.kind, r.parent_id, r.name, r.created_at, r.lo, r.hi, \
                p.name as parent_name, g.name as grandparent_name \
         from r {PARENTS} \
         where $4::uuid is null or r.id > $4 order by r.id limit $5"
    );
    let rows = sqlx::query(&sql)
        .bind(mesh.uuid())
        .bind(from.min(to).cast_signed())
        .bind(from.max(to).cast_signed())
        .bind(after)
        .bind(limit.map(i64::from))
        .fetch_all(work.conn())
        .await?;
    rows.iter().map(|row| difference(row, from <= to)).collect()
}

fn difference(row: &PgRow, forwards: bool) -> Result<Placed<Difference>> {
    let id: Uuid = row.try_get("id")?;
    let kind: String = row.try_get("kind")?;
    let side = |column| -> Result<Option<Map<String, Value>>> {
        match row.try_get::<Option<Value>, _>(column)? {
            None => Ok(None),
            Some(Value::Object(spec)) => Ok(Some(spec)),
            Some(_) => Err(inconsistent("resources", "spec", id, "not an object")),
        }
    };
    let (lo, hi) = (side("lo")?, side("hi")?);
    let (before, after) = if forwards { (lo, hi) } else { (hi, lo) };
    let object = Difference {
        id,
        kind: kind
            .parse()
            .map_err(|_| inconsistent("resources", "kind", id, &kind))?,
        parent: row.try_get("parent_id")?,
        name: name(id, row.try_get("name")?)?,
        before,
        after,
        created_at: row.try_get("created_at")?,
    };
    let parents = parents(id, row)?;
    Ok(Placed { object, parents })
}

fn name(id: Uuid, text: &str) -> Result<Name> {
    text.parse()
        .map_err(|e| inconsistent("resources", "name", id, e))
}

fn parents(id: Uuid, row: &PgRow) -> Result<Vec<Name>> {
    ["grandparent_name", "parent_name"]
        .into_iter()
        .filter_map(|column| row.try_get::<Option<&str>, _>(column).transpose())
        .map(|text| name(id, text?))
        .collect()
}

/// How many objects differ between two revisions.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn summary<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    (from, to): (u64, u64),
) -> Result<Summary> {
    let sql = format!(
        "with {DIFFERING} \
         select count(*) filter (where r.lo is null), count(*) filter (where r.lo is not null and r.hi is not null), \
                count(*) filter (where r.hi is null) from r"
    );
    let (new, changed, gone): (i64, i64, i64) = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(from.min(to).cast_signed())
        .bind(from.max(to).cast_signed())
        .fetch_one(tx.work.conn())
        .await?;
    let (added, removed) = if from <= to { (new, gone) } else { (gone, new) };
    Ok(Summary {
        added: added.unsigned_abs(),
        changed: changed.unsigned_abs(),
        removed: removed.unsigned_abs(),
    })
}

/// Which objects of a revision are meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The one with this identifier.
    pub id: Option<Uuid>,
    /// Those of this kind.
    pub kind: Option<Kind>,
    /// Those of this name.
    pub name: Option<&'a str>,
}

/// The objects of a mesh as they were at a revision, the mesh's own among them, in the order of their identifiers, after
/// the identifier `after`, at most `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn objects<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    revision: u64,
    wanted: &Wanted<'_>,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Placed<Stored>>> {
    let sql = format!(
        "select {COLUMNS}, p.name as parent_name, g.name as grandparent_name \
         from heddle.resources r {PARENTS} \
         where r.mesh_id = $1 and r.from_revision <= $2 and (r.to_revision is null or r.to_revision > $2) \
           and ($3::uuid is null or r.id = $3) and ($4::text is null or r.kind = $4) \
           and ($5::text is null or r.name = $5) and ($6::uuid is null or r.id > $6) \
         order by r.id limit $7"
    );
    let rows = sqlx::query(&sql)
        .bind(mesh.uuid())
        .bind(revision.cast_signed())
        .bind(wanted.id)
        .bind(wanted.kind.map(Kind::as_str))
        .bind(wanted.name)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(tx.work.conn())
        .await?;
    rows.iter()
        .map(|row| {
            let object = Stored::try_from(Row::from_row(row)?)?;
            let parents = parents(object.id, row)?;
            Ok(Placed { object, parents })
        })
        .collect()
}
