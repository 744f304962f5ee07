//! What is handed out: a certificate with its key, and whom to trust. Read and checked before anybody gets it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::sync::watch;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::key::Key;

/// What there is right now. `None`: this host has no identity, or none any more.
pub(crate) type Given = watch::Receiver<Option<Arc<Identity>>>;

/// A certificate with its key, and whom to trust.
pub(crate) struct Identity {
    /// The only name in the certificate.
    pub(crate) spiffe_id: String,
    /// Its serial number, in hexadecimal digits.
    pub(crate) serial: String,
    /// It, then the one that signed it, in DER.
    pub(crate) chain: Vec<Vec<u8>>,
    /// PKCS#8 in DER.
    pub(crate) key: Zeroizing<Vec<u8>>,
    /// First and last second of its validity, since 1970.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// Whom to trust.
    pub(crate) bundle: Arc<Bundle>,
}

/// The roots of a trust domain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) trust_domain: String,
    /// In DER.
    pub(crate) roots: Vec<Vec<u8>>,
}

impl Bundle {
    /// Names this content.
    pub(crate) fn version(&self) -> String {
        let all = digest::digest(&digest::SHA256, &self.roots.concat());
        hex::encode(&all.as_ref()[..16])
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("spiffe_id", &self.spiffe_id)
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads a certificate: it must be for this key, and name exactly one SPIFFE id of the bundle's trust domain.
    pub(crate) fn read(chain: Vec<Vec<u8>>, key: &Key, bundle: Arc<Bundle>) -> Result<Self, Error> {
        let leaf = chain.first().ok_or(Error::Senseless("no certificate"))?;
        let Ok((rest, certificate)) = X509Certificate::from_der(leaf) else {
            return Err(Error::Senseless("what should be a certificate is none"));
        };
        if !rest.is_empty() || !key.is_of(certificate.public_key().raw) {
            return Err(Error::Senseless("the certificate is for another key"));
        }
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.as_slice());
        let Some([GeneralName::URI(name)]) = names else {
            return Err(Error::Senseless("the certificate has not one name"));
        };
        let of = name
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split_once('/'));
        if of.is_none_or(|(domain, _)| domain != bundle.trust_domain) {
            return Err(Error::Senseless(
                "the certificate is of another trust domain",
            ));
        }
        if bundle.roots.is_empty() {
            return Err(Error::Senseless("nobody is to be trusted"));
        }
        let serial = hex::encode(certificate.tbs_certificate.raw_serial());
        let validity = certificate.validity();
        Ok(Self {
            spiffe_id: (*name).to_owned(),
            serial,
            key: key.pkcs8()?,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            bundle,
            chain,
        })
    }

    /// The same with other roots.
    pub(crate) fn trusting(&self, bundle: Bundle) -> Self {
        Self {
            spiffe_id: self.spiffe_id.clone(),
            serial: self.serial.clone(),
            chain: self.chain.clone(),
            key: self.key.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            bundle: Arc::new(bundle),
        }
    }
}
