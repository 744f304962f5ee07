//! Signing in by the word of a provider: who was sent there, and who comes back.
//!
//! Whoever is sent gets a secret, which stays in the browser; of it the hash is a row of the organisation, for minutes and for one return. What
//! the provider says is found out in between, outside of any transaction, by whoever calls; it comes in as [`Vouched`], the one statement
//! about a person that the store takes from outside.

mod enter;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::AccountManage;
use heddle_model::id::{MemberId, OrgId};
use heddle_model::name::Name;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::allowance::Rate;
use crate::authz::{Grant, Principal};
use crate::devices::Wait;
use crate::error::{Error, Result};
use crate::orgs;
use crate::origin::Visitor;
use crate::password_resets::named;
use crate::secret;
use crate::session_keys::KeySealer;
use crate::sso_connections::{self, ConnectionRow};
use crate::store::Store;
use crate::tx::{Change, Mode, Tx, Work};
pub use enter::{NotLetIn, enter};

/// How long somebody can be away.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// How often somebody is sent, from everywhere: what strangers can make us keep is bounded by this.
const FROM_ALL: Rate = Rate {
    burst: 600,
    every: TimeDelta::milliseconds(100),
};

/// Whom a provider vouched for, when it was asked just now. Whoever makes one has looked at the ID token.
#[derive(Debug, Clone, Copy)]
pub struct Vouched<'a> {
    /// What it knows them by.
    pub subject: &'a str,
    /// An address that it has of them; shown, and believed by nobody.
    pub email: Option<&'a str>,
    /// What it calls them.
    pub name: Option<&'a str>,
    /// When it asked them who they are, if it says so.
    pub authenticated_at: Option<DateTime<Utc>>,
}

/// Somebody who is sent to a provider.
#[derive(Debug)]
pub struct Sent {
    /// What they come back with.
    pub secret: SecretString,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// Where to.
    pub connection: ConnectionRow,
    /// The organisation.
    pub org: OrgId,
    /// Its name.
    pub org_name: Name,
}

/// Somebody who came back, once.
#[derive(Debug)]
pub struct Taken {
    /// Where from.
    pub connection: ConnectionRow,
    /// What the provider is shown.
    pub client_secret: Option<SecretString>,
    pub(crate) org: OrgId,
    /// The name of the organisation.
    pub org_name: Name,
}

/// Why nobody is sent, or comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such organisation or connection.
    #[error("no such connection")]
    Connection,
    /// Nobody was sent who comes back with that.
    #[error("nobody was sent")]
    Unknown,
    /// Too much of it.
    #[error(transparent)]
    Wait(#[from] Wait),
}

/// The connections of an organisation, for whoever is about to sign in. None when there is no such organisation.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn options(store: &Store, org: &str) -> Result<Vec<ConnectionRow>> {
    let Some(org) = named(store, org).await? else {
        return Ok(Vec::new());
    };
    let mut work = store.work(org, "sign-in", Mode::Read).await?;
    sso_connections::page_in(&mut work, None, MOST_OPTIONS).await
}

/// More than anybody chooses from.
const MOST_OPTIONS: u32 = 50;

/// Sends somebody who has shown nothing to the provider of a connection; `None`: of the only one.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn send(
    store: &Store,
    (org_name, connection): (&str, Option<&str>),
    from: &Visitor<'_>,
) -> Result<std::result::Result<Sent, Refused>> {
    let now = store.clock().now();
    if let Err(wait) = store.strangers().ask("sso", FROM_ALL, from.ip, None, now) {
        return Ok(Err(wait.into()));
    }
    let (Some(org), Ok(org_name)) = (named(store, org_name).await?, org_name.parse::<Name>())
    else {
        return Ok(Err(Refused::Connection));
    };
    let mut work = store.work(org, "sign-in", Mode::Write).await?;
    let Some(row) = chosen(&mut work, connection).await? else {
        return Ok(Err(Refused::Connection));
    };
    let sent = insert(&mut work, org_name, row, None).await?;
    work.commit().await?;
    Ok(Ok(sent))
}

/// The connection of that name, or the only one.
async fn chosen(work: &mut Work, connection: Option<&str>) -> Result<Option<ConnectionRow>> {
    match connection {
        Some(connection) => sso_connections::find_in(work, connection).await,
        None => {
            let mut rows = sso_connections::page_in(work, None, 2).await?;
            Ok(rows.pop().filter(|_| rows.is_empty()))
        }
    }
}

/// Sends the caller, who signed in, to be linked with whomever the provider knows it as.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::SignInAgain`], [`Error::NotFound`] without such a connection, [`Error::Unavailable`].
pub async fn send_to_link(tx: &mut Tx<AccountManage>, connection: &str) -> Result<Sent> {
    let work = &mut tx.work;
    let (Some(Principal::Member(member)), Some(_)) = (work.principal(), work.session()) else {
        return Err(Error::NotSignedIn);
    };
    crate::sessions::require_fresh(work).await?;
    let row = sso_connections::find_in(work, connection).await?;
    let row = row.ok_or(Error::NotFound)?;
    let org = orgs::name_of(work).await?;
    insert(work, org, row, Some(member)).await
}

