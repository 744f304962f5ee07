//! A member who has forgotten the password: asks by e-mail address, gets a link there, and sets another password with it.
//!
//! Whoever asks is told nothing, and finds out nothing: what is done while they wait is the same whether there is such a member or
//! not. That is looked up once the mail is sent.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::email::Email;
use heddle_model::id::{MemberId, OrgId};
use heddle_model::name::Name;
use secrecy::SecretString;
use uuid::Uuid;

use crate::allowance::Rate;
use crate::authz::Door;
use crate::devices::Wait;
use crate::error::Result;
use crate::links::{self, Purpose, Unusable};
use crate::mails::{self, Notice};
use crate::origin::Visitor;
use crate::principals::{self, Kind, PrincipalRow};
use crate::sessions;
use crate::store::Store;
use crate::tx::{Change, Mode, Work};

/// How long a link works once it was sent.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// How often it is asked for one e-mail address.
const FOR_ADDRESS: Rate = Rate {
    burst: 3,
    every: TimeDelta::minutes(5),
};
/// How often it is asked from everywhere: what strangers can make us keep is bounded by this.
const FROM_ALL: Rate = Rate {
    burst: 600,
    every: TimeDelta::milliseconds(500),
};

/// Takes the wish for another password. Anyone may have it, so often.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn ask(
    store: &Store,
    (org, email): (&str, &Email),
    from: &Visitor<'_>,
) -> Result<std::result::Result<(), Wait>> {
    let account = format!("{email} in {org}");
    let account = Some((account.as_str(), FOR_ADDRESS));
    let (strangers, now) = (store.strangers(), store.clock().now());
    if let Err(wait) = strangers.ask("password reset", FROM_ALL, from.ip, account, now) {
        return Ok(Err(wait));
    }
    let Some(org) = named(store, org).await? else {
        return Ok(Ok(()));
    };
    let mut work = store
        .work(org, &format!("unknown ({email})"), Mode::Write)
        .await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    mails::post(&mut work, Purpose::PasswordReset, email, None).await?;
    work.record(Change {
        mesh: None,
        revision: None,
        action: "request_password_reset",
        kind: Kind::Member.as_str(),
        id: Uuid::nil(),
        name: email.as_str(),
        before: None,
        after: None,
    })
    .await?;
    work.commit().await?;
    Ok(Ok(()))
}

/// The organisation of a name that somebody typed.
pub(crate) async fn named(store: &Store, org: &str) -> Result<Option<OrgId>> {
    let Ok(name) = org.parse::<Name>() else {
        return Ok(None);
    };
    let found = store.door(Door::OrgName, name.as_str().as_bytes()).await?;
    Ok(found.map(|org| OrgId::from_uuid(org.org_id)))
}

/// The link of a mail; none when there is no such member.
pub(crate) async fn draw(
    work: &mut Work,
    email: &Email,
) -> Result<Option<(SecretString, DateTime<Utc>)>> {
    let member = principals::find(work, Kind::Member, email.as_str()).await?;
    let Some(member) = member else {
        return Ok(None);
    };
    let expires_at = work.now() + LIFETIME;
    let id = member.id.uuid();
    let secret = links::draw(work, Purpose::PasswordReset, id, expires_at).await?;
    Ok(Some((secret, expires_at)))
}

/// Why a password is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The link leads to nothing.
    #[error(transparent)]
    Link(#[from] Unusable),
    /// Too much from one place.
    #[error(transparent)]
    Wait(#[from] Wait),
}

/// The member whom a link is for, if there is one.
async fn open(
    store: &Store,
    (org, secret): (&str, &SecretString),
) -> Result<Option<(OrgId, PrincipalRow)>> {
    let Some(org) = named(store, org).await? else {
        return Ok(None);
    };
    let mut work = store.work(org, "password reset", Mode::Read).await?;
    let Ok(id) = links::target(&mut work, Purpose::PasswordReset, secret).await? else {
        return Ok(None);
    };
    let member = principals::by_id(&mut work, id).await?;
    Ok(member.map(|member| (org, member)))
}

/// Sets the password of whoever got the link, once, and ends all of their sessions.
///
/// # Errors
/// [`crate::Error::Busy`], [`crate::Error::Unavailable`].
pub async fn complete(
    store: &Store,
    (org_name, secret): (&str, &SecretString),
    password: SecretString,
    from: &Visitor<'_>,
) -> Result<std::result::Result<(), Refused>> {
    // Taken first, so that of many at once none gets past it; given back, or never asked for, by whoever has a good one.
    let tried = store.strangers().try_link(from.ip, store.clock().now());
    // Whoever has no link makes nobody hash anything.
    let Some((org, member)) = open(store, (org_name, secret)).await? else {
        return Ok(Err(tried.err().map_or(Unusable.into(), Refused::Wait)));
    };
    if tried.is_ok() {
        store.strangers().link_was_good(from.ip);
    }
    let hash = store.hash_password(password).await?;
    let id = member.id.uuid();
    let actor = format!("{} ({})", MemberId::from_uuid(id), member.name);
    let mut work = store.work(org, &actor, Mode::Write).await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    if let Err(unusable) = links::take(&mut work, Purpose::PasswordReset, secret).await? {
        return Ok(Err(unusable.into()));
    }
    let done = sqlx::query(
        "update heddle.principals set password_hash = $2 where id = $1 and deleted_at is null",
    )
    .bind(id)
    .bind(&hash)
    .execute(work.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Err(Unusable.into()));
    }
    sessions::end_all(&mut work, id, None).await?;
    mails::tell(&mut work, Notice::PasswordChanged, &member.name).await?;
    let what = "complete_password_reset";
    principals::record(&mut work, Kind::Member, what, id, &member.name, None, None).await?;
    work.commit().await?;
    // Whoever could not remember it has guessed.
    store.throttle().succeed(&[org_name, &member.name]);
    Ok(Ok(()))
}
