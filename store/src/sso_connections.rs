//! Connections to the providers by whose word members sign in (OpenID Connect).
//!
//! What a connection leads to is fixed when it is made: another issuer or client is another connection, so that whoever is known at one is
//! never taken for somebody who is known at the other.

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::{MemberRead, MemberWrite};
use heddle_model::id::{OrgId, SsoConnectionId};
use heddle_model::name::Name;
use heddle_model::quota::Quota;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::authz::Grant;
use crate::error::{Cause, Error, Result, inconsistent};
use crate::quotas;
use crate::reseal::{self, Place};
use crate::session_keys::KeySealer;
use crate::sessions;
use crate::store::Store;
use crate::tx::{Change, Tx, Work};

/// A connection, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Its identifier.
    pub id: SsoConnectionId,
    /// Unique among the organisation's.
    pub name: Name,
    /// What people call it.
    pub display_name: Option<String>,
    /// The provider, as it calls itself.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// Whether there is a secret that it is shown.
    pub has_secret: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    display_name: Option<String>,
    issuer: String,
    client_id: String,
    has_secret: bool,
    created_at: DateTime<Utc>,
    created_by: String,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for ConnectionRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let name = row.name.parse();
        Ok(Self {
            id: SsoConnectionId::from_uuid(row.id),
            name: name.map_err(|e| inconsistent("sso_connections", "name", row.id, e))?,
            display_name: row.display_name,
            issuer: row.issuer,
            client_id: row.client_id,
            has_secret: row.has_secret,
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
        })
    }
}

const COLUMNS: &str = "id, name, display_name, issuer, client_id, sealed_secret is not null as has_secret, \
                       created_at, created_by, updated_at";

/// A secret of a client, sealed for one connection.
#[derive(Clone)]
pub struct SealedSecret(Vec<u8>);

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSecret(..)")
    }
}

/// Seals a secret for a connection, be it there already or not. Outside of a transaction: whatever seals may be elsewhere.
///
/// # Errors
/// [`Error::Signer`].
pub async fn seal(
    sealer: &dyn KeySealer,
    grant: &Grant<MemberWrite>,
    id: SsoConnectionId,
    secret: &SecretString,
) -> Result<SealedSecret> {
    let place = place(grant.org(), id);
    let sealed = sealer.seal(place, secret.expose_secret().as_bytes()).await;
    sealed.map(SealedSecret).map_err(Error::Signer)
}

/// Opens a secret.
pub(crate) async fn open(
    sealer: &dyn KeySealer,
    org: OrgId,
    id: SsoConnectionId,
    sealed: &[u8],
) -> Result<SecretString> {
    let plain = sealer.open(place(org, id), sealed).await;
    let plain = plain.map_err(Error::Signer)?;
    let text = std::str::from_utf8(plain.expose_secret());
    let text = text.map_err(|error| Error::Signer(Cause::from(error)))?;
    Ok(SecretString::from(text))
}

fn place(org: OrgId, id: SsoConnectionId) -> Place {
    let id = id.uuid();
    Place::SsoConnection { org, id }
}

/// The identifier of a connection that is about to be made.
#[must_use]
pub fn draw_id(store: &Store) -> SsoConnectionId {
    SsoConnectionId::from_uuid(store.ids().next())
}

/// A connection to be made.
#[derive(Debug)]
pub struct NewConnection<'a> {
    /// Its identifier, for which its secret was sealed.
    pub id: SsoConnectionId,
    /// Unique among the organisation's.
    pub name: &'a Name,
    /// What people call it.
    pub display_name: Option<&'a str>,
    /// The provider, as it calls itself.
    pub issuer: &'a str,
    /// What it calls us.
    pub client_id: &'a str,
    /// What it is shown.
    pub secret: Option<SealedSecret>,
}

/// Makes a connection, by whoever signed in just now.
///
/// # Errors
/// [`Error::AlreadyExists`] with `sso_connections_name_key` or `sso_connections_client_key`, [`Error::LimitReached`],
/// [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn create(tx: &mut Tx<MemberWrite>, new: NewConnection<'_>) -> Result<ConnectionRow> {
    let work = &mut tx.work;
    sessions::require_fresh(work).await?;
    quotas::admit(work, Quota::SsoConnections, 1).await?;
    let (org, now) = (work.org().uuid(), work.now());
    let query = sqlx::query(
        "insert into heddle.sso_connections \
         (org_id, id, name, display_name, issuer, client_id, sealed_secret, created_at, created_by, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8)",
    )
    .bind(org)
    .bind(new.id.uuid())
    .bind(new.name.as_str())
    .bind(new.display_name)
    .bind(new.issuer)
    .bind(new.client_id)
    .bind(new.secret.map(|sealed| sealed.0))
    .bind(now)
    .bind(work.actor().to_owned());
    query.execute(work.conn()).await?;
    reseal::note_org(work).await?;
    let row = find_in(work, &new.id.to_string()).await?;
    let row = row.ok_or(Error::NotFound)?;
    record(work, "create", &row, None, Some(&facts(&row, None))).await?;
    Ok(row)
}

/// What is changed of a connection.
#[derive(Debug, Default)]
pub struct ChangedConnection {
    /// What people call it, or nothing.
    pub display_name: Option<Option<String>>,
    /// Another secret, or none.
    pub secret: Option<Option<SealedSecret>>,
}

