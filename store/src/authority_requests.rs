//! Authorities to be: a key, sealed, and what the owner of a mesh's root is asked to sign for it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::MeshWrite;
use heddle_model::id::{AuthorityId, MeshId};
use uuid::Uuid;

use crate::authorities::AuthorityRow;
use crate::authz::MeshRef;
use crate::error::{Cause, Error, Result};
use crate::rotations::AuthorityMaker;
use crate::tx::{Change, Tx};

/// The most of them that wait in a mesh.
pub const MOST: usize = 10;

/// One that waits.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityRequestRow {
    /// The authority that it is to become.
    pub id: AuthorityId,
    /// What is to be signed: PKCS#10, PEM.
    pub request_pem: String,
    /// The private key, sealed.
    pub sealed_key: Vec<u8>,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
}

impl std::fmt::Debug for AuthorityRequestRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthorityRequestRow({})", self.id)
    }
}

/// A key and a request that were made for it.
#[derive(Debug)]
pub struct NewAuthorityRequest {
    /// The authority that it is to become.
    pub id: AuthorityId,
    /// What is to be signed: PKCS#10, PEM.
    pub request_pem: String,
    /// The private key, sealed.
    pub sealed_key: Vec<u8>,
}

/// What makes requests, and reads what has become of them.
#[async_trait]
pub trait OutsideAuthorities: Send + Sync {
    /// A key, sealed, and a request for an issuing authority under a root of somebody else.
    ///
    /// # Errors
    /// It could not be made.
    async fn request(
        &self,
        mesh: &MeshRef,
        trust_domain: &str,
    ) -> std::result::Result<NewAuthorityRequest, Cause>;

    /// The root of somebody else and the issuing authority for this request, as the PEM text has them, from the latter to the former.
    /// A root that is among `known` is that one. The inner error says what is wrong with the text.
    ///
    /// # Errors
    /// What is stored does not fit together.
    fn adopt(
        &self,
        mesh: &MeshRef,
        trust_domain: &str,
        request: &AuthorityRequestRow,
        chain_pem: &str,
        known: &[AuthorityRow],
    ) -> std::result::Result<std::result::Result<[AuthorityRow; 2], String>, Cause>;
}

/// What somebody else has signed, for a rotation that puts it in its place.
#[derive(Debug)]
pub struct Adopted(pub [AuthorityRow; 2]);

#[async_trait]
impl AuthorityMaker for Adopted {
    async fn root(&self, _: &MeshRef, _: &str) -> std::result::Result<[AuthorityRow; 2], Cause> {
        Ok(self.0.clone())
    }

