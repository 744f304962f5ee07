//! Members and service accounts: what the two have in common. A principal that was removed keeps its row, because the
//! audit log names it; its roles, tokens and sessions are gone.

use chrono::{DateTime, Utc};
use heddle_model::id::{MemberId, ServiceAccountId};
use serde_json::json;
use uuid::Uuid;

use crate::authz::Principal;
use crate::error::{Error, Result, inconsistent};
use crate::identities;
use crate::rights::{Bound, BoundText, Rights};
use crate::second_factors;
use crate::sessions;
use crate::tx::{Change, Work};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Member,
    ServiceAccount,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::ServiceAccount => "service_account",
        }
    }

    /// The identifier in a text, if it is one of this kind.
    fn id(self, text: &str) -> Option<Uuid> {
        match self {
            Self::Member => text.parse().ok().map(MemberId::uuid),
            Self::ServiceAccount => text.parse().ok().map(ServiceAccountId::uuid),
        }
    }
}

/// A member or a service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalRow {
    /// Who it is.
    pub id: Principal,
    /// A member's e-mail address, a service account's name.
    pub name: String,
    /// What people call it.
    pub display_name: Option<String>,
    /// Whether it can sign in with a password.
    pub has_password: bool,
    /// Whether it has a second factor.
    pub has_second_factor: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The roles that it has.
    pub bound: Vec<Bound>,
}

impl PrincipalRow {
    /// What it may do.
    #[must_use]
    pub fn rights(&self) -> Rights {
        Rights::new(self.bound.clone(), None, None)
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    kind: String,
    name: String,
    display_name: Option<String>,
    has_password: bool,
    has_second_factor: bool,
    created_at: DateTime<Utc>,
    bound: sqlx::types::Json<Vec<BoundText>>,
}

impl TryFrom<Row> for PrincipalRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let bound = row.bound.0.iter().map(BoundText::bound);
        let bound: std::result::Result<Vec<Bound>, _> = bound.collect();
        Ok(Self {
            id: match row.kind.as_str() {
                "member" => Principal::Member(MemberId::from_uuid(row.id)),
                _ => Principal::ServiceAccount(ServiceAccountId::from_uuid(row.id)),
            },
            bound: bound.map_err(|e| inconsistent("role_bindings", "role", row.id, e))?,
            name: row.name,
            display_name: row.display_name,
            has_password: row.has_password,
            has_second_factor: row.has_second_factor,
            created_at: row.created_at,
        })
    }
}

const COLUMNS: &str = "p.id, p.kind, p.name, p.display_name, p.password_hash is not null as has_password, \
     exists (select from heddle.second_factors f \
             where f.org_id = p.org_id and f.principal_id = p.id and f.confirmed_at is not null) as has_second_factor, \
     p.created_at, \
     coalesce((select jsonb_agg(jsonb_build_object('role', b.role, 'mesh', b.mesh_id) order by b.id) \
               from heddle.role_bindings b \
               left join heddle.meshes m on m.org_id = b.org_id and m.mesh_id = b.mesh_id \
               where b.org_id = p.org_id and b.principal_id = p.id and m.deleted_at is null), '[]') as bound";

