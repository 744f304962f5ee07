//! What can go wrong on the certificate path, told apart as far as a caller acts differently.

use chrono::{DateTime, Utc};

use crate::check::Fault;
use crate::seal::SealError;
use crate::spiffe::{SpiffeError, TrustDomain};

/// What an implementation of a seam ([`crate::Journal`], [`crate::AuthorityStore`]) fails with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the certificate path. Carries no key material and does not repeat its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The subject cannot be written as a SPIFFE id.
    #[error("form the SPIFFE id")]
    Spiffe(#[from] SpiffeError),
    /// A signing key cannot be sealed or opened.
    #[error("seal or open a signing key")]
    Seal(#[from] SealError),
    /// Key generation, parsing or signing failed inside the cryptographic library.
    #[error("use a key pair")]
    Key,
    /// The source of random bytes failed.
    #[error("draw random bytes")]
    Random,
    /// The root belongs to somebody else, who has to sign a request.
    #[error("the root is not Heddle's: its owner has to sign a request")]
    RootOfOthers,
    /// A time is outside of what a certificate can say.
    #[error("write a time into a certificate")]
    Time,
    /// The certificate could not be encoded.
    #[error("encode a certificate")]
    Encode(#[source] rcgen::Error),
    /// What the store holds does not fit together; the text names the part, never its content.
    #[error("stored authority is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// The subject belongs to another trust domain than the authority of its mesh (C07).
    #[error("this authority signs for {held}, not for {asked}")]
    ForeignTrustDomain {
        /// The trust domain the subject claims.
        asked: TrustDomain,
        /// The trust domain of the authority.
        held: TrustDomain,
    },
    /// The issuing certificate is not valid yet: the clock went backwards (C10).
    #[error("the issuing certificate is valid from {not_before} only; the clock says {now}")]
    IssuerNotYetValid {
        /// Start of the issuing certificate's validity.
        not_before: DateTime<Utc>,
        /// What the clock said.
        now: DateTime<Utc>,
    },
    /// The issuing certificate has ended, or ends too soon for a useful leaf (C11).
    #[error("the issuing certificate ends at {not_after}; the clock says {now}")]
    IssuerExpired {
        /// End of the issuing certificate's validity.
        not_after: DateTime<Utc>,
        /// What the clock said.
        now: DateTime<Utc>,
    },
    /// A leaf lifetime outside of what the profile allows.
    #[error(
        "a leaf lifetime of {asked_seconds} s is not between {min_seconds} s and {max_seconds} s"
    )]
    Lifetime {
        /// Seconds asked for.
        asked_seconds: u64,
        /// Shortest lifetime in seconds.
        min_seconds: u64,
        /// Longest lifetime in seconds.
        max_seconds: u64,
    },
    /// A certificate, or what was about to be signed, breaks a rule. It is thrown away.
    #[error("check a certificate")]
    Check(#[from] Fault),
    /// The journal did not take the entry, so nothing was signed, or could not be read.
    #[error("use the issuance journal")]
    Journal(#[source] Failure),
    /// The authority has given way to another one: nothing was signed.
    #[error("the issuing authority does not sign any more")]
    Superseded,
    /// The authorities of a mesh could not be loaded or stored.
    #[error("use the stored authorities")]
    Store(#[source] Failure),
    /// The process that signs could not be asked. It will be asked again.
    #[error("ask the certificate authority's process")]
    Away(#[source] Failure),
    /// The process that signs refused. It has the details in its log.
    #[error("the certificate authority's process refused: {0}")]
    Refused(String),
}
