//! Writing declarative objects: under the mesh's lock, as one revision, with an entry in the audit log each.

use heddle_model::authz::{Action, Permission, access};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_model::manager::ManagedBy;
use heddle_model::name::Name;
use heddle_model::quota::Quota;
use serde_json::{Map, Value};
use sqlx::FromRow as _;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Address, COLUMNS, Named, Precondition, Row, SPEC_VERSION, Stored, find_row};
use crate::error::{Error, Result, inconsistent};
use crate::quotas;
use crate::tx::{Change, Tx, Work};

/// What a [`put`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// The object as it is now.
    pub stored: Stored,
    /// Whether it is new.
    pub created: bool,
    /// Whether anything changed: sending what is there already makes no revision.
    pub changed: bool,
}

/// Creates an object.
///
/// # Errors
/// [`Error::AlreadyExists`], [`Error::PriorityTaken`], [`Error::NotFound`] without such a mesh or parent,
/// [`Error::LimitReached`], [`Error::NotGranted`], [`Error::NulCharacter`], [`Error::Unavailable`].
pub async fn insert<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    address: &Address<'_>,
    sent: &Map<String, Value>,
) -> Result<Stored> {
    granted(tx, address.kind)?;
    let work = &mut tx.work;
    work.lock(address.mesh).await?;
    if current(work, address).await?.is_some() {
        return Err(Error::AlreadyExists {
            constraint: String::from("resources_name_key"),
        });
    }
    let id = work.next_id();
    insert_row(work, address, id, sent).await
}

/// Creates or replaces an object. Equal content changes nothing and makes no revision.
///
/// # Errors
/// [`Error::StaleEtag`] when the precondition does not hold, and those of [`insert`] but for `AlreadyExists`.
pub async fn put<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    address: &Address<'_>,
    sent: &Map<String, Value>,
    precondition: &Precondition,
) -> Result<Put> {
    granted(tx, address.kind)?;
    put_row(&mut tx.work, address, sent, precondition).await
}

