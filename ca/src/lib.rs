//! Identities: who may hold which SPIFFE id, and the certificates that prove it.
//!
//! What lives here: SPIFFE ids and trust domains, the sealing of signing keys, the hierarchy of a
//! mesh (root, issuing intermediate), and the only path to a leaf certificate:
//! [`Subject`] from a proof -> [`Profile`] -> template -> [`Prepared`] -> journal row -> signature ->
//! check of the finished certificate -> [`Leaf`].
//!
//! A key that is made elsewhere comes by a [`CertificateRequest`], of which nothing but the key is read.
//!
//! What does not: Postgres, Envoy and gRPC. Rows are plain data ([`AuthorityRow`],
//! [`Entry`]) that cross the traits [`AuthorityStore`] and [`Journal`], which the server joins to its
//! store. Time and randomness are parameters too ([`Clock`], [`Random`]); only keys and nonces are
//! always drawn from the operating system's generator, so that no test double can weaken them.
//!
//! Who may depend on it: `heddled` (and `tests`). It depends on none of our crates.
//!
//! Nothing secret is printed: private keys exist only inside types whose `Debug` is a fixed word and
//! whose memory is wiped, and errors carry no key material.
#![warn(missing_docs)]

mod ambient;
mod authority;
mod bundle;
mod check;
mod error;
mod file_key;
mod issue;
mod journal;
mod kek;
mod key;
mod keyring;
mod leaf_key;
mod local_key;
mod outside;
mod presented;
mod profile;
mod request;
mod seal;
mod serve;
mod signer;
mod spiffe;
mod template;
#[cfg(test)]
mod testing;
mod token_key;
mod token_uri;
mod weak_rsa;

pub use ambient::{Clock, Random, SystemRandom};
pub use authority::{
    AuthorityKind, AuthorityRow, Hierarchy, MeshIdentity, MeshKey, Replacing, create_hierarchy,
};
pub use bundle::TrustBundle;
pub use check::Fault;
pub use error::{Error, Failure};
pub use file_key::FileKeyError;
pub use issue::{Issuer, Leaf, Prepared, Recorded, renew_at};
pub use journal::{Entry, Journal, Journalled};
pub use kek::{KekId, KeyEncryptionKey};
pub use key::SecretPem;
pub use keyring::Keyring;
pub use leaf_key::{KeyPair, LeafKey, Requested};
pub use local_key::LocalKey;
pub use outside::AuthorityRequest;
pub use presented::Presented;
pub use profile::{Profile, Subject, Validity};
pub use request::{CertificateRequest, RequestFault};
pub use seal::{Aad, SealError, SealingKey, sealed_under};
pub use serve::{AuthorityStore, CertificateAuthority, Held, Parts, Trust};
pub use signer::{LocalSigner, Signer};
pub use spiffe::{SpiffeError, SpiffeId, TrustDomain};
pub use token_key::{TokenKey, TokenKeyError};
pub use token_uri::{TokenUri, TokenUriError};
