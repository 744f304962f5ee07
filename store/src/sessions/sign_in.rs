//! How a session begins: with a password, or by what a member decided about a device.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::email::Email;
use heddle_model::id::{MemberId, OrgId, SessionId};
use heddle_model::name::Name;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::challenge::{self, Challenge};
use super::{Refused, SignedIn, record};
use crate::authz::Door;
use crate::error::{Error, Result};
use crate::origin::Visitor;
use crate::principals::Kind;
use crate::second_factors;
use crate::secret;
use crate::session_keys::{self, Claimed, KeySealer, Signing};
use crate::store::Store;
use crate::tx::{Change, Mode, Work};

/// A session ends after this, however busy.
const LONGEST: TimeDelta = TimeDelta::days(30);
/// The same of one that began by the word of a provider, which is asked again whether they are still there.
const LONGEST_BY_SSO: TimeDelta = TimeDelta::hours(24);
/// How such a session begins.
const METHOD: &str = "password";

/// Where the first step of signing in leads.
#[derive(Debug)]
pub enum Step {
    /// In.
    In(SignedIn),
    /// To a second step.
    SecondFactor(Challenge),
}

/// Lets a member in by e-mail address and password, or asks it for its second factor. Whoever is unknown is refused after the same work, which includes a row of
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
) -> Result<std::result::Result<Step, Refused>> {
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
    // Under the lock of the member's row: whoever adds one now waits, and ends the session that is begun here.
    let step = if second_factors::has(&mut work, known.member).await? {
        Step::SecondFactor(challenge::draw(&mut work, known.member, METHOD).await?)
    } else {
        let how = Beginning::by(METHOD);
        Step::In(begin(&mut work, &signing, &known, &how).await?)
    };
    work.commit().await?;
    Ok(Ok(step))
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
pub(super) async fn refuse(
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

/// How a session comes about, and what it is narrowed to.
pub(crate) struct Beginning<'a> {
    pub(crate) method: &'a str,
    pub(crate) second_factor: Option<&'static str>,
    pub(crate) scopes: Option<&'a [String]>,
    /// The connection by which they came.
    pub(crate) connection: Option<&'a str>,
    /// When they showed who they are, if that was before.
    pub(crate) authenticated_at: Option<DateTime<Utc>>,
}

impl<'a> Beginning<'a> {
    /// By one step alone, for all that the member has.
    pub(crate) const fn by(method: &'a str) -> Self {
        Self {
            method,
            second_factor: None,
            scopes: None,
            connection: None,
            authenticated_at: None,
        }
    }
}

/// Begins a session.
pub(crate) async fn begin(
    work: &mut Work,
    signing: &Signing,
    known: &Known,
    how: &Beginning<'_>,
) -> Result<SignedIn> {
    let id = SessionId::from_uuid(work.next_id());
    let now = work.now();
    let refresh = secret::draw_refresh(None).map_err(|e| Error::Database(Box::new(e)))?;
    let (family, generation) = secret::refresh_digests(&refresh).ok_or(Error::NotFound)?;
    let client = work.client().map(ToOwned::to_owned);
    let longest = if how.method == "sso" {
        LONGEST_BY_SSO
    } else {
        LONGEST
    };
    sqlx::query(
        "insert into heddle.sessions (org_id, id, principal_id, method, client, family_hash, refresh_hash, created_at, \
                                      refreshed_at, expires_at, scopes, second_factor, authenticated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11, $12)",
    )
    .bind(work.org().uuid())
    .bind(id.uuid())
    .bind(known.member)
    .bind(how.method)
    .bind(&client)
    .bind(family)
    .bind(generation)
    .bind(now)
    .bind(now + longest)
    .bind(how.scopes)
    .bind(how.second_factor)
    .bind(how.authenticated_at)
    .execute(work.conn())
    .await?;
    let mut after = json!({"method": how.method});
    if let Some(factor) = how.second_factor {
        after["second_factor"] = json!(factor);
    }
    if let Some(connection) = how.connection {
        after["connection"] = json!(connection);
    }
    if let Some(scopes) = how.scopes {
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
