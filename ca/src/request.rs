//! Reads certificate requests (PKCS#10): a public key, and the proof that whoever asks has the private one. Nothing else of a
//! request is read: names, extensions and attributes are somebody's wishes, and a certificate says what was proved (C01, C02).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{PublicKeyData as _, SubjectPublicKeyInfo};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::der_parser::asn1_rs::BitString;
use x509_parser::oid_registry::{
    OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, Oid,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::{PublicKey as Parsed, RSAPublicKey};

use crate::leaf_key::Requested;
use crate::weak_rsa;

/// The most that a request may take, in bytes: several times what one with the largest key takes.
const LARGEST: usize = 8 << 10;
/// The sizes of RSA keys, in bits: below is weak, above is work for everybody who verifies (C03).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// The one exponent of RSA keys.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// The algorithms that a request may be signed with; none with SHA-1.
const SIGNATURES: [Oid<'static>; 6] = [
    OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384,
    OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA,
    OID_PKCS1_RSASSAPSS,
];

/// Why a request is not taken: a sentence for whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// Longer than any request that could be taken.
    #[error("the request is longer than 8 KiB")]
    TooLong,
    /// Neither PEM nor base64.
    #[error("this is neither one certificate request in PEM nor base64 of one")]
    Text,
    /// No request, or something after it.
    #[error("this is not one PKCS#10 certificate request in DER")]
    Malformed,
    /// A kind of key that is not taken.
    #[error("the key is neither on P-256 or P-384 nor RSA")]
    Key,
    /// An RSA key of another size.
    #[error("an RSA key has 2048 to 4096 bits")]
    Size,
    /// An RSA key with another exponent.
    #[error("the exponent of an RSA key is 65537")]
    Exponent,
    /// An RSA key whose private key can be found out.
    #[error("the RSA key is one of those that can be factored; make another one")]
    Weak,
    /// An algorithm that is not taken.
    #[error("the request is not signed with ECDSA or RSA and SHA-256, SHA-384 or SHA-512")]
    Signature,
    /// Whoever asks does not have the private key.
    #[error("the request is not signed by the key that it asks a certificate for")]
    Possession,
}

/// A public key whose holder has proved to have the private one.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    key: Requested,
    der: Vec<u8>,
}

impl CertificateRequest {
    /// Reads a request in PEM, or in base64 of DER.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn read_text(text: &str) -> Result<Self, RequestFault> {
        // Base64 is a third longer; around PEM there may be words.
        if text.len() > 2 * LARGEST {
            return Err(RequestFault::TooLong);
        }
        if !text.contains("-----BEGIN") {
            let plain: String = text.split_ascii_whitespace().collect();
            let der = STANDARD.decode(plain).map_err(|_| RequestFault::Text)?;
            return Self::read(&der);
        }
        let mut found = CertificateSigningRequestDer::pem_slice_iter(text.as_bytes());
        let (Some(Ok(der)), None) = (found.next(), found.next()) else {
            return Err(RequestFault::Text);
        };
        Self::read(&der)
    }

    /// Reads a request in DER.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn read(der: &[u8]) -> Result<Self, RequestFault> {
        if der.len() > LARGEST {
            return Err(RequestFault::TooLong);
        }
        let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
            return Err(RequestFault::Malformed);
        };
        let spki = &request.certification_request_info.subject_pki;
        if whole(&spki.subject_public_key).is_none() || whole(&request.signature_value).is_none() {
            return Err(RequestFault::Malformed);
        }
        // What the library that writes certificates knows, with the parameters that it writes, and in its spelling.
        let key = SubjectPublicKeyInfo::from_der(spki.raw).map_err(|_| RequestFault::Key)?;
        if key.subject_public_key_info() != spki.raw {
            return Err(RequestFault::Key);
        }
        let algorithm = key.algorithm();
        if *algorithm == rcgen::PKCS_RSA_SHA256 {
            match spki.parsed() {
                Ok(Parsed::RSA(rsa)) => strong(&rsa)?,
                _ => return Err(RequestFault::Key),
            }
        } else if *algorithm != rcgen::PKCS_ECDSA_P256_SHA256
            && *algorithm != rcgen::PKCS_ECDSA_P384_SHA384
        {
            return Err(RequestFault::Key);
        }
        if !SIGNATURES.contains(&request.signature_algorithm.algorithm) {
            return Err(RequestFault::Signature);
        }
        // Last, and only for keys whose size is bounded: verifying costs as much as the key's size says.
        request
            .verify_signature()
            .map_err(|_| RequestFault::Possession)?;
        Ok(Self {
            key: Requested(key),
            der: der.to_vec(),
        })
    }

    /// The request as it came: another process reads it for itself.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The public key.
    pub(crate) fn key(&self) -> Requested {
        self.key.clone()
    }
}

fn whole<'a>(bits: &'a BitString<'_>) -> Option<&'a [u8]> {
    (bits.unused_bits == 0).then_some(&*bits.data)
}

fn strong(rsa: &RSAPublicKey<'_>) -> Result<(), RequestFault> {
    let stripped = |bytes: &'_ [u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.len() - zeros
    };
    let length = stripped(rsa.modulus);
    let modulus = &rsa.modulus[rsa.modulus.len() - length..];
    let lead = modulus.first().map_or(8, |byte| byte.leading_zeros());
    let bits = (length * 8).saturating_sub(usize::try_from(lead).unwrap_or(8));
    if !RSA_BITS.contains(&bits) {
        return Err(RequestFault::Size);
    }
    let exponent = &rsa.exponent[rsa.exponent.len() - stripped(rsa.exponent)..];
    if exponent != RSA_EXPONENT {
        return Err(RequestFault::Exponent);
    }
    match weak_rsa::is_weak(modulus) {
        true => Err(RequestFault::Weak),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
