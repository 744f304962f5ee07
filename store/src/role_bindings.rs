//! Who has which role, in the organisation or at one mesh.

use chrono::{DateTime, Utc};
use heddle_model::authz::permission::RoleBindingWrite;
use heddle_model::authz::{Permission, Role};
use heddle_model::id::{MemberId, MeshId, RoleBindingId, ServiceAccountId};
use heddle_model::name::Name;
use serde_json::json;
use uuid::Uuid;

use crate::authz::Principal;
use crate::error::{Error, Result, inconsistent};
use crate::principals::{self, PrincipalRow, bound_json};
use crate::rights::Bound;
use crate::sessions;
use crate::tx::{Change, Tx, Work};

/// A role that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRow {
    /// Its identifier.
    pub id: RoleBindingId,
    /// Who has it.
    pub principal: Principal,
    /// A member's e-mail address, a service account's name.
    pub principal_name: String,
    /// The role.
    pub role: Role,
    /// The mesh that it is bound to; `None`: the organisation.
    pub mesh: Option<(MeshId, Name)>,
    /// The only service of the mesh that it is for; `None`: whatever is there.
    pub service: Option<Name>,
    /// When it was given.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    principal_id: Uuid,
    kind: String,
    name: String,
    role: String,
    mesh_id: Option<Uuid>,
    mesh_name: Option<String>,
    service: Option<String>,
    created_at: DateTime<Utc>,
    created_by: String,
}

impl TryFrom<Row> for BindingRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = RoleBindingId::from_uuid(row.id);
        let bad = |column, reason: String| inconsistent("role_bindings", column, id, reason);
        let mesh = match (row.mesh_id, row.mesh_name) {
            (Some(mesh), Some(name)) => {
                let name = name.parse::<Name>();
                Some((
                    MeshId::from_uuid(mesh),
                    name.map_err(|e| bad("mesh_id", e.to_string()))?,
                ))
            }
            _ => None,
        };
        let service = row.service.map(|name| name.parse::<Name>()).transpose();
        Ok(Self {
            id,
            service: service.map_err(|e| bad("service", e.to_string()))?,
            principal: match row.kind.as_str() {
                "member" => Principal::Member(MemberId::from_uuid(row.principal_id)),
                _ => Principal::ServiceAccount(ServiceAccountId::from_uuid(row.principal_id)),
            },
            principal_name: row.name,
            role: row
                .role
                .parse()
                .map_err(|_| bad("role", row.role.clone()))?,
            mesh,
            created_at: row.created_at,
            created_by: row.created_by,
        })
    }
}

/// Gives a role to a member or service account, at a mesh or (`None`) in the organisation, for one service of the mesh or whatever is
/// there. That the role can be for one service, and that there is such a one, is the caller's to check. Nobody gives more than they have.
///
/// # Errors
/// [`Error::NotFound`] for a mesh that the caller may not know of or a principal that was removed, [`Error::Forbidden`],
/// [`Error::Escalation`], [`Error::SignInAgain`], [`Error::AlreadyExists`] with `role_bindings_place_key`, [`Error::Unavailable`].
pub async fn create(
    tx: &mut Tx<RoleBindingWrite>,
    principal: &PrincipalRow,
    bound: Bound,
    service: Option<&Name>,
) -> Result<BindingRow> {
    let work = &mut tx.work;
    principals::lock_roles(work).await?;
    match bound.mesh {
        None => work.require_org()?,
        Some(mesh) => work.enter(mesh)?,
    }
    work.require_role(bound)?;
    sessions::require_fresh(work).await?;
    let id = insert(work, principal, bound, service).await?;
    let rows = select(work, Some(id), None, None, None, Some(1)).await?;
    rows.into_iter().next().ok_or(Error::NotFound)
}