pub(crate) async fn create(
    work: &mut Work,
    kind: Kind,
    name: &str,
    display_name: Option<&str>,
    password_hash: Option<&str>,
) -> Result<PrincipalRow> {
    let id = work.next_id();
    let query = sqlx::query(
        "insert into heddle.principals (org_id, id, kind, name, display_name, password_hash, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(work.org().uuid())
    .bind(id)
    .bind(kind.as_str())
    .bind(name)
    .bind(display_name)
    .bind(password_hash)
    .bind(work.now())
    .bind(work.actor().to_owned());
    query.execute(work.conn()).await?;
    let after = json!({"display_name": display_name});
    record(work, kind, "create", id, name, None, Some(&after)).await?;
    by_id(work, id).await?.ok_or(Error::NotFound)
}

/// By identifier or name.
pub(crate) async fn find(
    work: &mut Work,
    kind: Kind,
    name_or_id: &str,
) -> Result<Option<PrincipalRow>> {
    let id = kind.id(name_or_id);
    // Addresses are stored in lower case.
    let name = id.is_none().then(|| name_or_id.to_ascii_lowercase());
    let rows = select(work, Some(kind), id, name.as_deref(), None, Some(1)).await?;
    Ok(rows.into_iter().next())
}

pub(crate) async fn by_id(work: &mut Work, id: Uuid) -> Result<Option<PrincipalRow>> {
    let rows = select(work, None, Some(id), None, None, Some(1)).await?;
    Ok(rows.into_iter().next())
}

pub(crate) async fn page(
    work: &mut Work,
    kind: Kind,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<PrincipalRow>> {
    select(work, Some(kind), None, None, after, Some(limit)).await
}

async fn select(
    work: &mut Work,
    kind: Option<Kind>,
    id: Option<Uuid>,
    name: Option<&str>,
    after: Option<&str>,
    limit: Option<u32>,
) -> Result<Vec<PrincipalRow>> {
    let sql = format!(
        "select {COLUMNS} from heddle.principals p \
         where p.deleted_at is null and ($1::text is null or p.kind = $1) and ($2::uuid is null or p.id = $2) \
           and ($3::text is null or p.name = $3) and p.name > $4 \
         order by p.name limit $5"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(kind.map(Kind::as_str))
        .bind(id)
        .bind(name)
        .bind(after.unwrap_or_default())
        .bind(limit.map(i64::from))
        .fetch_all(work.conn())
        .await?;
    rows.into_iter().map(PrincipalRow::try_from).collect()
}

/// Changes what people call it.
pub(crate) async fn rename(
    work: &mut Work,
    kind: Kind,
    row: &PrincipalRow,
    display_name: Option<&str>,
) -> Result<PrincipalRow> {
    if row.display_name.as_deref() == display_name {
        return Ok(row.clone());
    }
    sqlx::query(
        "update heddle.principals set display_name = $2 where id = $1 and deleted_at is null",
    )
    .bind(row.id.uuid())
    .bind(display_name)
    .execute(work.conn())
    .await?;
    let before = json!({"display_name": row.display_name});
    let after = json!({"display_name": display_name});
    let id = row.id.uuid();
    record(
        work,
        kind,
        "replace",
        id,
        &row.name,
        Some(&before),
        Some(&after),
    )
    .await?;
    by_id(work, id).await?.ok_or(Error::NotFound)
}

/// Removes a principal with its roles and tokens. Nobody removes one who may do more than they.
pub(crate) async fn remove(work: &mut Work, kind: Kind, row: &PrincipalRow) -> Result<()> {
    let id = row.id.uuid();
    lock_roles(work).await?;
    // Again, under the lock: it may have been given a role meanwhile.
    let row = by_id(work, id).await?.ok_or(Error::NotFound)?;
    work.require_rights(&row.rights())?;
    keep_an_owner(work, id).await?;
    sessions::require_fresh(work).await?;
    let now = work.now();
    for sql in [
        "update heddle.principals set deleted_at = $2, password_hash = null where id = $1",
        "update heddle.tokens set revoked_at = $2 where principal_id = $1 and revoked_at is null",
        "delete from heddle.role_bindings where principal_id = $1 and created_at <= $2",
    ] {
        sqlx::query(sql)
            .bind(id)
            .bind(now)
            .execute(work.conn())
            .await?;
    }
    sessions::end_all(work, id, None).await?;
    second_factors::delete(work, id).await?;
    identities::delete_of(work, id).await?;
    let roles: Vec<_> = row.bound.iter().map(bound_json).collect();
    let before = json!({"display_name": row.display_name, "roles": roles});
    record(work, kind, "delete", id, &row.name, Some(&before), None).await
}

/// Roles of an organisation are given and taken one transaction after the other, so that "the last owner" means something. The
/// transaction goes on with what its caller may do now, so whatever that decides is asked after this.
pub(crate) async fn lock_roles(work: &mut Work) -> Result<()> {
    let org = work.org().uuid();
    sqlx::query("select from heddle.orgs where org_id = $1 for no key update")
        .bind(org)
        .execute(work.conn())
        .await?;
    // Whoever waited may have lost what it came with.
    work.ask_again().await
}

/// Whether the organisation has a member who is an owner besides this one. An organisation that has none to begin with loses
/// nothing.
pub(crate) async fn keep_an_owner(work: &mut Work, except: Uuid) -> Result<()> {
    let (own, others): (bool, bool) = sqlx::query_as(
        "select coalesce(bool_or(b.principal_id = $1), false), coalesce(bool_or(b.principal_id <> $1), false) \
         from heddle.role_bindings b join heddle.principals p on p.org_id = b.org_id and p.id = b.principal_id \
         where b.role = 'owner' and p.kind = 'member' and p.deleted_at is null",
    )
    .bind(except)
    .fetch_one(work.conn())
    .await?;
    if own && !others {
        return Err(Error::LastOwner);
    }
    Ok(())
}

/// A role as the audit log keeps it.
pub(crate) fn bound_json(bound: &Bound) -> serde_json::Value {
    json!({"role": bound.role.as_str(), "mesh": bound.mesh.map(|mesh| mesh.to_string())})
}

pub(crate) async fn record(
    work: &mut Work,
    kind: Kind,
    action: &'static str,
    id: Uuid,
    name: &str,
    before: Option<&serde_json::Value>,
    after: Option<&serde_json::Value>,
) -> Result<()> {
    work.record(Change {
        mesh: None,
        revision: None,
        action,
        kind: kind.as_str(),
        id,
        name,
        before: before.and_then(serde_json::Value::as_object),
        after: after.and_then(serde_json::Value::as_object),
    })
    .await
}
