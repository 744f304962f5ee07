//! The keys of leaves: made here and handed out with the certificate, or kept by whoever asked.

use rcgen::{PublicKeyData, SignatureAlgorithm, SubjectPublicKeyInfo};

use crate::error::Error;
use crate::key::{P256Key, SecretPem};

/// The key of a leaf, and what becomes of it once the leaf is there.
pub trait LeafKey: PublicKeyData {
    /// What is handed out with the certificate.
    type Kept;

    /// Hands it out.
    ///
    /// # Errors
    /// [`Error::Key`].
    fn keep(&self) -> Result<Self::Kept, Error>;
}

/// A key pair that was made for a leaf.
#[derive(Debug)]
pub struct KeyPair(pub(crate) P256Key);

impl KeyPair {
    pub(crate) fn generate() -> Result<Self, Error> {
        P256Key::generate().map(Self)
    }
}

impl PublicKeyData for KeyPair {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl LeafKey for KeyPair {
    type Kept = SecretPem;

    fn keep(&self) -> Result<SecretPem, Error> {
        self.0.to_pem()
    }
}

/// The public key of a request. Only [`crate::CertificateRequest::read`] makes one, after it has seen the proof that whoever asks has
/// the private one.
#[derive(Clone, Debug)]
pub struct Requested(pub(crate) SubjectPublicKeyInfo);

impl PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl LeafKey for Requested {
    type Kept = ();

    fn keep(&self) -> Result<(), Error> {
        Ok(())
    }
}
