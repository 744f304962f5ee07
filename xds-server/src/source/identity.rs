//! Where identities come from.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use heddle_model::id::AuthorityId;

use super::{MeshKey, Proxy, SourceError};
use crate::trust::{Held, Trust};

/// A leaf certificate with its key.
pub struct Leaf {
    /// Lower-case hex; the version of the secret.
    pub serial: String,
    /// What signed it.
    pub authority: AuthorityId,
    /// Leaf, then issuing certificate.
    pub chain_pem: String,
    /// The private key. Wiped when dropped.
    pub key_pem: zeroize::Zeroizing<String>,
    /// When to replace it.
    pub renew_at: DateTime<Utc>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf")
            .field("serial", &self.serial)
            .field("renew_at", &self.renew_at)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// A certificate for a key that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The only name in it.
    pub spiffe_id: String,
    /// Lower-case hex.
    pub serial: String,
    /// It, then the one that signed it.
    pub chain_pem: String,
    /// When to replace it.
    pub renew_at: DateTime<Utc>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

/// Why a certificate request is not taken: a sentence for whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestRefused(pub String);

/// Where identities come from: the CA of the mesh.
#[async_trait]
pub trait IdentitySource: Send + Sync + 'static {
    /// A new leaf with a new key for this proxy.
    ///
    /// # Errors
    /// None can be issued right now.
    async fn leaf(&self, proxy: &Proxy, trust_domain: &str) -> Result<Leaf, SourceError>;

    /// A certificate for the key of a request (PKCS#10 in DER, from outside). Who it names is this proxy, whatever the request says.
    ///
    /// # Errors
    /// None can be issued right now.
    async fn certify(
        &self,
        proxy: &Proxy,
        trust_domain: &str,
        request: &[u8],
    ) -> Result<Result<Certified, RequestRefused>, SourceError>;

    /// The leaf of this serial, which the proxy says it holds; `None` when it needs replacement
    /// now: unknown, another proxy's, revoked, or past its half-life. The serial is text from outside.
    ///
    /// # Errors
    /// The source cannot tell right now.
    async fn is_current(
        &self,
        proxy: &Proxy,
        trust_domain: &str,
        serial: &str,
    ) -> Result<Option<Held>, SourceError>;

    /// What proxies of this mesh trust now, no older than the mesh that was loaded before.
    ///
    /// # Errors
    /// It cannot be had right now; the caller keeps what it has.
    async fn trust(&self, mesh: MeshKey, trust_domain: &str) -> Result<Trust, SourceError>;

    /// The same, no older than this revision of the mesh, which somebody has seen: for many who come one after the other.
    ///
    /// # Errors
    /// As [`IdentitySource::trust`].
    async fn trust_since(
        &self,
        mesh: MeshKey,
        trust_domain: &str,
        revision: u64,
    ) -> Result<Trust, SourceError>;
}