async fn insert(
    work: &mut Work,
    org_name: Name,
    connection: ConnectionRow,
    member: Option<MemberId>,
) -> Result<Sent> {
    let secret = secret::draw(secret::Kind::SsoSignIn).map_err(|e| Error::Database(Box::new(e)))?;
    let now = work.now();
    let expires_at = now + LIFETIME;
    sqlx::query("delete from heddle.sso_sign_ins where expires_at < $1")
        .bind(now)
        .execute(work.conn())
        .await?;
    let query = sqlx::query(
        "insert into heddle.sso_sign_ins (org_id, id, connection_id, principal_id, hash, created_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(work.org().uuid())
    .bind(work.next_id())
    .bind(connection.id.uuid())
    .bind(member.map(MemberId::uuid))
    .bind(secret::digest_of(&secret))
    .bind(now)
    .bind(expires_at);
    query.execute(work.conn()).await?;
    Ok(Sent {
        secret,
        expires_at,
        connection,
        org: work.org(),
        org_name,
    })
}

/// Takes somebody who was sent by [`send`] and comes back, once.
///
/// # Errors
/// [`Error::Signer`], [`Error::Unavailable`].
pub async fn take(
    store: &Store,
    sealer: &dyn KeySealer,
    (org_name, secret): (&str, &SecretString),
    from: &Visitor<'_>,
) -> Result<std::result::Result<Taken, Refused>> {
    // Taken first, so that of many at once none gets past it; given back, or never asked for, by whoever has a good one.
    let tried = store.strangers().try_link(from.ip, store.clock().now());
    let (Some(org), Ok(name)) = (named(store, org_name).await?, org_name.parse::<Name>()) else {
        return Ok(Err(tried.err().map_or(Refused::Unknown, Refused::Wait)));
    };
    match take_in(store, sealer, (org, name), secret, None).await? {
        Some(taken) => {
            if tried.is_ok() {
                store.strangers().link_was_good(from.ip);
            }
            Ok(Ok(taken))
        }
        None => Ok(Err(tried.err().map_or(Refused::Unknown, Refused::Wait))),
    }
}

/// Takes the caller, who was sent by [`send_to_link`] and comes back, once.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::Signer`], [`Error::Unavailable`].
pub async fn take_to_link(
    store: &Store,
    sealer: &dyn KeySealer,
    grant: &Grant<AccountManage>,
    secret: &SecretString,
) -> Result<std::result::Result<Taken, Refused>> {
    let (Some(Principal::Member(member)), Some(_)) = (grant.principal(), grant.session()) else {
        return Err(Error::NotSignedIn);
    };
    let mut tx = store.begin(grant).await?;
    let org = orgs::name_of(&mut tx.work).await?;
    tx.roll_back().await?;
    let taken = take_in(store, sealer, (grant.org(), org), secret, Some(member)).await?;
    Ok(taken.ok_or(Refused::Unknown))
}

async fn take_in(
    store: &Store,
    sealer: &dyn KeySealer,
    (org, org_name): (OrgId, Name),
    secret: &SecretString,
    member: Option<MemberId>,
) -> Result<Option<Taken>> {
    if secret::kind_of(secret.expose_secret()) != Some(secret::Kind::SsoSignIn) {
        return Ok(None);
    }
    let mut work = store.work(org, "sign-in", Mode::Write).await?;
    let now = work.now();
    let connection: Option<Uuid> = sqlx::query_scalar(
        "delete from heddle.sso_sign_ins where hash = $1 and expires_at > $2 and principal_id is not distinct from $3 \
         returning connection_id",
    )
    .bind(secret::digest_of(secret))
    .bind(now)
    .bind(member.map(MemberId::uuid))
    .fetch_optional(work.conn())
    .await?;
    let Some(connection) = connection else {
        return Ok(None);
    };
    let id = heddle_model::id::SsoConnectionId::from_uuid(connection);
    let row = sso_connections::find_in(&mut work, &id.to_string()).await?;
    let row = row.ok_or(Error::NotFound)?;
    let sealed = sso_connections::sealed(&mut work, id).await?;
    work.commit().await?;
    let client_secret = match sealed {
        Some(sealed) => Some(sso_connections::open(sealer, org, id, &sealed).await?),
        None => None,
    };
    Ok(Some(Taken {
        connection: row,
        client_secret,
        org,
        org_name,
    }))
}

/// Writes down that somebody was not let in, and why.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn refuse(store: &Store, taken: &Taken, why: &str, from: &Visitor<'_>) -> Result<()> {
    let mut work = store.work(taken.org, "sign-in", Mode::Write).await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    let after = serde_json::json!({"method": "sso", "reason": why});
    work.record_refused(&Change {
        mesh: None,
        revision: None,
        action: "sign_in",
        kind: "sso_connection",
        id: taken.connection.id.uuid(),
        name: taken.connection.name.as_str(),
        before: None,
        after: after.as_object(),
    });
    work.commit().await?;
    Ok(())
}
