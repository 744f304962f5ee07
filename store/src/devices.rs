//! Devices that ask to be let in (RFC 8628): a program without a browser asks, a member who signed in elsewhere looks at what it asks
//! for and decides, and the program, which keeps asking, gets a session of that member.
//!
//! A request belongs to nobody until it is decided; the decision is a row of the member's organisation. The program holds a
//! code that nobody can guess, the member types a short one: guesses at those are counted for each member, and nothing
//! but time makes up for them.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::Action;
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::id::{DeviceId, OrgId};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use uuid::Uuid;

use crate::allowance::Rate;
use crate::authz::{Door, Grant, Principal, plain_client};
use crate::error::{Error, Result, inconsistent};
use crate::principals;
use crate::rights::{self, Rights};
use crate::secret;
use crate::session_keys::{self, KeySealer};
use crate::sessions::{self, Beginning, Known, SignedIn};
use crate::store::Store;
use crate::tx::{Change, Mode, Tx, Work};

/// How long a request can be decided.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// For how long a request is remembered that can no longer be decided, so that its device is told so.
const REMEMBER: TimeDelta = TimeDelta::hours(1);
/// How long a device waits between two questions, in seconds.
const INTERVAL: i32 = 5;
/// By how much longer one waits that did not; and the most that it waits.
const SLOWER: i32 = 5;
const SLOWEST: i32 = 60;

/// How many requests come from everywhere: what strangers can make us keep is bounded by this.
const FROM_ALL: Rate = Rate {
    burst: 600,
    every: TimeDelta::milliseconds(100),
};
/// How many codes a member tries that lead to nothing.
const GUESSES: Rate = Rate {
    burst: 10,
    every: TimeDelta::seconds(30),
};

/// What a device asks for.
#[derive(Debug)]
pub struct NewRequest<'a> {
    /// What it calls itself.
    pub client: &'a str,
    /// Where it asks from, as the server saw it.
    pub address: Option<&'a str>,
    /// The permissions that it shall be narrowed to; `None`: all that the member has.
    pub scopes: Option<Vec<Action>>,
}

/// What a device gets that asked: once, and the member's code is to be shown.
#[derive(Debug)]
pub struct Asked {
    /// What the device asks for its session with.
    pub device_code: SecretString,
    /// What the member types.
    pub user_code: SecretString,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// How long to wait between two questions, in seconds.
    pub interval: i32,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody decided yet.
    Pending,
    /// A member of this organisation let the device in.
    Approved,
    /// A member of this organisation did not.
    Denied,
}

/// A request as a member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Its identifier.
    pub id: DeviceId,
    /// What the device calls itself.
    pub client: String,
    /// Where it asked from.
    pub address: Option<String>,
    /// The permissions that it shall be narrowed to; `None`: all that the member has.
    pub scopes: Option<Vec<String>>,
    /// What became of it.
    pub state: State,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it can be decided.
    pub expires_at: DateTime<Utc>,
}

/// What a device is told that asks for its session.
#[derive(Debug)]
pub enum Answer {
    /// The member let it in.
    SignedIn(Box<SignedIn>),
    /// Nobody decided yet.
    Pending,
    /// Nobody decided yet, and it asks too often: from now on it waits this long, in seconds.
    SlowDown(i32),
    /// A member does not let it in.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// There is no such code, or it was used.
    Unknown,
}

/// Too much of something; how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts")]
pub struct Wait(pub TimeDelta);

fn no_randomness(error: secret::NoRandomness) -> Error {
    Error::Database(Box::new(error))
}

/// Takes the request of a device. Anyone may ask, so often.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn ask(store: &Store, new: &NewRequest<'_>) -> Result<std::result::Result<Asked, Wait>> {
    let now = store.clock().now();
    let from = new.address.and_then(|address| address.parse().ok());
    if let Err(wait) = store.strangers().ask("device", FROM_ALL, from, None, now) {
        return Ok(Err(wait));
    }
    sqlx::query("delete from heddle.device_requests where expires_at < $1")
        .bind(now - REMEMBER)
        .execute(store.pool())
        .await?;
    let expires_at = now + LIFETIME;
    let scopes = new.scopes.as_ref();
    let scopes: Option<Vec<&str>> = scopes.map(|all| all.iter().map(|a| a.scope()).collect());
    // Two requests with the same short code would be one in tens of millions.
    for _ in 0..3 {
        let device_code = secret::draw(secret::Kind::Device).map_err(no_randomness)?;
        let user_code = secret::draw_typed().map_err(no_randomness)?;
        let done = sqlx::query(
            "insert into heddle.device_requests (id, device_hash, user_hash, client, address, scopes, interval_seconds, \
                                                 created_at, expires_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        )
        .bind(store.ids().next())
        .bind(secret::digest_of(&device_code))
        .bind(secret::digest_of(&user_code))
        .bind(plain_client(new.client))
        .bind(new.address)
        .bind(&scopes)
        .bind(INTERVAL)
        .bind(now)
        .bind(expires_at)
        .execute(store.pool())
        .await?;
        if done.rows_affected() == 1 {
            return Ok(Ok(Asked {
                device_code,
                user_code,
                expires_at,
                interval: INTERVAL,
            }));
        }
    }
    Err(Error::Database("three codes in a row were taken".into()))
}

