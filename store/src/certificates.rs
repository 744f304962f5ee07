//! The journal of issuance: a row for each leaf, written before it is signed.

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::{AuthorityId, MeshId, ProxyId};
use heddle_model::name::Name;
use uuid::Uuid;

use crate::authz::MeshRef;
use crate::error::Result;
use crate::store::Store;
use crate::tx::{Mode, Tx};

/// A leaf about to be signed. No secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEntry {
    /// The serial number, in hex; unique in the mesh.
    pub serial: String,
    /// The proxy that will hold it.
    pub proxy: ProxyId,
    /// The service of that proxy.
    pub service: Name,
    /// The only name in it.
    pub spiffe_id: String,
    /// What signs it.
    pub authority: AuthorityId,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// SHA-256 of the bytes that will be signed, in hex.
    pub tbs_sha256: String,
}

/// What anybody may know of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedLeaf {
    /// The serial number, in hex.
    pub serial: String,
    /// The only name in it.
    pub spiffe_id: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
}

/// What the journal knows about a serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journalled {
    /// The proxy that it was issued to.
    pub proxy: ProxyId,
    /// What signed it.
    pub authority: AuthorityId,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The leaf that a proxy was issued last and that was not revoked: serial, SPIFFE id, validity.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::NotFound`] where the permission does not reach the mesh.
pub async fn newest<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    proxy: ProxyId,
) -> Result<Option<IssuedLeaf>> {
    tx.work.enter(mesh)?;
    let row: Option<(String, String, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "select serial, spiffe_id, not_before, not_after from heddle.certificates \
         where mesh_id = $1 and proxy_id = $2 and revoked_at is null order by issued_at desc limit 1",
    )
    .bind(mesh.uuid())
    .bind(proxy.uuid())
    .fetch_optional(tx.work.conn())
    .await?;
    Ok(
        row.map(|(serial, spiffe_id, not_before, not_after)| IssuedLeaf {
            serial,
            spiffe_id,
            not_before,
            not_after,
        }),
    )
}

/// Makes an entry durable, unless its authority is unknown or signs no more: then nothing is written, and it is `false`. The row
/// of the authority is held until the commit, so whoever retires it sees every entry.
///
/// # Errors
/// [`crate::Error::AlreadyExists`] for a serial number that the mesh has seen, [`crate::Error::Unavailable`].
pub async fn record(store: &Store, mesh: &MeshRef, entry: &CertificateEntry) -> Result<bool> {
    let mut work = store.work(mesh.org(), "ca", Mode::Write).await?;
    let done = sqlx::query(
        "with signer as ( \
             select id from heddle.authorities where mesh_id = $2 and id = $7 and state = 'active' for share) \
         insert into heddle.certificates (org_id, mesh_id, serial, proxy_id, service, spiffe_id, authority_id, \
                                          not_before, not_after, issued_at, tbs_sha256) \
         select $1, $2, $3, $4, $5, $6, signer.id, $8, $9, $10, $11 from signer",
    )
    .bind(mesh.org().uuid())
    .bind(mesh.mesh().uuid())
    .bind(&entry.serial)
    .bind(entry.proxy.uuid())
    .bind(entry.service.as_str())
    .bind(&entry.spiffe_id)
    .bind(entry.authority.uuid())
    .bind(entry.not_before)
    .bind(entry.not_after)
    .bind(entry.issued_at)
    .bind(&entry.tbs_sha256)
    .execute(work.conn())
    .await?;
    work.commit().await?;
    Ok(done.rows_affected() > 0)
}

/// Finds a serial number of a mesh.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn lookup(store: &Store, mesh: &MeshRef, serial: &str) -> Result<Option<Journalled>> {
    type Row = (
        Uuid,
        Uuid,
        DateTime<Utc>,
        DateTime<Utc>,
        DateTime<Utc>,
        Option<DateTime<Utc>>,
    );
    let mut work = store.work(mesh.org(), "ca", Mode::Read).await?;
    let row: Option<Row> = sqlx::query_as(
        "select proxy_id, authority_id, not_before, not_after, issued_at, revoked_at \
         from heddle.certificates where mesh_id = $1 and serial = $2",
    )
    .bind(mesh.mesh().uuid())
    .bind(serial)
    .fetch_optional(work.conn())
    .await?;
    Ok(row.map(
        |(proxy, authority, not_before, not_after, issued_at, revoked_at)| Journalled {
            proxy: ProxyId::from_uuid(proxy),
            authority: AuthorityId::from_uuid(authority),
            not_before,
            not_after,
            issued_at,
            revoked_at,
        },
    ))
}
