//! Join tokens: which service of which mesh the proxy belongs to that presents one.

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::JoinTokenWrite;
use heddle_model::id::{JoinTokenId, MeshId};
use heddle_model::name::Name;
use heddle_model::quota::Quota;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result, inconsistent};
use crate::quotas;
use crate::secret;
use crate::tx::{Change, Tx, Work};

/// A join token about to be made.
#[derive(Debug, Clone)]
pub struct NewJoinToken {
    /// Its name, unique among the mesh's tokens that are not revoked.
    pub name: Name,
    /// The service whose proxies it admits.
    pub service: Name,
    /// Whether any number of proxies may join with it, or one.
    pub reusable: bool,
    /// When no further proxy may join with it; `None`: when it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
    /// What else it is bound to.
    pub bounds: Bounds,
}

/// What a join token is bound to beside its service, and what its proxies get by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Its proxies are forgotten once they have been away for a while.
    pub ephemeral: bool,
    /// The networks that its proxies come from, as they were written; `None`: any.
    pub networks: Option<Vec<String>>,
    /// The labels that its proxies get.
    pub labels: Map<String, Value>,
}

/// A join token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTokenRow {
    /// Its identifier.
    pub id: JoinTokenId,
    /// Its name.
    pub name: Name,
    /// The service whose proxies it admits.
    pub service: Name,
    /// Whether any number of proxies may join with it, or one.
    pub reusable: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When no further proxy may join with it.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When a proxy last came with it; exact to the hour for those that come back.
    pub last_used_at: Option<DateTime<Utc>>,
    /// How many proxies are bound to it.
    pub bound: u64,
    /// What else it is bound to.
    pub bounds: Bounds,
}

/// A join token that was just made.
#[derive(Debug)]
pub struct Created {
    /// What is stored of it.
    pub row: JoinTokenRow,
    /// The token itself. Stored nowhere.
    pub secret: SecretString,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    service: String,
    reusable: bool,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    bound: i64,
    ephemeral: bool,
    networks: Option<Vec<String>>,
    #[sqlx(json)]
    labels: Map<String, Value>,
}

const COLUMNS: &str = "j.id, j.name, j.service, j.reusable, j.created_at, j.expires_at, j.revoked_at, \
                       j.last_used_at, j.ephemeral, j.networks, j.labels, (select count(*) from heddle.proxies p \
                                        where p.org_id = j.org_id and p.join_token_id = j.id) as bound";

impl TryFrom<Row> for JoinTokenRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = JoinTokenId::from_uuid(row.id);
        let name = |column, text: &str| {
            text.parse()
                .map_err(|e| inconsistent("join_tokens", column, id, e))
        };
        Ok(Self {
            id,
            name: name("name", &row.name)?,
            service: name("service", &row.service)?,
            reusable: row.reusable,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            bound: row.bound.unsigned_abs(),
            bounds: Bounds {
                ephemeral: row.ephemeral,
                networks: row.networks,
                labels: row.labels,
            },
        })
    }
}