/// Answers a device that asks for its session. Of several questions at once one gets it.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn answer(store: &Store, sealer: &dyn KeySealer, code: &SecretString) -> Result<Answer> {
    if secret::kind_of(code.expose_secret()) != Some(secret::Kind::Device) {
        return Ok(Answer::Unknown);
    }
    let hash = secret::digest_of(code);
    match store.door(Door::Device, &hash).await? {
        Some(holder) => {
            let org = OrgId::from_uuid(holder.org_id);
            let name = holder.org_name.parse();
            let name = name.map_err(|e| inconsistent("orgs", "name", org, e))?;
            redeem(store, sealer, (org, name), holder.id.unwrap_or_default()).await
        }
        None => wait(store, &hash).await,
    }
}

#[derive(sqlx::FromRow)]
struct Decision {
    approved: bool,
    redeemed_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    client: String,
    scopes: Option<Vec<String>>,
    member: Uuid,
    email: String,
}

async fn redeem(
    store: &Store,
    sealer: &dyn KeySealer,
    (org, org_name): (OrgId, heddle_model::name::Name),
    request: Uuid,
) -> Result<Answer> {
    let device = DeviceId::from_uuid(request);
    let signing = session_keys::signing(store, sealer).await?;
    let mut work = store.work(org, &device.to_string(), Mode::Write).await?;
    let now = work.now();
    let found: Option<Decision> = sqlx::query_as(
        "select d.approved, d.redeemed_at, d.expires_at, d.client, d.scopes, p.id as member, p.name as email \
         from heddle.device_decisions d join heddle.principals p on p.org_id = d.org_id and p.id = d.principal_id \
         where d.request_id = $1 and p.deleted_at is null for update of d",
    )
    .bind(request)
    .fetch_optional(work.conn())
    .await?;
    let decision = match found {
        None => return Ok(Answer::Unknown),
        Some(decision) if decision.redeemed_at.is_some() => return Ok(Answer::Unknown),
        Some(decision) if !decision.approved => return Ok(Answer::Denied),
        Some(decision) if decision.expires_at <= now => return Ok(Answer::Expired),
        Some(decision) => decision,
    };
    sqlx::query("update heddle.device_decisions set redeemed_at = $2 where request_id = $1")
        .bind(request)
        .bind(now)
        .execute(work.conn())
        .await?;
    work.set_client(Some(&decision.client));
    let known = Known {
        org,
        org_name,
        member: decision.member,
        email: decision.email,
        hash: None,
    };
    let how = Beginning {
        scopes: decision.scopes.as_deref(),
        ..Beginning::by("device")
    };
    let signed = sessions::begin(&mut work, &signing, &known, &how).await?;
    work.commit().await?;
    Ok(Answer::SignedIn(Box::new(signed)))
}

/// What a device is told whose request nobody decided. Whoever does not wait long enough waits longer from then on.
async fn wait(store: &Store, hash: &[u8]) -> Result<Answer> {
    let now = store.clock().now();
    let found: Option<(DateTime<Utc>, bool, i32)> = sqlx::query_as(
        "with before as ( \
             select id, asked_at > $2 - make_interval(secs => interval_seconds) as early \
             from heddle.device_requests where device_hash = $1 for update) \
         update heddle.device_requests r \
         set asked_at = $2, \
             interval_seconds = case when b.early then least(r.interval_seconds + $3, $4) else r.interval_seconds end \
         from before b where r.id = b.id \
         returning r.expires_at, coalesce(b.early, false), r.interval_seconds",
    )
    .bind(hash)
    .bind(now)
    .bind(SLOWER)
    .bind(SLOWEST)
    .fetch_optional(store.pool())
    .await?;
    Ok(match found {
        None => Answer::Unknown,
        Some((expires_at, ..)) if expires_at <= now => Answer::Expired,
        Some((_, true, interval)) => Answer::SlowDown(interval),
        Some((_, false, _)) => Answer::Pending,
    })
}