/// Deletes an object and everything below it, as one revision. What refers to it stays as it is.
///
/// # Errors
/// [`Error::NotFound`], [`Error::StaleEtag`], [`Error::NotGranted`], [`Error::Unavailable`].
pub async fn delete<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    address: &Address<'_>,
    precondition: &Precondition,
) -> Result<Stored> {
    granted(tx, address.kind)?;
    let work = &mut tx.work;
    work.lock(address.mesh).await?;
    let stored = current(work, address).await?.ok_or(Error::NotFound)?;
    require_match(precondition, Some(&stored))?;
    let sql = format!(
        "with recursive below (id) as ( \
             select $2::uuid \
             union \
             select c.id from heddle.resources c join below on c.parent_id = below.id \
             where c.mesh_id = $1 and c.to_revision is null) \
         select {COLUMNS} from heddle.resources r join below using (id) \
         where r.mesh_id = $1 and r.to_revision is null order by r.id"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(address.mesh.uuid())
        .bind(stored.id)
        .fetch_all(work.conn())
        .await?;
    let revision = work.bump(address.mesh).await?;
    for row in rows {
        end_row(work, address.mesh, row.id, revision).await?;
        let gone = Stored::try_from(row)?;
        record(work, address.mesh, "delete", revision, Some(&gone), None).await?;
    }
    Ok(stored)
}

/// Which kinds a permission covers. The type of the transaction says that it may write; this says what.
pub(crate) fn granted<P: Permission>(tx: &Tx<P>, kind: Kind) -> Result<()> {
    let covers = |action: Action| match kind {
        Kind::Mesh => action == Action::MeshWrite,
        Kind::Service | Kind::Route | Kind::Split | Kind::Profile => action == Action::ConfigWrite,
        Kind::AccessRule => action == Action::AccessWrite,
    };
    if covers(P::ACTION) || tx.work.also().iter().any(|action| covers(*action)) {
        Ok(())
    } else {
        Err(Error::NotGranted {
            scope: P::ACTION.scope(),
            kind: kind.as_str(),
        })
    }
}

pub(crate) async fn put_row(
    work: &mut Work,
    address: &Address<'_>,
    sent: &Map<String, Value>,
    precondition: &Precondition,
) -> Result<Put> {
    work.lock(address.mesh).await?;
    let before = current_beside(work, address, sent).await?;
    require_match(precondition, before.as_ref().map(|(before, _)| before))?;
    let Some((before, equal)) = before else {
        let id = work.next_id();
        return Ok(Put {
            stored: insert_row(work, address, id, sent).await?,
            created: true,
            changed: true,
        });
    };
    if equal {
        return Ok(Put {
            stored: before,
            created: false,
            changed: false,
        });
    }
    check_priority(work, address, sent).await?;
    let stored = if work.has_changed(address.mesh) {
        let revision = work.bump(address.mesh).await?;
        end_row(work, address.mesh, before.id, revision).await?;
        let owner = before.managed_by.as_ref();
        start_row(
            work,
            address,
            before.id,
            sent,
            revision,
            Some(&before),
            owner,
        )
        .await?
    } else {
        replace_row(work, address.mesh, before.id, sent).await?
    };
    let revision = stored.revision;
    record(
        work,
        address.mesh,
        "replace",
        revision,
        Some(&before),
        Some(&stored),
    )
    .await?;
    Ok(Put {
        stored,
        created: false,
        changed: true,
    })
}

/// Adds an object that is known not to exist. The mesh must be locked.
pub(crate) async fn insert_row(
    work: &mut Work,
    address: &Address<'_>,
    id: Uuid,
    sent: &Map<String, Value>,
) -> Result<Stored> {
    check_parent(work, address).await?;
    check_priority(work, address, sent).await?;
    if address.kind != Kind::Mesh {
        quotas::admit(work, Quota::of_kind(address.kind), 1).await?;
    }
    let revision = work.bump(address.mesh).await?;
    let stored = start_row(work, address, id, sent, revision, None, None).await?;
    record(work, address.mesh, "create", revision, None, Some(&stored)).await?;
    Ok(stored)
}

pub(crate) fn require_match(precondition: &Precondition, current: Option<&Stored>) -> Result<()> {
    let holds = match (precondition, current) {
        (Precondition::None, _) | (Precondition::Absent, None) => true,
        (Precondition::Absent, Some(_)) | (Precondition::Match(_), None) => false,
        (Precondition::Match(etag), Some(stored)) => etag == "*" || *etag == stored.etag(),
    };
    if holds {
        Ok(())
    } else {
        Err(Error::StaleEtag {
            current: current.map(Stored::etag),
        })
    }
}

async fn current(work: &mut Work, address: &Address<'_>) -> Result<Option<Stored>> {
    let named = Named::Name(address.name.as_str());
    find_row(work, address.mesh, address.kind, address.parent, &named).await
}

/// The current row, and whether it says the same already. Compared as Postgres stores it: it alone decides which numbers are
/// the same.
async fn current_beside(
    work: &mut Work,
    address: &Address<'_>,
    sent: &Map<String, Value>,
) -> Result<Option<(Stored, bool)>> {
    let sql = format!(
        "select {COLUMNS}, r.spec = $5 as equal from heddle.resources r \
         where r.mesh_id = $1 and r.kind = $2 and coalesce(r.parent_id, r.mesh_id) = coalesce($3, $1) \
           and r.to_revision is null and r.name = $4"
    );
    let row = sqlx::query(&sql)
        .bind(address.mesh.uuid())
        .bind(address.kind.as_str())
        .bind(address.parent)
        .bind(address.name.as_str())
        .bind(Json(sent))
        .fetch_optional(work.conn())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let equal = sqlx::Row::try_get(&row, "equal")?;
    Ok(Some((Row::from_row(&row)?.try_into()?, equal)))
}

/// Nothing is put below an object that is gone, or of the wrong kind.
async fn check_parent(work: &mut Work, address: &Address<'_>) -> Result<()> {
    let wanted = match address.kind {
        Kind::Mesh | Kind::Service | Kind::Profile => None,
        Kind::Route | Kind::AccessRule => Some(Kind::Service),
        Kind::Split => Some(Kind::Route),
    };
    let there = match (wanted, address.parent) {
        (None, None) => true,
        (Some(kind), Some(parent)) => {
            sqlx::query_scalar(
                "select exists (select from heddle.resources r \
                 where r.mesh_id = $1 and r.id = $2 and r.kind = $3 and r.to_revision is null)",
            )
            .bind(address.mesh.uuid())
            .bind(parent)
            .bind(kind.as_str())
            .fetch_one(work.conn())
            .await?
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    if there { Ok(()) } else { Err(Error::NotFound) }
}

/// The routes of a service are tried in the order of their priorities, so no two may have the same.
async fn check_priority(
    work: &mut Work,
    address: &Address<'_>,
    sent: &Map<String, Value>,
) -> Result<()> {
    let Some(priority) = sent.get("priority").filter(|_| address.kind == Kind::Route) else {
        return Ok(());
    };
    let by: Option<(Uuid, String)> = sqlx::query_as(
        "select r.id, r.name from heddle.resources r \
         where r.mesh_id = $1 and r.kind = 'route' and r.parent_id = $2 and r.to_revision is null \
           and r.spec -> 'priority' = $3 and r.name <> $4",
    )
    .bind(address.mesh.uuid())
    .bind(address.parent)
    .bind(Json(priority))
    .bind(address.name.as_str())
    .fetch_optional(work.conn())
    .await?;
    match by {
        None => Ok(()),
        Some((id, name)) => Err(Error::PriorityTaken {
            by: name
                .parse()
                .map_err(|e| inconsistent("resources", "name", id, e))?,
        }),
    }
}

pub(super) async fn start_row(
    work: &mut Work,
    address: &Address<'_>,
    id: Uuid,
    sent: &Map<String, Value>,
    revision: u64,
    before: Option<&Stored>,
    owner: Option<&ManagedBy>,
) -> Result<Stored> {
    let now = work.now();
    let sql = format!(
        "insert into heddle.resources as r (org_id, mesh_id, id, kind, parent_id, name, spec, spec_version, \
                                            from_revision, created_at, updated_at, managed_by) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning {COLUMNS}"
    );
    let query = sqlx::query_as(&sql)
        .bind(work.org().uuid())
        .bind(address.mesh.uuid())
        .bind(id)
        .bind(address.kind.as_str())
        .bind(address.parent)
        .bind(address.name.as_str())
        .bind(Json(sent))
        .bind(SPEC_VERSION)
        .bind(revision.cast_signed())
        .bind(before.map_or(now, |b| b.created_at))
        .bind(now)
        .bind(owner.map(Json));
    let row: Row = query.fetch_one(work.conn()).await?;
    row.try_into()
}

/// Replaces what an object says, as the first thing that the transaction changes in a mesh: revision, old row and new row at once.
async fn replace_row(
    work: &mut Work,
    mesh: MeshId,
    id: Uuid,
    sent: &Map<String, Value>,
) -> Result<Stored> {
    let sql = format!(
        "with bumped as ( \
             update heddle.meshes set revision = revision + 1 where mesh_id = $1 returning revision), \
         ended as ( \
             update heddle.resources o set to_revision = b.revision from bumped b \
             where o.mesh_id = $1 and o.id = $2 and o.to_revision is null \
             returning o.org_id, o.mesh_id, o.id, o.kind, o.parent_id, o.name, o.to_revision, o.created_at, o.managed_by) \
         insert into heddle.resources as r (org_id, mesh_id, id, kind, parent_id, name, spec, spec_version, \
                                            from_revision, created_at, updated_at, managed_by) \
         select e.org_id, e.mesh_id, e.id, e.kind, e.parent_id, e.name, $3, $4, e.to_revision, e.created_at, $5, e.managed_by \
         from ended e returning {COLUMNS}"
    );
    let query = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(id)
        .bind(Json(sent))
        .bind(SPEC_VERSION)
        .bind(work.now());
    let row: Row = query.fetch_one(work.conn()).await?;
    let stored = Stored::try_from(row)?;
    work.made(mesh, stored.revision);
    Ok(stored)
}

/// Ends the current row of an object. One that this very revision had made leaves no trace.
pub(super) async fn end_row(work: &mut Work, mesh: MeshId, id: Uuid, revision: u64) -> Result<()> {
    sqlx::query(
        "delete from heddle.resources \
         where mesh_id = $1 and id = $2 and to_revision is null and from_revision = $3",
    )
    .bind(mesh.uuid())
    .bind(id)
    .bind(revision.cast_signed())
    .execute(work.conn())
    .await?;
    end_older_row(work, mesh, id, revision).await
}

/// The same for a row that is known to be older than the revision.
async fn end_older_row(work: &mut Work, mesh: MeshId, id: Uuid, revision: u64) -> Result<()> {
    sqlx::query(
        "update heddle.resources set to_revision = $3 \
         where mesh_id = $1 and id = $2 and to_revision is null",
    )
    .bind(mesh.uuid())
    .bind(id)
    .bind(revision.cast_signed())
    .execute(work.conn())
    .await?;
    Ok(())
}

pub(super) async fn record(
    work: &mut Work,
    mesh: MeshId,
    action: &'static str,
    revision: u64,
    before: Option<&Stored>,
    after: Option<&Stored>,
) -> Result<()> {
    let Some(object) = after.or(before) else {
        return Ok(());
    };
    let name: &Name = &object.name;
    work.record(Change {
        mesh: Some(mesh),
        revision: Some(revision),
        action,
        kind: object.kind.as_str(),
        id: object.id,
        name: name.as_str(),
        before: before.map(|b| &b.sent),
        after: after.map(|a| &a.sent),
    })
    .await
}
