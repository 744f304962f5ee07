//! What members are known by at providers. A member is recognised by the connection and the subject, which stay, and by nothing else: of an
//! address at a provider nobody knows whose it is tomorrow.

use chrono::{DateTime, Utc};
use heddle_model::authz::Action;
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::id::{IdentityId, MemberId, SsoConnectionId};
use heddle_model::name::Name;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::authz::Principal;
use crate::error::{Error, Result, inconsistent};
use crate::principals;
use crate::sessions;
use crate::sso_sign_ins::{Taken, Vouched};
use crate::tx::{Change, Tx, Work};

/// What a member is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// Its identifier.
    pub id: IdentityId,
    /// The member.
    pub member: MemberId,
    /// The member's e-mail address here.
    pub member_email: String,
    /// The connection.
    pub connection: SsoConnectionId,
    /// Its name.
    pub connection_name: Name,
    /// What the provider knows the member by.
    pub subject: String,
    /// The address that the provider had when it last vouched for them.
    pub email: Option<String>,
    /// Since when they are linked.
    pub created_at: DateTime<Utc>,
    /// When the provider last vouched for them.
    pub last_used_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    principal_id: Uuid,
    member_email: String,
    connection_id: Uuid,
    connection_name: String,
    subject: String,
    email: Option<String>,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
}

impl TryFrom<Row> for IdentityRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let name = row.connection_name.parse();
        Ok(Self {
            id: IdentityId::from_uuid(row.id),
            member: MemberId::from_uuid(row.principal_id),
            member_email: row.member_email,
            connection: SsoConnectionId::from_uuid(row.connection_id),
            connection_name: name
                .map_err(|e| inconsistent("sso_connections", "name", row.connection_id, e))?,
            subject: row.subject,
            email: row.email,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        })
    }
}

async fn select(
    work: &mut Work,
    whose: Option<Uuid>,
    id: Option<IdentityId>,
    before: Option<IdentityId>,
    limit: u32,
) -> Result<Vec<IdentityRow>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select i.id, i.principal_id, p.name as member_email, i.connection_id, c.name as connection_name, i.subject, \
                i.email, i.created_at, i.last_used_at \
         from heddle.identities i \
         join heddle.principals p on p.org_id = i.org_id and p.id = i.principal_id \
         join heddle.sso_connections c on c.org_id = i.org_id and c.id = i.connection_id \
         where ($1::uuid is null or i.principal_id = $1) and ($2::uuid is null or i.id = $2) and ($3::uuid is null or i.id < $3) \
         order by i.id desc limit $4",
    )
    .bind(whose)
    .bind(id.map(IdentityId::uuid))
    .bind(before.map(IdentityId::uuid))
    .bind(i64::from(limit))
    .fetch_all(work.conn())
    .await?;
    rows.into_iter().map(IdentityRow::try_from).collect()
}

/// `None`: anybody's.
fn whose(work: &Work, action: Action) -> Option<Uuid> {
    if work.may(action) {
        None
    } else {
        Some(work.principal().map_or(Uuid::nil(), Principal::uuid))
    }
}

/// Identities, newest first, before the identifier `before`, at most `limit`: the caller's own, or with `members:read` those of `member`, or
/// everybody's.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page(
    tx: &mut Tx<AccountRead>,
    member: Option<Principal>,
    before: Option<IdentityId>,
    limit: u32,
) -> Result<Vec<IdentityRow>> {
    let work = &mut tx.work;
    let whose = match (whose(work, Action::MemberRead), member.map(Principal::uuid)) {
        (Some(own), Some(asked)) if own != asked => return Ok(Vec::new()),
        (own, asked) => own.or(asked),
    };
    select(work, whose, None, before, limit).await
}

/// Finds one: the caller's own, or with `members:read` anybody's.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find(tx: &mut Tx<AccountRead>, id: IdentityId) -> Result<Option<IdentityRow>> {
    let work = &mut tx.work;
    let whose = whose(work, Action::MemberRead);
    let rows = select(work, whose, Some(id), None, 1).await?;
    Ok(rows.into_iter().next())
}

