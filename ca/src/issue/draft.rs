//! What would be signed, without a signature; and the certificate that it becomes with one.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use rcgen::{CertificateParams, PublicKeyData, SignatureAlgorithm, SigningKey};
use rustls_pki_types::CertificateDer;

use crate::check::ECDSA_WITH_SHA256;
use crate::error::Error;

/// DER: a sequence, and a string of bits.
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

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
    // No bit of the last byte is left over.
    let signature = tagged(BIT_STRING, &[&[0], signature]);
    tagged(SEQUENCE, &[tbs, &ECDSA_WITH_SHA256, &signature])
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 10);
    out.push(tag);
    let bytes = length.to_be_bytes();
    let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match (bytes, u8::try_from(bytes.len())) {
        // Short enough for one byte that says so.
        ([], _) => out.push(0),
        ([short @ 0..0x80], _) => out.push(*short),
        (long, Ok(count)) => {
            out.push(0x80 | count);
            out.extend_from_slice(long);
        }
        (_, Err(_)) => unreachable!("a length of eight bytes at most"),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::tagged;

    #[test]
    fn lengths_are_written_as_short_as_they_can_be() {
        for (length, header) in [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (255, vec![4, 0x81, 255]),
            (256, vec![4, 0x82, 1, 0]),
            (65_536, vec![4, 0x83, 1, 0, 0]),
        ] {
            let written = tagged(4, &[&vec![7; length]]);
            assert_eq!(written[..header.len()], header, "{length}");
            assert_eq!(written.len(), header.len() + length);
        }
    }
}
