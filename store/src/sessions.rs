//! Sessions: a member who signed in. A session is a row, and every request with its token looks at that row, so that whoever
//! ends it ends it everywhere with the next request.
//!
//! The token is short-lived; a refresh secret gets the next one. It changes at each use. It has two halves: one that stays for the
//! life of the session, and one that does not; who shows the first with an old second is somebody else's copy, and the
//! session ends.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::Action;
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::email::Email;
use heddle_model::id::{MemberId, OrgId, SessionId};
use heddle_model::name::Name;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::authz::{Door, Grant, Principal};
use crate::error::{Error, Result, inconsistent};
use crate::origin::Visitor;
use crate::principals::{self, Kind};
use crate::secret;
use crate::session_keys::{self, Claimed, KeySealer, Signing};
use crate::store::Store;
use crate::tx::{Change, Mode, Tx, Work};

/// A session ends after this, however busy.
const LONGEST: TimeDelta = TimeDelta::days(30);
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
    /// How it began: `password` or `device`.
    pub method: String,
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
    /// Too many guesses; how long to wait.
    #[error("too many attempts")]
    Wait(TimeDelta),
}

/// Lets a member in by e-mail address and password. Whoever is unknown is refused after the same work, which includes a row of
/// the audit log wherever there is such an organisation.
///
/// # Errors
/// [`Error::Busy`], [`Error::Unavailable`].
pub async fn sign_in(
    store: &Store,
    sealer: &dyn KeySealer,
    (org, email): (&str, &str),
    password: SecretString,
    from: impl Into<Visitor<'_>>,
) -> Result<std::result::Result<SignedIn, Refused>> {
    let email = email.to_ascii_lowercase();
    let account = [org, email.as_str()];
    if let Err(wait) = store.throttle().begin(&account, store.clock().now()) {
        return Ok(Err(Refused::Wait(wait)));
    }
    let from = from.into();
    let found = match org.parse::<Name>() {
        Ok(org) => looked_up(store, &org, &email).await?,
        Err(_) => None,
    };
    let hash = found
        .as_ref()
        .and_then(|found| found.1.as_ref()?.hash.clone());
    let right = store.verify_password(password, hash).await?;
    let (org, known) = match found {
        Some((org, Some(known))) if right => (org, known),
        Some((org, known)) => {
            refuse(store, org, known.as_ref(), &email, &from).await?;
            return Ok(Err(Refused::Credentials));
        }
        None => return Ok(Err(Refused::Credentials)),
    };
    let signing = session_keys::signing(store, sealer).await?;
    let mut work = store.work(org, &known.actor(), Mode::Write).await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    // The password that was checked must still be the one.
    let still: Option<bool> = sqlx::query_scalar(
        "select password_hash = $2 from heddle.principals where id = $1 and deleted_at is null for share",
    )
    .bind(known.member)
    .bind(&known.hash)
    .fetch_optional(work.conn())
    .await?;
    if still != Some(true) {
        drop(work);
        refuse(store, org, Some(&known), &email, &from).await?;
        return Ok(Err(Refused::Credentials));
    }
    store.throttle().succeed(&account);
    let signed = begin(&mut work, &signing, &known, ("password", None)).await?;
    work.commit().await?;
    Ok(Ok(signed))
}

/// A member whom a name and an address, or a decision about a device, lead to.
pub(crate) struct Known {
    pub(crate) org: OrgId,
    pub(crate) org_name: Name,
    pub(crate) member: Uuid,
    pub(crate) email: String,
    pub(crate) hash: Option<String>,
}

impl Known {
    pub(crate) fn actor(&self) -> String {
        format!("{} ({})", MemberId::from_uuid(self.member), self.email)
    }
}

