//! Issuing authorities under a root that is not ours. The customer signs a request; the private key of what it is for never leaves
//! this place, and theirs never comes here.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::PublicKeyData as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use uuid::Uuid;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use crate::ambient::{Random, new_id};
use crate::authority::{AuthorityKind, AuthorityRow, Draft, Hierarchy, MeshIdentity, write_pem};
use crate::check::{self, Expected, Fault};
use crate::error::Error;
use crate::key::P256Key;
use crate::seal::SealingKey;
use crate::spiffe::SpiffeId;
use crate::template::{self, Serial};

/// The most certificates that are read, with issuing authority and root.
const CHAIN: usize = 5;
/// How much of its life is left at least of an authority that is taken: a rotation may wait for a while, and leaves must fit in.
const LEFT: TimeDelta = TimeDelta::days(7);

/// An issuing authority that has a key and no certificate yet.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityRequest {
    /// The id of the authority to be.
    pub id: Uuid,
    /// What is to be signed: PKCS#10, PEM.
    pub request_pem: String,
    /// The private key, sealed as that of the authority.
    pub sealed_key: Vec<u8>,
}

impl fmt::Debug for AuthorityRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityRequest({})", self.id)
    }
}

impl AuthorityRequest {
    /// A request for an issuing authority of this mesh, with a new key.
    ///
    /// # Errors
    /// [`Error::Random`], [`Error::Key`], [`Error::Seal`], [`Error::Encode`].
    pub fn new(
        mesh: &MeshIdentity,
        sealing: &dyn SealingKey,
        now: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<Self, Error> {
        let until = DateTime::<Utc>::MAX_UTC;
        let mut draft = Draft::new(AuthorityKind::Issuing, mesh, now, until, random)?;
        // What only who signs can say.
        draft.params.serial_number = None;
        draft.params.use_authority_key_identifier_extension = false;
        let request = draft.params.serialize_request(&draft.key);
        let request = request
            .and_then(|request| request.pem())
            .map_err(Error::Encode)?;
        let row = draft.seal(String::new(), sealing)?;
        Ok(Self {
            id: row.id,
            request_pem: request,
            sealed_key: row.sealed_key,
        })
    }

    /// The authority and its root, as `chain_pem` has them: the certificate for this request, what signed it, and so on to the root.
    /// Where the mesh has such a root already, the row of `known` is it.
    ///
    /// # Errors
    /// [`Error::Check`] for what is wrong with the chain; [`Error::ForeignTrustDomain`]; [`Error::IssuerNotYetValid`] and
    /// [`Error::IssuerExpired`] where it is not valid now; [`Error::Random`].
    pub fn adopt(
        &self,
        mesh: &MeshIdentity,
        chain_pem: &str,
        known: &[AuthorityRow],
        now: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<Hierarchy, Error> {
        let chain = read_chain(chain_pem)?;
        let (root_der, below) = chain.split_last().ok_or(none())?;
        if below.is_empty() {
            return Err(fault("one certificate only: the root belongs to it").into());
        }
        let root = check::root(root_der)?;
        if root.name.is_some() {
            return Err(
                fault("the root is one of Heddle's, or names a trust domain itself").into(),
            );
        }
        let issuing = check::under(below, &root)?;
        if issuing.public_key != self.public_key()? {
            return Err(
                fault("the first certificate is for another key than that of the request").into(),
            );
        }
        let held = issuing.trust_domain()?;
        if held != mesh.trust_domain {
            let asked = mesh.trust_domain.clone();
            return Err(Error::ForeignTrustDomain { asked, held });
        }
        let (not_before, not_after) = (issuing.validity.not_before, issuing.validity.not_after);
        if now < not_before {
            return Err(Error::IssuerNotYetValid { not_before, now });
        }
        if now >= not_after {
            return Err(Error::IssuerExpired { not_after, now });
        }
        if not_after - now < LEFT {
            return Err(fault("it, or what signed it, ends within seven days").into());
        }
        can_issue(&issuing, mesh, random)?;
        let row = |id, kind, der: &[Vec<u8>], sealed_key, cert: &check::SigningCert| AuthorityRow {
            id,
            org: mesh.org,
            mesh: mesh.mesh,
            kind,
            certificate_pem: der.iter().map(|der| write_pem(der)).collect(),
            sealed_key,
            serial: hex::encode(&cert.serial),
            not_before: cert.validity.not_before,
            not_after: cert.validity.not_after,
        };
        let root_row = row(
            new_id(now, random)?,
            AuthorityKind::Root,
            std::slice::from_ref(root_der),
            Vec::new(),
            &root,
        );
        let same = |one: &&AuthorityRow| one.certificate_pem == root_row.certificate_pem;
        let root_row = known.iter().find(same).cloned().unwrap_or(root_row);
        let issuing_row = row(
            self.id,
            AuthorityKind::Issuing,
            below,
            self.sealed_key.clone(),
            &issuing,
        );
        Ok(Hierarchy::new(root_row, issuing_row))
    }

    fn public_key(&self) -> Result<Vec<u8>, Error> {
        let broken = || Error::Inconsistent("request of an authority");
        let der = CertificateSigningRequestDer::from_pem_slice(self.request_pem.as_bytes());
        let der = der.map_err(|_| broken())?;
        let (_, request) = X509CertificationRequest::from_der(&der).map_err(|_| broken())?;
        Ok(request.certification_request_info.subject_pki.raw.to_vec())
    }
}

/// That leaves can name it: the issuer in a leaf is written anew from what was read of its subject, and not every subject comes out as
/// it went in. Tried with a key that is thrown away.
fn can_issue(
    issuing: &check::SigningCert,
    mesh: &MeshIdentity,
    random: &dyn Random,
) -> Result<(), Error> {
    let unnameable = || {
        fault(
            "its subject cannot be named by what it signs: use each attribute once, in UTF8String or PrintableString",
        )
    };
    let (signs, key) = (P256Key::generate()?, P256Key::generate()?);
    let name = SpiffeId::service(&mesh.trust_domain, "a")?;
    let serial = Serial::draw(random)?;
    let params = template::leaf(&name, serial, issuing.validity)?;
    let own = CertificateDer::from(issuing.der.as_slice());
    let issuer = rcgen::Issuer::from_ca_cert_der(&own, &signs).map_err(|_| unnameable())?;
    let leaf = params.signed_by(&key, &issuer).map_err(|_| unnameable())?;
    let (_, leaf) = X509Certificate::from_der(leaf.der()).map_err(|_| unnameable())?;
    let expected = Expected {
        name: &name,
        serial: serial.as_bytes(),
        validity: issuing.validity,
        public_key: &key.subject_public_key_info(),
        issuer: issuing,
    };
    check::leaf_tbs(leaf.tbs_certificate.as_ref(), &expected).map_err(|_| unnameable())?;
    Ok(())
}

fn none() -> Fault {
    fault("there is no certificate in it")
}

const fn fault(what: &'static str) -> Fault {
    Fault { rule: "x509", what }
}

/// The certificates of a PEM text, in their order.
pub(crate) fn read_chain(pem: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes());
    let read: Result<Vec<_>, _> = found.take(CHAIN + 1).collect();
    let read = read.map_err(|_| fault("it is not PEM"))?;
    match read.len() {
        0 => Err(none()),
        1..=CHAIN => Ok(read.iter().map(|der| der.to_vec()).collect()),
        _ => Err(fault("more than five certificates")),
    }
}

#[cfg(test)]
mod tests;