/// Unlinks one, and ends the sessions of the member that began with a provider: the caller's own, or with `members:write` anybody's who may do
/// no more than the caller.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Escalation`], [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn remove(tx: &mut Tx<AccountManage>, id: IdentityId) -> Result<()> {
    let work = &mut tx.work;
    let whose = whose(work, Action::MemberWrite);
    let rows = select(work, whose, Some(id), None, 1).await?;
    let row = rows.into_iter().next().ok_or(Error::NotFound)?;
    principals::lock_roles(work).await?;
    let member = principals::by_id(work, row.member.uuid()).await?;
    let member = member.ok_or(Error::NotFound)?;
    if work.principal() != Some(member.id) {
        work.require_rights(&member.rights())?;
    }
    sessions::require_fresh(work).await?;
    let done = sqlx::query("delete from heddle.identities where id = $1")
        .bind(id.uuid())
        .execute(work.conn())
        .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    let keep = work.session();
    sessions::end_by_sso(work, row.member.uuid(), keep).await?;
    let before = json!({"member": row.member.to_string(), "connection": row.connection_name, "subject": row.subject});
    record(
        work,
        "delete",
        row.id,
        &row.member_email,
        (Some(&before), None),
    )
    .await
}

/// Links the caller with whomever the provider vouched for; what was taken was begun by the caller.
///
/// # Errors
/// [`Error::AlreadyExists`] when one of the two is linked already, [`Error::SignInAgain`], [`Error::NotFound`] when the connection is gone,
/// [`Error::Unavailable`].
pub async fn link(
    tx: &mut Tx<AccountManage>,
    taken: &Taken,
    vouched: &Vouched<'_>,
) -> Result<IdentityRow> {
    let work = &mut tx.work;
    let (Some(Principal::Member(member)), Some(_)) = (work.principal(), work.session()) else {
        return Err(Error::NotSignedIn);
    };
    sessions::require_fresh(work).await?;
    let row = principals::by_id(work, member.uuid()).await?;
    let row = row.ok_or(Error::NotFound)?;
    let id = insert(work, taken, (member, &row.name), vouched).await?;
    let rows = select(work, None, Some(id), None, 1).await?;
    rows.into_iter().next().ok_or(Error::NotFound)
}

/// Links a member.
pub(crate) async fn insert(
    work: &mut Work,
    taken: &Taken,
    (member, email): (MemberId, &str),
    vouched: &Vouched<'_>,
) -> Result<IdentityId> {
    // It may have been deleted since, and with it whoever is known by it.
    let connection: Option<Uuid> =
        sqlx::query_scalar("select id from heddle.sso_connections where id = $1 for key share")
            .bind(taken.connection.id.uuid())
            .fetch_optional(work.conn())
            .await?;
    let connection = connection.ok_or(Error::NotFound)?;
    let id = IdentityId::from_uuid(work.next_id());
    let now = work.now();
    let query = sqlx::query(
        "insert into heddle.identities (org_id, id, principal_id, connection_id, subject, email, created_at, last_used_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $7)",
    )
    .bind(work.org().uuid())
    .bind(id.uuid())
    .bind(member.uuid())
    .bind(connection)
    .bind(vouched.subject)
    .bind(vouched.email)
    .bind(now);
    query.execute(work.conn()).await?;
    let after = json!({"member": member.to_string(), "connection": taken.connection.name, "subject": vouched.subject});
    record(work, "create", id, email, (None, Some(&after))).await?;
    Ok(id)
}

/// Deletes what a member is known by.
pub(crate) async fn delete_of(work: &mut Work, member: Uuid) -> Result<()> {
    sqlx::query("delete from heddle.identities where principal_id = $1")
        .bind(member)
        .execute(work.conn())
        .await?;
    Ok(())
}

async fn record(
    work: &mut Work,
    action: &'static str,
    id: IdentityId,
    name: &str,
    (before, after): (Option<&Value>, Option<&Value>),
) -> Result<()> {
    work.record(Change {
        mesh: None,
        revision: None,
        action,
        kind: "identity",
        id: id.uuid(),
        name,
        before: before.and_then(Value::as_object),
        after: after.and_then(Value::as_object),
    })
    .await
}
