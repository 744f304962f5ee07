//! The private key: made here, kept here, and not printed. A new one for each certificate.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rcgen::{CertificateParams, DistinguishedName, PublicKeyData, SignatureAlgorithm, SigningKey};
use zeroize::Zeroizing;

use crate::error::Error;

/// A P-256 key pair; aws-lc wipes it when it is freed.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn generate() -> Result<Self, Error> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map(Self)
            .map_err(|_| Error::Key)
    }

    /// One that was kept.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map(Self)
            .map_err(|_| Error::Key)
    }

    /// It, as PKCS#8, unencrypted: what applications on this host get (S42).
    pub(crate) fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let document = self.0.to_pkcs8v1().map_err(|_| Error::Key)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// A request for a certificate. It has no names: they would not be read.
    pub(crate) fn request(&self) -> Result<Vec<u8>, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(self).map_err(|_| Error::Key)?;
        Ok(request.der().to_vec())
    }

    /// Whether a certificate is for it.
    pub(crate) fn is_of(&self, subject_public_key_info: &[u8]) -> bool {
        let own: Result<PublicKeyX509Der<'_>, _> = self.0.public_key().as_der();
        own.is_ok_and(|own| own.as_ref() == subject_public_key_info)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        signature
            .map(|s| s.as_ref().to_vec())
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