/// [`create`] without asking whose right it is. The roles must be locked.
pub(crate) async fn insert(
    work: &mut Work,
    principal: &PrincipalRow,
    bound: Bound,
    service: Option<&Name>,
) -> Result<Uuid> {
    let there = principals::by_id(work, principal.id.uuid()).await?;
    there.ok_or(Error::NotFound)?;
    let id = work.next_id();
    let query = sqlx::query(
        "insert into heddle.role_bindings (org_id, id, principal_id, role, mesh_id, created_at, created_by, service) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(work.org().uuid())
    .bind(id)
    .bind(principal.id.uuid())
    .bind(bound.role.as_str())
    .bind(bound.mesh.map(MeshId::uuid))
    .bind(work.now())
    .bind(work.actor().to_owned())
    .bind(service.map(Name::as_str));
    query.execute(work.conn()).await?;
    record(work, "create", id, &principal.name, (bound, service), true).await?;
    Ok(id)
}

/// Finds a binding by identifier.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(tx: &mut Tx<P>, id: &str) -> Result<Option<BindingRow>> {
    let Ok(id) = id.parse::<RoleBindingId>() else {
        return Ok(None);
    };
    let rows = select(&mut tx.work, Some(id.uuid()), None, None, None, Some(1)).await?;
    Ok(rows.into_iter().next())
}

/// The bindings that the permission reaches, oldest first, after the identifier `after`, at most `limit`; only those of a
/// principal, or at a mesh, when one is given.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    principal: Option<Principal>,
    mesh: Option<MeshId>,
    after: Option<RoleBindingId>,
    limit: u32,
) -> Result<Vec<BindingRow>> {
    let principal = principal.map(Principal::uuid);
    let after = after.map(RoleBindingId::uuid);
    select(&mut tx.work, None, principal, mesh, after, Some(limit)).await
}

async fn select(
    work: &mut Work,
    id: Option<Uuid>,
    principal: Option<Uuid>,
    mesh: Option<MeshId>,
    after: Option<Uuid>,
    limit: Option<u32>,
) -> Result<Vec<BindingRow>> {
    // Those of the organisation are for whoever reaches all of it: null is in no list.
    let covered = work.covered();
    let rows: Vec<Row> = sqlx::query_as(
        "select b.id, b.principal_id, p.kind, p.name, b.role, b.mesh_id, m.name as mesh_name, b.service, b.created_at, b.created_by \
         from heddle.role_bindings b \
         join heddle.principals p on p.org_id = b.org_id and p.id = b.principal_id \
         left join heddle.meshes m on m.org_id = b.org_id and m.mesh_id = b.mesh_id \
         where m.deleted_at is null and ($1::uuid is null or b.id = $1) \
           and ($2::uuid is null or b.principal_id = $2) and ($3::uuid is null or b.mesh_id = $3) \
           and ($4::uuid is null or b.id > $4) and ($5::uuid[] is null or b.mesh_id = any($5)) \
         order by b.id limit $6",
    )
    .bind(id)
    .bind(principal)
    .bind(mesh.map(MeshId::uuid))
    .bind(after)
    .bind(covered)
    .bind(limit.map(i64::from))
    .fetch_all(work.conn())
    .await?;
    rows.into_iter().map(BindingRow::try_from).collect()
}

/// Takes a role away. Nobody takes away more than they have.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Escalation`], [`Error::LastOwner`], [`Error::Unavailable`].
pub async fn delete(tx: &mut Tx<RoleBindingWrite>, binding: &BindingRow) -> Result<()> {
    let work = &mut tx.work;
    let bound = Bound {
        role: binding.role,
        mesh: binding.mesh.as_ref().map(|(id, _)| *id),
    };
    principals::lock_roles(work).await?;
    match bound.mesh {
        None => work.require_org()?,
        Some(mesh) => work.enter(mesh)?,
    }
    work.require_role(bound)?;
    if bound.role == Role::Owner {
        principals::keep_an_owner(work, binding.principal.uuid()).await?;
    }
    let done = sqlx::query("delete from heddle.role_bindings where id = $1")
        .bind(binding.id.uuid())
        .execute(work.conn())
        .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    let (id, name) = (binding.id.uuid(), binding.principal_name.as_str());
    let given = (bound, binding.service.as_ref());
    record(work, "delete", id, name, given, false).await
}

async fn record(
    work: &mut Work,
    action: &'static str,
    id: Uuid,
    name: &str,
    (bound, service): (Bound, Option<&Name>),
    given: bool,
) -> Result<()> {
    let mut text = bound_json(&bound);
    if let Some(service) = service {
        text["service"] = json!(service);
    }
    let text = text.as_object();
    work.record(Change {
        // Belongs to the mesh's history where it is about one.
        mesh: bound.mesh,
        revision: None,
        action,
        kind: "role_binding",
        id,
        name,
        before: text.filter(|_| !given),
        after: text.filter(|_| given),
    })
    .await
}
