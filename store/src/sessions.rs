//! Sessions: a member who signed in. A session is a row, and every request with its token looks at that row, so that whoever
//! ends it ends it everywhere with the next request.
//!
//! The token is short-lived; a refresh secret gets the next one. It changes at each use. It has two halves: one that stays for the
//! life of the session, and one that does not; who shows the first with an old second is somebody else's copy, and the
//! session ends.

mod again;
mod challenge;
mod password;
mod refresh;
mod sign_in;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::Action;
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::id::{MemberId, OrgId, SessionId};
use heddle_model::name::Name;
use secrecy::SecretString;
use uuid::Uuid;

use crate::authz::Principal;
use crate::error::{Error, Result};
use crate::tx::{Change, Tx, Work};

pub use again::FRESH;
pub(crate) use again::require_fresh;
pub(crate) use challenge::draw as draw_challenge;
pub use challenge::{Challenge, answer};
pub use password::change_password;
pub use refresh::refresh;
pub(crate) use sign_in::{Beginning, Known, begin};
pub use sign_in::{Step, sign_in};

/// A session ends after this without a refresh.
const IDLE: TimeDelta = TimeDelta::days(7);

/// A session, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its identifier.
    pub id: SessionId,
    /// The member.
    pub member: MemberId,
    /// The member's e-mail address.
    pub email: String,
    /// How it began: `password`, `device` or `sso`.
    pub method: String,
    /// The second factor that it began with: `totp` or `recovery_code`.
    pub second_factor: Option<String>,
    /// What the client called itself.
    pub client: Option<String>,
    /// The permissions that it is narrowed to; `None`: all that the member has.
    pub scopes: Option<Vec<String>>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it got its present token.
    pub refreshed_at: DateTime<Utc>,
    /// When it ends at the latest.
    pub expires_at: DateTime<Utc>,
}

/// What a member gets who signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// The session.
    pub session: SessionId,
    /// The member.
    pub member: MemberId,
    /// The member's e-mail address.
    pub email: String,
    /// The organisation.
    pub org: OrgId,
    /// Its name.
    pub org_name: Name,
    /// What requests are sent with.
    pub access_token: SecretString,
    /// Until when.
    pub access_until: DateTime<Utc>,
    /// What gets the next one, once.
    pub refresh_token: SecretString,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Organisation, address, password or secret is wrong; which one is not said.
    #[error("wrong credentials")]
    Credentials,
    /// What was to be answered is unknown, was answered, or has expired: it begins anew.
    #[error("no such challenge")]
    Challenge,
    /// Too many guesses; how long to wait.
    #[error("too many attempts")]
    Wait(TimeDelta),
}

/// Ends all sessions of a member but one, and whatever is on the way to becoming one.
pub(crate) async fn end_all(work: &mut Work, member: Uuid, keep: Option<SessionId>) -> Result<()> {
    // First, so that one that is becoming a session has become one, or never does.
    challenge::void(work, member).await?;
    sqlx::query(
        "update heddle.device_decisions set approved = false where principal_id = $1 and redeemed_at is null",
    )
    .bind(member)
    .execute(work.conn())
    .await?;
    let now = work.now();
    sqlx::query(
        "update heddle.sessions set revoked_at = $2 \
         where principal_id = $1 and revoked_at is null and id is distinct from $3",
    )
    .bind(member)
    .bind(now)
    .bind(keep.map(SessionId::uuid))
    .execute(work.conn())
    .await?;
    Ok(())
}

/// Ends the sessions of a member that began by the word of a provider, but one, and whatever is on the way to becoming one.
pub(crate) async fn end_by_sso(
    work: &mut Work,
    member: Uuid,
    keep: Option<SessionId>,
) -> Result<()> {
    challenge::void(work, member).await?;
    let now = work.now();
    sqlx::query(
        "update heddle.sessions set revoked_at = $2 \
         where principal_id = $1 and method = 'sso' and revoked_at is null and id is distinct from $3",
    )
    .bind(member)
    .bind(now)
    .bind(keep.map(SessionId::uuid))
    .execute(work.conn())
    .await?;
    Ok(())
}

/// Ends what members have approved for devices before: of these nobody knows how whoever approved signed in.
pub(crate) async fn end_of_devices(work: &mut Work) -> Result<()> {
    let now = work.now();
    sqlx::query("update heddle.device_decisions set approved = false where redeemed_at is null")
        .execute(work.conn())
        .await?;
    sqlx::query(
        "update heddle.sessions set revoked_at = $1 where method = 'device' and revoked_at is null",
    )
    .bind(now)
    .execute(work.conn())
    .await?;
    Ok(())
}

