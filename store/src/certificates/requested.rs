//! Certificates that were asked for by the API: who may have one, and what is kept of each for as long as it lives.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use heddle_model::authz::permission::CertificateIssue;
use heddle_model::authz::{Action, Role};
use heddle_model::id::MeshId;
use heddle_model::name::Name;
use heddle_model::quota::Quota;
use serde_json::json;
use uuid::Uuid;

use crate::authz::{MeshRef, Principal};
use crate::error::{Error, Result};
use crate::quotas;
use crate::rights::Bound;
use crate::tx::{Change, Tx, Work};
use crate::usage::{self, Meter};

/// How many that have ended go with each new one.
const SWEPT: i64 = 50;

/// A certificate with whom to trust, for whoever has the key of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The serial number, in hex.
    pub serial: String,
    /// The only name in it.
    pub spiffe_id: String,
    /// It, and then what signed it, in PEM.
    pub chain_pem: String,
    /// The roots of the mesh, in PEM.
    pub bundle_pem: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// When to replace it.
    pub renew_at: DateTime<Utc>,
}

/// Whom a certificate is for: it follows from where the caller asks and what the caller may do, never from a request.
#[derive(Debug, Clone)]
pub struct For {
    /// The mesh.
    pub mesh: MeshRef,
    /// Its trust domain.
    pub trust_domain: String,
    /// The service.
    pub service: Name,
    /// Whoever asks: stands in the journal where a proxy has its identifier.
    pub holder: Uuid,
}

/// What certifies keys: the same that does it for proxies, with the same rules.
#[async_trait]
pub trait Certifier: Send + Sync {
    /// Reads a certificate request, in PEM or in base64: the bytes of it, or why it is not taken.
    ///
    /// # Errors
    /// A sentence for whoever made it.
    fn read(&self, text: &str) -> std::result::Result<Vec<u8>, String>;

    /// A certificate for the key of a request that was read. The journal has it before it is signed.
    ///
    /// # Errors
    /// [`Error::Barred`], [`Error::Signer`].
    async fn certify(&self, wanted: &For, request: &[u8]) -> Result<Certified>;
}

/// Whether the caller may have a certificate of this service. A role at the mesh reaches all of its services, unless it was given for
/// one; what the permission alone says of the mesh is not enough, then.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`], [`Error::Unavailable`].
pub async fn require_service(
    tx: &mut Tx<CertificateIssue>,
    mesh: MeshId,
    service: &Name,
) -> Result<()> {
    let work = &mut tx.work;
    work.enter(mesh)?;
    let Some(principal) = work.principal().map(Principal::uuid) else {
        // A token that belongs to nobody has one role, in the whole organisation.
        return Ok(());
    };
    let is_issuer = |bound: &Bound| bound.role == Role::Issuer;
    if work.may_at_without(mesh, Action::CertificateIssue, is_issuer) {
        return Ok(());
    }
    let given: bool = sqlx::query_scalar(
        "select exists (select from heddle.role_bindings b \
                        where b.principal_id = $1 and b.role = 'issuer' and (b.mesh_id is null or b.mesh_id = $2) \
                          and (b.service is null or b.service = $3))",
    )
    .bind(principal)
    .bind(mesh.uuid())
    .bind(service.as_str())
    .fetch_one(work.conn())
    .await?;
    match given {
        true => Ok(()),
        false => Err(Error::Forbidden {
            scope: Action::CertificateIssue.scope(),
        }),
    }
}

/// Whether one more may be asked for today, before anything is signed. What counts is [`give`].
///
/// # Errors
/// [`Error::LimitReached`], [`Error::Unavailable`].
pub async fn require_room(tx: &mut Tx<CertificateIssue>) -> Result<()> {
    quotas::admit(&mut tx.work, Quota::CertificatesPerDay, 1).await
}

/// Notes that a certificate is given out: in the audit log, and for rotations, which wait until it has ended. `revision` is one that
/// its bundle is not older than.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`], [`Error::LimitReached`], [`Error::Unavailable`].
pub async fn give(
    tx: &mut Tx<CertificateIssue>,
    mesh: MeshId,
    service: &Name,
    given: &Certified,
    revision: u64,
) -> Result<()> {
    let work = &mut tx.work;
    work.lock(mesh).await?;
    sweep(work, mesh).await?;
    quotas::admit(work, Quota::CertificatesPerDay, 1).await?;
    usage::add_one(work, Meter::RequestedCertificates).await?;
    sqlx::query(
        "insert into heddle.requested_certificates (org_id, mesh_id, serial, service, revision, not_after) \
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(work.org().uuid())
    .bind(mesh.uuid())
    .bind(&given.serial)
    .bind(service.as_str())
    .bind(revision.cast_signed())
    .bind(given.not_after)
    .execute(work.conn())
    .await?;
    let said = json!({
        "serial": given.serial,
        "spiffe_id": given.spiffe_id,
        "not_after": given.not_after,
    });
    work.record(Change {
        mesh: Some(mesh),
        revision: None,
        action: "issue",
        kind: "certificate",
        // A serial number has as many bits.
        id: given.serial.parse().unwrap_or_default(),
        name: service.as_str(),
        before: None,
        after: said.as_object(),
    })
    .await
}

/// Nothing waits for what has ended.
async fn sweep(work: &mut Work, mesh: MeshId) -> Result<()> {
    let now = work.now();
    sqlx::query(
        "delete from heddle.requested_certificates where mesh_id = $1 and serial in ( \
             select r.serial from heddle.requested_certificates r \
             where r.mesh_id = $1 and r.not_after <= $2 order by r.not_after limit $3)",
    )
    .bind(mesh.uuid())
    .bind(now)
    .bind(SWEPT)
    .execute(work.conn())
    .await?;
    Ok(())
}