/// Changes a connection, by whoever signed in just now. People who are on their way come back with the new secret.
///
/// # Errors
/// [`Error::NotFound`], [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn change(
    tx: &mut Tx<MemberWrite>,
    before: &ConnectionRow,
    changed: ChangedConnection,
) -> Result<ConnectionRow> {
    let work = &mut tx.work;
    sessions::require_fresh(work).await?;
    let new_secret = changed.secret.is_some();
    let display_name = changed
        .display_name
        .unwrap_or_else(|| before.display_name.clone());
    if !new_secret && display_name == before.display_name {
        return Ok(before.clone());
    }
    let now = work.now();
    let query = sqlx::query(
        "update heddle.sso_connections \
         set display_name = $2, sealed_secret = case when $3 then $4 else sealed_secret end, updated_at = $5 where id = $1",
    )
    .bind(before.id.uuid())
    .bind(display_name)
    .bind(new_secret)
    .bind(changed.secret.flatten().map(|sealed| sealed.0))
    .bind(now);
    query.execute(work.conn()).await?;
    reseal::note_org(work).await?;
    let row = find_in(work, &before.id.to_string()).await?;
    let row = row.ok_or(Error::NotFound)?;
    let is = facts(&row, new_secret.then_some("replaced"));
    record(work, "replace", &row, Some(&facts(before, None)), Some(&is)).await?;
    Ok(row)
}

/// Deletes a connection, what members are known by there, and the sessions that began with it.
///
/// # Errors
/// [`Error::NotFound`], [`Error::SsoInUse`], [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn delete(tx: &mut Tx<MemberWrite>, row: &ConnectionRow) -> Result<()> {
    let work = &mut tx.work;
    sessions::require_fresh(work).await?;
    // With whoever asks for it: one of the two comes first.
    let (required, others): (bool, bool) = sqlx::query_as(
        "select o.require_sso, exists (select from heddle.sso_connections c where c.id <> $1) \
         from heddle.orgs o for no key update of o",
    )
    .bind(row.id.uuid())
    .fetch_one(work.conn())
    .await?;
    if required && !others {
        return Err(Error::SsoInUse);
    }
    let members: Vec<Uuid> =
        sqlx::query_scalar("select principal_id from heddle.identities where connection_id = $1")
            .bind(row.id.uuid())
            .fetch_all(work.conn())
            .await?;
    let keep = work.session();
    for member in members {
        sessions::end_by_sso(work, member, keep).await?;
    }
    let done = sqlx::query("delete from heddle.sso_connections where id = $1")
        .bind(row.id.uuid())
        .execute(work.conn())
        .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    record(work, "delete", row, Some(&facts(row, None)), None).await
}

/// Finds a connection by name or identifier.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    name_or_id: &str,
) -> Result<Option<ConnectionRow>> {
    find_in(&mut tx.work, name_or_id).await
}

pub(crate) async fn find_in(work: &mut Work, name_or_id: &str) -> Result<Option<ConnectionRow>> {
    let id: Option<SsoConnectionId> = name_or_id.parse().ok();
    let sql = format!(
        "select {COLUMNS} from heddle.sso_connections where id = $1 or ($1 is null and name = $2)"
    );
    let row: Option<Row> = sqlx::query_as(&sql)
        .bind(id.map(SsoConnectionId::uuid))
        .bind(name_or_id)
        .fetch_optional(work.conn())
        .await?;
    row.map(ConnectionRow::try_from).transpose()
}

/// The connections in the order of their names, after the name `after`, at most `limit`.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page(
    tx: &mut Tx<MemberRead>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ConnectionRow>> {
    page_in(&mut tx.work, after, limit).await
}

pub(crate) async fn page_in(
    work: &mut Work,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ConnectionRow>> {
    let sql = format!(
        "select {COLUMNS} from heddle.sso_connections where name > $1 order by name limit $2"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(after.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(work.conn())
        .await?;
    rows.into_iter().map(ConnectionRow::try_from).collect()
}

/// The secret of a connection, for whoever tests it.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Signer`], [`Error::Unavailable`].
pub async fn secret(
    store: &Store,
    sealer: &dyn KeySealer,
    grant: &Grant<MemberWrite>,
    row: &ConnectionRow,
) -> Result<Option<SecretString>> {
    let mut tx = store.begin(grant).await?;
    let sealed = sealed(&mut tx.work, row.id).await?;
    tx.roll_back().await?;
    match sealed {
        Some(sealed) => open(sealer, grant.org(), row.id, &sealed).await.map(Some),
        None => Ok(None),
    }
}

pub(crate) async fn sealed(work: &mut Work, id: SsoConnectionId) -> Result<Option<Vec<u8>>> {
    let sealed: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("select sealed_secret from heddle.sso_connections where id = $1")
            .bind(id.uuid())
            .fetch_optional(work.conn())
            .await?;
    sealed.ok_or(Error::NotFound)
}

/// What the audit log keeps: of the secret whether there is one.
fn facts(row: &ConnectionRow, secret: Option<&str>) -> Value {
    let secret = secret.unwrap_or(if row.has_secret { "set" } else { "none" });
    json!({
        "display_name": row.display_name,
        "issuer": row.issuer,
        "client_id": row.client_id,
        "client_secret": secret,
    })
}

async fn record(
    work: &mut Work,
    action: &'static str,
    row: &ConnectionRow,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<()> {
    work.record(Change {
        mesh: None,
        revision: None,
        action,
        kind: "sso_connection",
        id: row.id.uuid(),
        name: row.name.as_str(),
        before: before.and_then(Value::as_object),
        after: after.and_then(Value::as_object),
    })
    .await
}