/// The organisation of that name, and its member with that address.
async fn looked_up(
    store: &Store,
    org_name: &Name,
    email: &str,
) -> Result<Option<(OrgId, Option<Known>)>> {
    let org = store
        .door(Door::OrgName, org_name.as_str().as_bytes())
        .await?;
    let Some(org) = org else {
        return Ok(None);
    };
    let org = OrgId::from_uuid(org.org_id);
    let Ok(email) = email.parse::<Email>() else {
        return Ok(Some((org, None)));
    };
    let mut work = store.work(org, "sign-in", Mode::Read).await?;
    let row: Option<(Uuid, Option<String>)> = sqlx::query_as(
        "select id, password_hash from heddle.principals \
         where kind = 'member' and name = $1 and deleted_at is null",
    )
    .bind(email.as_str())
    .fetch_optional(work.conn())
    .await?;
    let known = row.map(|(member, hash)| Known {
        org,
        org_name: org_name.clone(),
        member,
        email: email.as_str().to_owned(),
        hash,
    });
    Ok(Some((org, known)))
}

/// Writes down that somebody was not let in. What was typed in place of an address is not kept: it may be a password.
async fn refuse(
    store: &Store,
    org: OrgId,
    known: Option<&Known>,
    email: &str,
    from: &Visitor<'_>,
) -> Result<()> {
    let email = email.parse::<Email>().ok();
    let typed = email.as_ref().map_or("(no address)", Email::as_str);
    let actor = match known {
        Some(known) => known.actor(),
        None => format!("unknown ({typed})"),
    };
    let mut work = store.work(org, &actor, Mode::Write).await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    work.record_refused(&Change {
        mesh: None,
        revision: None,
        action: "sign_in",
        kind: Kind::Member.as_str(),
        id: known.map_or(Uuid::nil(), |known| known.member),
        name: typed,
        before: None,
        after: None,
    });
    work.commit().await?;
    Ok(())
}

/// Begins a session: how it came about, and what it is narrowed to.
pub(crate) async fn begin(
    work: &mut Work,
    signing: &Signing,
    known: &Known,
    (method, scopes): (&'static str, Option<&[String]>),
) -> Result<SignedIn> {
    let id = SessionId::from_uuid(work.next_id());
    let now = work.now();
    let refresh = secret::draw_refresh(None).map_err(|e| Error::Database(Box::new(e)))?;
    let (family, generation) = secret::refresh_digests(&refresh).ok_or(Error::NotFound)?;
    let client = work.client().map(ToOwned::to_owned);
    sqlx::query(
        "insert into heddle.sessions (org_id, id, principal_id, method, client, family_hash, refresh_hash, created_at, \
                                      refreshed_at, expires_at, scopes) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10)",
    )
    .bind(work.org().uuid())
    .bind(id.uuid())
    .bind(known.member)
    .bind(method)
    .bind(&client)
    .bind(family)
    .bind(generation)
    .bind(now)
    .bind(now + LONGEST)
    .bind(scopes)
    .execute(work.conn())
    .await?;
    let mut after = json!({"method": method});
    if let Some(scopes) = scopes {
        after["scopes"] = json!(scopes);
    }
    record(work, "sign_in", id, &known.email, Some(&after)).await?;
    let about = Claimed {
        org: known.org,
        member: MemberId::from_uuid(known.member),
        session: id,
    };
    let (access_token, access_until) = session_keys::sign(signing, about, now)?;
    Ok(SignedIn {
        session: id,
        member: about.member,
        email: known.email.clone(),
        org: known.org,
        org_name: known.org_name.clone(),
        access_token,
        access_until,
        refresh_token: refresh,
    })
}

/// Gets the next token of a session, and the next refresh secret with it. A secret that was used before ends the session:
/// somebody has a copy of it.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn refresh(
    store: &Store,
    sealer: &dyn KeySealer,
    secret: &SecretString,
) -> Result<std::result::Result<SignedIn, Refused>> {
    let Some((family, generation)) = secret::refresh_digests(secret) else {
        return Ok(Err(Refused::Credentials));
    };
    let Some(holder) = store.door(Door::Refresh, &family).await? else {
        return Ok(Err(Refused::Credentials));
    };
    let org = OrgId::from_uuid(holder.org_id);
    let id = SessionId::from_uuid(holder.id.unwrap_or_default());
    let signing = session_keys::signing(store, sealer).await?;
    let mut work = store.work(org, &id.to_string(), Mode::Write).await?;
    let now = work.now();
    let row: Option<(Uuid, String, Vec<u8>)> = sqlx::query_as(
        "select s.principal_id, p.name, s.refresh_hash \
         from heddle.sessions s join heddle.principals p on p.org_id = s.org_id and p.id = s.principal_id \
         where s.id = $1 and s.revoked_at is null and p.deleted_at is null and s.expires_at > $2 \
           and s.refreshed_at > $3 for update of s",
    )
    .bind(id.uuid())
    .bind(now)
    .bind(now - IDLE)
    .fetch_optional(work.conn())
    .await?;
    let Some((member, email, current)) = row else {
        return Ok(Err(Refused::Credentials));
    };
    // Hashes of random secrets: how long comparing two of them takes says nothing about either.
    if current != generation {
        let reason = json!({"reason": "a refresh secret was used twice"});
        end(&mut work, id).await?;
        record(&mut work, "revoke", id, &email, Some(&reason)).await?;
        work.commit().await?;
        return Ok(Err(Refused::Credentials));
    }
    let next = secret::draw_refresh(Some(secret)).map_err(|e| Error::Database(Box::new(e)))?;
    let (_, generation) = secret::refresh_digests(&next).ok_or(Error::NotFound)?;
    sqlx::query("update heddle.sessions set refresh_hash = $2, refreshed_at = $3 where id = $1")
        .bind(id.uuid())
        .bind(generation)
        .bind(now)
        .execute(work.conn())
        .await?;
    let about = Claimed {
        org,
        member: MemberId::from_uuid(member),
        session: id,
    };
    let (access_token, access_until) = session_keys::sign(&signing, about, now)?;
    work.commit().await?;
    let org_name = holder.org_name.parse();
    Ok(Ok(SignedIn {
        session: id,
        member: about.member,
        email,
        org,
        org_name: org_name.map_err(|e| inconsistent("orgs", "name", org, e))?,
        access_token,
        access_until,
        refresh_token: next,
    }))
}

