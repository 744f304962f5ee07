//! The record of what was issued, written before anything is signed (C08).

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::authority::MeshKey;
use crate::error::Failure;

/// One certificate about to be signed. No secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The organisation.
    pub org: Uuid,
    /// The mesh.
    pub mesh: Uuid,
    /// Serial number: 32 lower-case hex digits.
    pub serial: String,
    /// The proxy that holds the certificate.
    pub proxy: Uuid,
    /// The service the proxy belongs to.
    pub service: String,
    /// The only name in the certificate.
    pub spiffe_id: String,
    /// The issuing authority.
    pub authority: Uuid,
    /// Start of validity; back-dated, so not the time of issue.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// When it was issued. Half-life counts from here.
    pub issued_at: DateTime<Utc>,
    /// SHA-256 of the bytes that will be signed, in hex: proof of what the row stands for.
    pub tbs_sha256: String,
}

/// What the journal knows about a serial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journalled {
    /// The proxy it was issued to.
    pub proxy: Uuid,
    /// What signed it.
    pub authority: Uuid,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The append-only journal of issuance. The server joins it to its store.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Makes the entry durable, unless its authority has given way to another one: then this is `false`. Nothing is
    /// signed unless this returns `Ok(true)`.
    ///
    /// # Errors
    /// Whatever the journal fails with, also for a serial that already exists in the mesh.
    async fn record(&self, entry: &Entry) -> Result<bool, Failure>;

    /// Finds a serial of one mesh of one organisation.
    ///
    /// # Errors
    /// Whatever the journal fails with.
    async fn lookup(&self, mesh: MeshKey, serial: &str) -> Result<Option<Journalled>, Failure>;
}