/// A request that a member's code led to.
#[derive(Debug)]
pub struct Found(Stored);

#[derive(Debug, sqlx::FromRow)]
struct Stored {
    id: Uuid,
    client: String,
    address: Option<String>,
    scopes: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// Finds the request that a member's code leads to, if it can still be decided. Codes that lead to nothing are counted.
///
/// # Errors
/// [`Error::NotSignedIn`] for callers without a session; [`Error::NotFound`]; [`Error::Unavailable`].
pub async fn find<P: heddle_model::authz::Permission>(
    store: &Store,
    grant: &Grant<P>,
    user_code: &str,
) -> Result<std::result::Result<Found, Wait>> {
    let (Some(Principal::Member(member)), Some(_)) = (grant.principal(), grant.session()) else {
        return Err(Error::NotSignedIn);
    };
    let now = store.clock().now();
    let who = format!("device code {member}");
    if let Err(wait) = store.allowance().take(&who, GUESSES, now) {
        return Ok(Err(Wait(wait)));
    }
    let code = secret::typed(user_code).ok_or(Error::NotFound)?;
    let found: Option<Stored> = sqlx::query_as(
        "select id, client, address, scopes, created_at, expires_at \
         from heddle.device_requests where user_hash = $1 and expires_at > $2",
    )
    .bind(secret::digest(&code))
    .bind(now)
    .fetch_optional(store.pool())
    .await?;
    let found = found.ok_or(Error::NotFound)?;
    store.allowance().give_back(&who, GUESSES);
    Ok(Ok(Found(found)))
}

/// What a member sees of a request.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn show(tx: &mut Tx<AccountRead>, found: &Found) -> Result<RequestRow> {
    let approved: Option<bool> =
        sqlx::query_scalar("select approved from heddle.device_decisions where request_id = $1")
            .bind(found.0.id)
            .fetch_optional(tx.work.conn())
            .await?;
    Ok(row(&found.0, approved))
}

fn row(stored: &Stored, approved: Option<bool>) -> RequestRow {
    RequestRow {
        id: DeviceId::from_uuid(stored.id),
        client: stored.client.clone(),
        address: stored.address.clone(),
        scopes: stored.scopes.clone(),
        state: match approved {
            None => State::Pending,
            Some(true) => State::Approved,
            Some(false) => State::Denied,
        },
        created_at: stored.created_at,
        expires_at: stored.expires_at,
    }
}

/// Decides a request, once: the device gets a session of the caller, narrowed to what it asked for, or none.
///
/// # Errors
/// [`Error::NotFound`] when it was decided before, by whomever; [`Error::Escalation`] when the caller's own session is narrowed to
/// less than the device asks for; [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn decide(
    tx: &mut Tx<AccountManage>,
    found: &Found,
    approve: bool,
) -> Result<RequestRow> {
    let work = &mut tx.work;
    let Some(Principal::Member(member)) = work.principal() else {
        return Err(Error::NotSignedIn);
    };
    let stored = &found.0;
    if approve {
        let owner = principals::by_id(work, member.uuid()).await?;
        let bound = owner.ok_or(Error::NotFound)?.bound;
        let scopes = stored.scopes.as_deref().map(rights::scopes);
        work.require_rights(&Rights::new(bound, scopes, None))?;
        sessions::require_fresh(work).await?;
    }
    let now = work.now();
    sqlx::query("delete from heddle.device_decisions where expires_at < $1")
        .bind(now - REMEMBER)
        .execute(work.conn())
        .await?;
    let done = sqlx::query(
        "insert into heddle.device_decisions (org_id, request_id, principal_id, approved, client, scopes, decided_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
    )
    .bind(work.org().uuid())
    .bind(stored.id)
    .bind(member.uuid())
    .bind(approve)
    .bind(&stored.client)
    .bind(&stored.scopes)
    .bind(now)
    .bind(stored.expires_at)
    .execute(work.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    record(work, stored, approve).await?;
    Ok(row(stored, Some(approve)))
}

async fn record(work: &mut Work, stored: &Stored, approve: bool) -> Result<()> {
    let after =
        json!({"client": stored.client, "address": stored.address, "scopes": stored.scopes});
    work.record(Change {
        mesh: None,
        revision: None,
        action: if approve { "approve" } else { "deny" },
        kind: "device_authorization",
        id: stored.id,
        name: &stored.client,
        before: None,
        after: after.as_object(),
    })
    .await
}