    async fn issuing(
        &self,
        _: &MeshRef,
        root: &AuthorityRow,
        _: &AuthorityRow,
    ) -> std::result::Result<AuthorityRow, Cause> {
        let [own, issuing] = &self.0;
        match own.id == root.id {
            true => Ok(issuing.clone()),
            false => Err("it is under another root".into()),
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    request_pem: String,
    sealed_key: Vec<u8>,
    created_at: DateTime<Utc>,
    created_by: String,
}

impl From<Row> for AuthorityRequestRow {
    fn from(row: Row) -> Self {
        Self {
            id: AuthorityId::from_uuid(row.id),
            request_pem: row.request_pem,
            sealed_key: row.sealed_key,
            created_at: row.created_at,
            created_by: row.created_by,
        }
    }
}

const COLUMNS: &str = "id, request_pem, sealed_key, created_at, created_by";

/// Lets it wait; `None` when [`MOST`] wait already.
///
/// # Errors
/// [`Error::NotFound`] without such a mesh, [`Error::Unavailable`].
pub async fn create(
    tx: &mut Tx<MeshWrite>,
    mesh: MeshId,
    new: NewAuthorityRequest,
) -> Result<Option<AuthorityRequestRow>> {
    let work = &mut tx.work;
    work.lock(mesh).await?;
    let waiting: i64 =
        sqlx::query_scalar("select count(*) from heddle.authority_requests where mesh_id = $1")
            .bind(mesh.uuid())
            .fetch_one(work.conn())
            .await?;
    if waiting.unsigned_abs() >= MOST as u64 {
        return Ok(None);
    }
    let row = AuthorityRequestRow {
        id: new.id,
        request_pem: new.request_pem,
        sealed_key: new.sealed_key,
        created_at: work.now(),
        created_by: work.actor().to_owned(),
    };
    let query = sqlx::query(
        "insert into heddle.authority_requests (org_id, mesh_id, id, request_pem, sealed_key, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(work.org().uuid())
    .bind(mesh.uuid())
    .bind(row.id.uuid())
    .bind(&row.request_pem)
    .bind(&row.sealed_key)
    .bind(row.created_at)
    .bind(&row.created_by);
    query.execute(work.conn()).await?;
    work.record(change("create", mesh, row.id)).await?;
    Ok(Some(row))
}

fn change(action: &'static str, mesh: MeshId, id: AuthorityId) -> Change<'static> {
    Change {
        mesh: Some(mesh),
        revision: None,
        action,
        kind: "authority_request",
        id: id.uuid(),
        name: "issuing",
        before: None,
        after: None,
    }
}

/// Those that wait, the newest first.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::NotFound`] where the permission does not reach the mesh.
pub async fn list<P: Permission>(tx: &mut Tx<P>, mesh: MeshId) -> Result<Vec<AuthorityRequestRow>> {
    tx.work.enter(mesh)?;
    let query = format!(
        "select {COLUMNS} from heddle.authority_requests where mesh_id = $1 order by id desc"
    );
    let query = sqlx::query_as::<_, Row>(&query).bind(mesh.uuid());
    let rows = query.fetch_all(tx.work.conn()).await?;
    Ok(rows.into_iter().map(AuthorityRequestRow::from).collect())
}

/// One of them.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::NotFound`] where the permission does not reach the mesh.
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    id: AuthorityId,
) -> Result<Option<AuthorityRequestRow>> {
    tx.work.enter(mesh)?;
    let query =
        format!("select {COLUMNS} from heddle.authority_requests where mesh_id = $1 and id = $2");
    let query = sqlx::query_as::<_, Row>(&query)
        .bind(mesh.uuid())
        .bind(id.uuid());
    Ok(query.fetch_optional(tx.work.conn()).await?.map(Into::into))
}

/// Nobody wants it any more. Its key goes with it.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unavailable`].
pub async fn delete(tx: &mut Tx<MeshWrite>, mesh: MeshId, id: AuthorityId) -> Result<()> {
    let ended = end(tx, mesh, id, "delete").await?;
    ended.map(drop).ok_or(Error::NotFound)
}

/// Takes it, so that it becomes an authority in this transaction; `None` when it does not wait. The key is sealed as it is now,
/// also when somebody seals all keys anew meanwhile.
///
/// # Errors
/// [`Error::NotFound`] without such a mesh, [`Error::Unavailable`].
pub async fn take(
    tx: &mut Tx<MeshWrite>,
    mesh: MeshId,
    id: AuthorityId,
) -> Result<Option<AuthorityRequestRow>> {
    end(tx, mesh, id, "adopt").await
}

async fn end(
    tx: &mut Tx<MeshWrite>,
    mesh: MeshId,
    id: AuthorityId,
    action: &'static str,
) -> Result<Option<AuthorityRequestRow>> {
    let work = &mut tx.work;
    work.lock(mesh).await?;
    let query = format!(
        "delete from heddle.authority_requests where mesh_id = $1 and id = $2 returning {COLUMNS}"
    );
    let query = sqlx::query_as::<_, Row>(&query)
        .bind(mesh.uuid())
        .bind(id.uuid());
    let row = query.fetch_optional(work.conn()).await?;
    if row.is_some() {
        work.record(change(action, mesh, id)).await?;
    }
    Ok(row.map(Into::into))
}