/// Changes the caller's own password and ends its other sessions, in the transaction that comes back. `Err` when the
/// current one is wrong.
///
/// # Errors
/// [`Error::NoPrincipal`] when the caller is no member, [`Error::Busy`], [`Error::Unavailable`].
pub async fn change_password(
    store: &Store,
    grant: &Grant<AccountManage>,
    current: SecretString,
    new: SecretString,
) -> Result<std::result::Result<Tx<AccountManage>, Refused>> {
    let Some(Principal::Member(member)) = grant.principal() else {
        return Err(Error::NoPrincipal);
    };
    let account = ["password", &member.to_string()];
    if let Err(wait) = store.throttle().begin(&account, store.clock().now()) {
        return Ok(Err(Refused::Wait(wait)));
    }
    // Not while a connection waits: hashing takes its time.
    let mut tx = store.begin(grant).await?;
    let hash: Option<Option<String>> = sqlx::query_scalar(
        "select password_hash from heddle.principals where id = $1 and deleted_at is null",
    )
    .bind(member.uuid())
    .fetch_optional(tx.work.conn())
    .await?;
    drop(tx);
    let hash = hash.flatten();
    if !store.verify_password(current, hash.clone()).await? {
        return Ok(Err(Refused::Credentials));
    }
    store.throttle().succeed(&account);
    let next = store.hash_password(new).await?;
    let mut tx = store.begin(grant).await?;
    let work = &mut tx.work;
    let done = sqlx::query(
        "update heddle.principals set password_hash = $2 where id = $1 and password_hash = $3 and deleted_at is null",
    )
    .bind(member.uuid())
    .bind(&next)
    .bind(&hash)
    .execute(work.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Err(Refused::Credentials));
    }
    let keep = work.session();
    end_all(work, member.uuid(), keep).await?;
    let row = principals::by_id(work, member.uuid()).await?;
    let email = row.ok_or(Error::NotFound)?.name;
    let id = member.uuid();
    principals::record(
        work,
        Kind::Member,
        "change_password",
        id,
        &email,
        None,
        None,
    )
    .await?;
    Ok(Ok(tx))
}

/// Ends all sessions of a member but one.
pub(crate) async fn end_all(work: &mut Work, member: Uuid, keep: Option<SessionId>) -> Result<()> {
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
        "select s.id, s.principal_id, p.name as email, s.method, s.client, s.scopes, s.created_at, s.refreshed_at, \
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
