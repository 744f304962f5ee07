//! A P-256 key pair that does not print and leaves no copy behind.
//!
//! Not rcgen's own `KeyPair`: that one keeps the encoded private key for its whole life and wipes it
//! only when told to. Here the private key lives inside aws-lc, which wipes it when it is freed.

use std::fmt;

use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use zeroize::Zeroizing;

use crate::Error;

/// A private key in PEM (PKCS#8, unencrypted). Wiped when dropped; `Debug` is a fixed word.
pub struct SecretPem(Zeroizing<String>);

impl SecretPem {
    /// A key that was made elsewhere.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPem(redacted)")
    }
}

/// A P-256 key pair.
pub(crate) struct P256Key(EcdsaKeyPair);

impl P256Key {
    /// A new key from the operating system's generator.
    pub(crate) fn generate() -> Result<Self, Error> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map(Self)
            .map_err(|_| Error::Key)
    }

    /// Reads an unencrypted PKCS#8 key.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map(Self)
            .map_err(|_| Error::Key)
    }

    /// The key as PKCS#8; the document wipes itself when dropped.
    pub(crate) fn to_pkcs8(&self) -> Result<Document, Error> {
        self.0.to_pkcs8v1().map_err(|_| Error::Key)
    }

    /// The key as PEM. The buffer has its full size from the start, so growing leaves no copies.
    pub(crate) fn to_pem(&self) -> Result<SecretPem, Error> {
        let document = self.to_pkcs8()?;
        let text = Zeroizing::new(STANDARD.encode(document.as_ref()));
        let mut pem = Zeroizing::new(String::with_capacity(text.len() * 2 + 64));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        push_lines(&mut pem, &text);
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(SecretPem(pem))
    }
}

/// Adds base64 in lines as PEM has them (RFC 7468). Into a text that is there, so that nothing secret is copied.
pub(crate) fn push_lines(pem: &mut String, base64: &str) {
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64)); // base64 is ASCII
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
}

impl fmt::Debug for P256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P256Key(redacted)")
    }
}

impl PublicKeyData for P256Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for P256Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        signature
            .map(|s| s.as_ref().to_vec())
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