/// Creates a join token. That its service exists is the caller's to check.
///
/// # Errors
/// [`Error::NotFound`] without such a mesh, [`Error::LimitReached`], [`Error::AlreadyExists`] with `join_tokens_name_key`,
/// [`Error::Unavailable`].
pub async fn create(
    tx: &mut Tx<JoinTokenWrite>,
    mesh: MeshId,
    new: &NewJoinToken,
) -> Result<Created> {
    let work = &mut tx.work;
    work.lock(mesh).await?;
    quotas::admit(work, Quota::JoinTokens, 1).await?;
    let secret = secret::draw(secret::Kind::Join).map_err(|e| Error::Database(Box::new(e)))?;
    let id = work.next_id();
    let query = sqlx::query(
        "insert into heddle.join_tokens (org_id, id, mesh_id, name, service, reusable, hash, created_at, \
                                         created_by, expires_at, ephemeral, networks, labels) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(work.org().uuid())
    .bind(id)
    .bind(mesh.uuid())
    .bind(new.name.as_str())
    .bind(new.service.as_str())
    .bind(new.reusable)
    .bind(secret::digest_of(&secret))
    .bind(work.now())
    .bind(work.actor().to_owned())
    .bind(new.expires_at)
    .bind(new.bounds.ephemeral)
    .bind(&new.bounds.networks)
    .bind(Json(&new.bounds.labels));
    query.execute(work.conn()).await?;
    let after = json!({
        "service": new.service,
        "reusable": new.reusable,
        "expires_at": new.expires_at,
        "ephemeral": new.bounds.ephemeral,
        "networks": new.bounds.networks,
        "labels": new.bounds.labels,
    });
    record(work, mesh, "create", id, &new.name, after.as_object()).await?;
    let row = select(work, mesh, Some(id), None, None, None).await?;
    let row = row.into_iter().next().ok_or(Error::NotFound)?;
    Ok(Created { row, secret })
}

/// Finds a join token: by identifier also a revoked one, by name only one that is not.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    name_or_id: &str,
) -> Result<Option<JoinTokenRow>> {
    let id = name_or_id
        .parse::<JoinTokenId>()
        .ok()
        .map(JoinTokenId::uuid);
    let name = id.is_none().then_some(name_or_id);
    let rows = select(&mut tx.work, mesh, id, name, None, None).await?;
    Ok(rows.into_iter().next())
}

/// The join tokens that are not revoked in the order of their names, after the name `after`, at most `limit`.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<JoinTokenRow>> {
    select(&mut tx.work, mesh, None, None, after, Some(limit)).await
}

/// Revokes a join token and with it every proxy that is bound to it: they may not come back, and their certificates
/// are not taken for current any more.
///
/// # Errors
/// [`Error::NotFound`], also when it is revoked already; [`Error::Unavailable`].
pub async fn revoke(
    tx: &mut Tx<JoinTokenWrite>,
    mesh: MeshId,
    name_or_id: &str,
) -> Result<JoinTokenRow> {
    let found = find(tx, mesh, name_or_id).await?;
    let mut row = found
        .filter(|row| row.revoked_at.is_none())
        .ok_or(Error::NotFound)?;
    let work = &mut tx.work;
    work.lock(mesh).await?;
    let now = work.now();
    let done = sqlx::query(
        "update heddle.join_tokens set revoked_at = $2 where id = $1 and revoked_at is null",
    )
    .bind(row.id.uuid())
    .bind(now)
    .execute(work.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    sqlx::query(
        "update heddle.certificates c set revoked_at = $2 \
         from heddle.proxies p \
         where p.join_token_id = $1 and c.mesh_id = p.mesh_id and c.proxy_id = p.id and c.revoked_at is null",
    )
    .bind(row.id.uuid())
    .bind(now)
    .execute(work.conn())
    .await?;
    record(work, mesh, "revoke", row.id.uuid(), &row.name, None).await?;
    row.revoked_at = Some(now);
    Ok(row)
}

async fn select(
    work: &mut Work,
    mesh: MeshId,
    id: Option<Uuid>,
    name: Option<&str>,
    after: Option<&str>,
    limit: Option<u32>,
) -> Result<Vec<JoinTokenRow>> {
    work.enter(mesh)?;
    let sql = format!(
        "select {COLUMNS} from heddle.join_tokens j \
         where j.mesh_id = $1 and ($2::uuid is null or j.id = $2) and ($3::text is null or j.name = $3) \
           and ($2 is not null or j.revoked_at is null) and j.name > $4 \
         order by j.name limit $5"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(id)
        .bind(name)
        .bind(after.unwrap_or_default())
        .bind(limit.map(i64::from))
        .fetch_all(work.conn())
        .await?;
    rows.into_iter().map(JoinTokenRow::try_from).collect()
}

async fn record(
    work: &mut Work,
    mesh: MeshId,
    action: &'static str,
    id: Uuid,
    name: &Name,
    after: Option<&serde_json::Map<String, serde_json::Value>>,
) -> Result<()> {
    work.record(Change {
        mesh: Some(mesh),
        revision: None,
        action,
        kind: "join_token",
        id,
        name: name.as_str(),
        before: None,
        after,
    })
    .await
}
