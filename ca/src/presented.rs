//! A certificate that somebody shows, as the journal knows it.

use aws_lc_rs::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// By what a certificate is found in the journal. Whoever has the key of a certificate whose row has both is the one that it was issued
/// to: the row holds the hash of everything in it, its key and its name among that, and is there before anything is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The serial number, in hex.
    pub serial: String,
    /// SHA-256 of the bytes that were signed, in hex.
    pub tbs_sha256: String,
}

impl Presented {
    /// Reads a certificate in DER, from outside; `None` when it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let signed = digest::digest(&digest::SHA256, certificate.tbs_certificate.as_ref());
        Some(Self {
            serial: hex::encode(certificate.raw_serial()),
            tbs_sha256: hex::encode(signed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_nobodys() {
        for junk in [&b""[..], b"junk", &[0x30, 0x80, 0, 0], &[0x30; 4096]] {
            assert_eq!(Presented::read(junk), None);
        }
    }
}