async fn end(work: &mut Work, id: SessionId) -> Result<bool> {
    let now = work.now();
    let done = sqlx::query(
        "update heddle.sessions set revoked_at = $2 where id = $1 and revoked_at is null",
    )
    .bind(id.uuid())
    .bind(now)
    .execute(work.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The sessions that have not ended, newest first, before the identifier `before`, at most `limit`: the caller's own, or with
/// `members:read` those of `member`, or everybody's.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page(
    tx: &mut Tx<AccountRead>,
    member: Option<Principal>,
    before: Option<SessionId>,
    limit: u32,
) -> Result<Vec<SessionRow>> {
    let work = &mut tx.work;
    let whose = whose(work, Action::MemberRead);
    let member = member.map(Principal::uuid);
    select(work, whose, None, member, before, limit).await
}

/// Finds a session that has not ended: the caller's own, or with `members:read` anybody's. `current` is that of the request.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find(tx: &mut Tx<AccountRead>, id: &str) -> Result<Option<SessionRow>> {
    let work = &mut tx.work;
    let whose = whose(work, Action::MemberRead);
    let Some(id) = named(work, id) else {
        return Ok(None);
    };
    let rows = select(work, whose, Some(id), None, None, 1).await?;
    Ok(rows.into_iter().next())
}

/// Ends a session: with the next request its token is none. The caller's own, or with `members:write` anybody's. `current` is
/// that of the request.
///
/// # Errors
/// [`Error::NotFound`], also when it has ended or is somebody else's; [`Error::Unavailable`].
pub async fn revoke(tx: &mut Tx<AccountManage>, id: &str) -> Result<()> {
    let work = &mut tx.work;
    let whose = whose(work, Action::MemberWrite);
    let id = named(work, id).ok_or(Error::NotFound)?;
    let rows = select(work, whose, Some(id), None, None, 1).await?;
    let row = rows.into_iter().next().ok_or(Error::NotFound)?;
    if !end(work, row.id).await? {
        return Err(Error::NotFound);
    }
    record(work, "revoke", row.id, &row.email, None).await
}

fn named(work: &Work, text: &str) -> Option<SessionId> {
    match text {
        "current" => work.session(),
        id => id.parse().ok(),
    }
}

/// `None`: anybody's.
fn whose(work: &Work, action: Action) -> Option<Uuid> {
    if work.may(action) {
        None
    } else {
        Some(work.principal().map_or(Uuid::nil(), Principal::uuid))
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    principal_id: Uuid,
    email: String,
    method: String,
    second_factor: Option<String>,
    client: Option<String>,
    scopes: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    refreshed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

async fn select(
    work: &mut Work,
    whose: Option<Uuid>,
    id: Option<SessionId>,
    member: Option<Uuid>,
    before: Option<SessionId>,
    limit: u32,
) -> Result<Vec<SessionRow>> {
    let now = work.now();
    let rows: Vec<Row> = sqlx::query_as(
        "select s.id, s.principal_id, p.name as email, s.method, s.second_factor, s.client, s.scopes, s.created_at, s.refreshed_at, \
                least(s.expires_at, s.refreshed_at + $7) as expires_at \
         from heddle.sessions s join heddle.principals p on p.org_id = s.org_id and p.id = s.principal_id \
         where s.revoked_at is null and least(s.expires_at, s.refreshed_at + $7) > $1 \
           and ($2::uuid is null or s.principal_id = $2) and ($3::uuid is null or s.id = $3) \
           and ($4::uuid is null or s.principal_id = $4) and ($5::uuid is null or s.id < $5) \
         order by s.id desc limit $6",
    )
    .bind(now)
    .bind(whose)
    .bind(id.map(SessionId::uuid))
    .bind(member)
    .bind(before.map(SessionId::uuid))
    .bind(i64::from(limit))
    .bind(IDLE)
    .fetch_all(work.conn())
    .await?;
    let row = |row: Row| SessionRow {
        id: SessionId::from_uuid(row.id),
        member: MemberId::from_uuid(row.principal_id),
        email: row.email,
        method: row.method,
        second_factor: row.second_factor,
        client: row.client,
        scopes: row.scopes,
        created_at: row.created_at,
        refreshed_at: row.refreshed_at,
        expires_at: row.expires_at,
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn record(
    work: &mut Work,
    action: &'static str,
    id: SessionId,
    email: &str,
    after: Option<&serde_json::Value>,
) -> Result<()> {
    work.record(Change {
        mesh: None,
        revision: None,
        action,
        kind: "session",
        id: id.uuid(),
        name: email,
        before: None,
        after: after.and_then(serde_json::Value::as_object),
    })
    .await
}
