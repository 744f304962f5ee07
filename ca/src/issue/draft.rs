//! What would be signed, without a signature; and the certificate that it becomes with one.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use rcgen::{CertificateParams, PublicKeyData, SignatureAlgorithm, SigningKey};
use rustls_pki_types::CertificateDer;

use crate::check::ECDSA_WITH_SHA256;
use crate::error::Error;

/// The authority's name and key as certificates under it say them, read once. Cannot sign.
#[derive(Debug)]
pub(super) struct Drafter(Mutex<rcgen::Issuer<'static, Taker>>);

impl Drafter {
    /// Of an authority's certificate, and its public key.
    pub(super) fn new(certificate: &[u8], public_key: &[u8]) -> Result<Self, Error> {
        let taker = Taker {
            public_key: public_key.to_vec(),
            taken: RefCell::default(),
        };
        let issuer = rcgen::Issuer::from_ca_cert_der(&CertificateDer::from(certificate), taker);
        issuer.map(Mutex::new).map(Self).map_err(Error::Encode)
    }

    /// The bytes to be signed for a certificate.
    pub(super) fn draft(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<Vec<u8>, Error> {
        let issuer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        params.signed_by(key, &*issuer).map_err(Error::Encode)?;
        Ok(issuer.key().taken.take())
    }
}

/// Takes down what it should sign, and signs nothing.
struct Taker {
    public_key: Vec<u8>,
    taken: RefCell<Vec<u8>>,
}

impl PublicKeyData for Taker {
    fn der_bytes(&self) -> &[u8] {
        &self.public_key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Taker {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.taken.replace(message.to_vec());
        Ok(Vec::new())
    }
}

/// A certificate (RFC 5280, 4.1) of what was signed and its signature, in DER.
pub(super) fn with_signature(tbs: &[u8], signature: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(tbs);
            writer.next().write_der(&ECDSA_WITH_SHA256);
            let bits = signature.len() * 8;
            writer.next().write_bitvec_bytes(signature, bits);
        });
    })
}
