//! The authorities of a mesh: a root and an issuing intermediate, as rows with sealed keys (S50, S53).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use rcgen::{CertificateParams, PublicKeyData as _};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::ambient::{Random, new_id};
use crate::check::{self, SigningCert};
use crate::error::Error;
use crate::key::{P256Key, push_lines};
use crate::outside::read_chain;
use crate::profile::{BACKDATE, Validity};
use crate::seal::{Aad, SealingKey};
use crate::spiffe::TrustDomain;
use crate::template::{self, Serial};

/// S50: about ten years, as days.
const ROOT_LIFETIME: TimeDelta = TimeDelta::days(3652);
/// S50.
const ISSUING_LIFETIME: TimeDelta = TimeDelta::days(90);
/// How much of an issuing authority's life is left, at most, when another one takes over: more than any leaf lives, so
/// that no leaf is cut short by it.
const ISSUING_OVERLAP: TimeDelta = TimeDelta::days(7);

/// One mesh of one organisation. Both, always: the store needs the organisation to see the mesh at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MeshKey {
    /// The organisation.
    pub org: Uuid,
    /// The mesh.
    pub mesh: Uuid,
}

/// A mesh together with its trust domain: what its authorities are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshIdentity {
    /// The organisation.
    pub org: Uuid,
    /// The mesh.
    pub mesh: Uuid,
    /// The trust domain of the mesh.
    pub trust_domain: TrustDomain,
}

impl MeshIdentity {
    /// The mesh alone.
    #[must_use]
    pub fn key(&self) -> MeshKey {
        MeshKey {
            org: self.org,
            mesh: self.mesh,
        }
    }
}

/// What an authority signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityKind {
    /// The trust anchor of a mesh. Signs issuing authorities.
    Root,
    /// Signs leaves.
    Issuing,
}

impl AuthorityKind {
    /// What a sealed key is bound to, beside the place it is stored in.
    fn purpose(self) -> &'static str {
        match self {
            Self::Root => "authority/root",
            Self::Issuing => "authority/issuing",
        }
    }
}

impl Aad {
    /// What the private key of an authority is bound to.
    #[must_use]
    pub fn authority(mesh: MeshKey, id: Uuid, kind: AuthorityKind) -> Self {
        Self {
            org: mesh.org,
            mesh: mesh.mesh,
            key: id,
            purpose: kind.purpose(),
        }
    }
}

/// An authority as the store holds it. The key is sealed; `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRow {
    /// Its id, also in the certificate's subject.
    pub id: Uuid,
    /// The organisation.
    pub org: Uuid,
    /// The mesh.
    pub mesh: Uuid,
    /// Root or issuing.
    pub kind: AuthorityKind,
    /// The certificate. Under a root of somebody else, followed by what is between.
    pub certificate_pem: String,
    /// The private key (PKCS#8), sealed for this organisation, mesh, id and kind. Empty: somebody else has it.
    pub sealed_key: Vec<u8>,
    /// Serial number: 32 lower-case hex digits.
    pub serial: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
}

impl fmt::Debug for AuthorityRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityRow")
            .field("id", &self.id)
            .field("org", &self.org)
            .field("mesh", &self.mesh)
            .field("kind", &self.kind)
            .field("serial", &self.serial)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .field("sealed_key_bytes", &self.sealed_key.len())
            .finish_non_exhaustive()
    }
}

impl AuthorityRow {
    /// The mesh the authority belongs to.
    #[must_use]
    pub fn mesh_key(&self) -> MeshKey {
        MeshKey {
            org: self.org,
            mesh: self.mesh,
        }
    }

    /// Whether its private key is somebody else's, who signs what is below it on request.
    #[must_use]
    pub fn is_of_others(&self) -> bool {
        self.sealed_key.is_empty()
    }

    fn aad(&self) -> Aad {
        Aad::authority(self.mesh_key(), self.id, self.kind)
    }

    /// The certificate, read and checked against its parent (`None`: itself), and that the columns
    /// beside it say the same.
    pub(crate) fn certificate(&self, parent: Option<&SigningCert>) -> Result<SigningCert, Error> {
        let certificate = match (self.kind, parent) {
            (AuthorityKind::Root, None) => check::root(&read_pem(&self.certificate_pem)?)?,
            (AuthorityKind::Issuing, Some(root)) if root.name.is_none() => {
                check::under(&read_chain(&self.certificate_pem)?, root)?
            }
            _ => check::signing(&read_pem(&self.certificate_pem)?, self.kind, parent)?,
        };
        if hex::encode(&certificate.serial) != self.serial {
            return Err(Error::Inconsistent("serial"));
        }
        Ok(certificate)
    }

    /// Opens the key, and makes sure that it is the key of this certificate.
    pub(crate) fn open_key(
        &self,
        certificate: &SigningCert,
        sealing: &dyn SealingKey,
    ) -> Result<P256Key, Error> {
        let pkcs8: Zeroizing<Vec<u8>> = sealing.open(&self.aad(), &self.sealed_key)?;
        let key = P256Key::from_pkcs8(&pkcs8)?;
        if key.subject_public_key_info() != certificate.public_key {
            return Err(Error::Inconsistent(
                "key does not belong to the certificate",
            ));
        }
        Ok(key)
    }
}

/// The certificate of a PEM text that holds exactly one.
pub(crate) fn read_pem(pem: &str) -> Result<Vec<u8>, Error> {
    let mut found = CertificateDer::pem_slice_iter(pem.as_bytes());
    match (found.next(), found.next()) {
        (Some(Ok(der)), None) => Ok(der.to_vec()),
        _ => Err(Error::Inconsistent("certificate")),
    }
}

/// A certificate in PEM.
pub(crate) fn write_pem(der: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    push_lines(&mut pem, &BASE64_STANDARD.encode(der));
    pem + "-----END CERTIFICATE-----\n"
}

/// The authorities of one mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// The trust anchor of what signs now.
    pub root: AuthorityRow,
    /// What signs leaves.
    pub issuing: AuthorityRow,
    /// Roots that are trusted beside it while one follows another.
    pub also_trusted: Vec<AuthorityRow>,
    /// Whose leaves are to be replaced.
    pub replacing: Replacing,
}

/// Which leaves are to be replaced before they are due, because what signed them gives way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacing {
    /// Issuing authorities that sign no more.
    pub retired: BTreeSet<Uuid>,
    /// Since when, and over which time; `None` while their leaves may stay as they are.
    pub window: Option<(DateTime<Utc>, Duration)>,
}

impl Hierarchy {
    /// A root with what it signed, and nothing else.
    #[must_use]
    pub fn new(root: AuthorityRow, issuing: AuthorityRow) -> Self {
        Self {
            root,
            issuing,
            also_trusted: Vec::new(),
            replacing: Replacing::default(),
        }
    }

    /// The mesh, and the trust domain that its authorities were made for.
    ///
    /// # Errors
    /// [`Error::Inconsistent`], [`Error::Check`].
    pub fn mesh_identity(&self) -> Result<MeshIdentity, Error> {
        Ok(MeshIdentity {
            org: self.root.org,
            mesh: self.root.mesh,
            trust_domain: self.trust_domain()?,
        })
    }

    /// The trust domain that its authorities were made for. A root that is somebody else's names none.
    pub(crate) fn trust_domain(&self) -> Result<TrustDomain, Error> {
        let root = self.root.certificate(None)?;
        Ok(match &root.name {
            Some(name) => name.trust_domain(),
            None => self.issuing.certificate(Some(&root))?.trust_domain()?,
        })
    }

    /// What proxies trust, in PEM, oldest first: in an order that does not change with what signs.
    pub(crate) fn bundle(&self) -> Result<String, Error> {
        let trust_domain = self.trust_domain()?;
        let mut roots: Vec<&AuthorityRow> = std::iter::once(&self.root)
            .chain(&self.also_trusted)
            .collect();
        roots.sort_unstable_by_key(|root| root.id);
        let mut pem = String::new();
        for root in roots {
            if root.kind != AuthorityKind::Root || root.mesh_key() != self.root.mesh_key() {
                return Err(Error::Inconsistent("authorities of another mesh or kind"));
            }
            let own = root.certificate(None)?.name;
            if own.is_some_and(|name| name.trust_domain() != trust_domain) {
                return Err(Error::Inconsistent("roots of two trust domains"));
            }
            pem.push_str(&root.certificate_pem);
        }
        Ok(pem)
    }

    /// When another issuing authority takes over, where Heddle can make one: with a sixth of its life left, or a week if that is less. One that
    /// lasts as long as its root is kept to the end, because no other could last longer.
    #[must_use]
    pub(crate) fn due(&self) -> DateTime<Utc> {
        let (not_before, not_after) = (self.issuing.not_before, self.issuing.not_after);
        if self.root.not_after <= not_after || self.root.is_of_others() {
            return not_after;
        }
        not_after - ((not_after - not_before) / 6).min(ISSUING_OVERLAP)
    }

    /// Makes the issuing authority that follows this one under the same root. Whoever trusts the root trusts it, so no
    /// proxy has to be told before it signs.
    ///
    /// # Errors
    /// As [`create_hierarchy`], [`Error::RootOfOthers`], and [`Error::Inconsistent`] when the root's row does not fit its
    /// certificate or key.
    pub fn next_issuing(
        &self,
        sealing: &dyn SealingKey,
        now: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<AuthorityRow, Error> {
        if self.root.is_of_others() {
            return Err(Error::RootOfOthers);
        }
        let root_cert = self.root.certificate(None)?;
        let root_key = self.root.open_key(&root_cert, sealing)?;
        let mesh = MeshIdentity {
            org: self.root.org,
            mesh: self.root.mesh,
            trust_domain: root_cert.trust_domain()?,
        };
        let until = root_cert.validity.not_after;
        let draft = Draft::new(AuthorityKind::Issuing, &mesh, now, until, random)?;
        let own = CertificateDer::from(root_cert.der.as_slice());
        let issuer = rcgen::Issuer::from_ca_cert_der(&own, &root_key).map_err(Error::Encode)?;
        let signed = draft
            .params
            .signed_by(&draft.key, &issuer)
            .map_err(Error::Encode)?;
        check::signing(signed.der(), AuthorityKind::Issuing, Some(&root_cert))?;
        draft.seal(signed.pem(), sealing)
    }
}

/// Makes the authorities of a mesh: a root for ten years and an issuing intermediate for 90 days, each
/// with a key of its own that leaves this function only sealed.
///
/// # Errors
/// [`Error::Random`], [`Error::Key`], [`Error::Seal`], or [`Error::Check`] when a finished certificate
/// breaks a rule.
pub fn create_hierarchy(
    mesh: &MeshIdentity,
    sealing: &dyn SealingKey,
    now: DateTime<Utc>,
    random: &dyn Random,
) -> Result<Hierarchy, Error> {
    let root_draft = Draft::new(
        AuthorityKind::Root,
        mesh,
        now,
        DateTime::<Utc>::MAX_UTC,
        random,
    )?;
    let root_key = &root_draft.key;
    let root_der = root_draft
        .params
        .self_signed(root_key)
        .map_err(Error::Encode)?;
    let root_cert = check::signing(root_der.der(), AuthorityKind::Root, None)?;

    let issuing_draft = Draft::new(
        AuthorityKind::Issuing,
        mesh,
        now,
        root_cert.validity.not_after,
        random,
    )?;
    let issuer = rcgen::Issuer::from_params(&root_draft.params, root_key);
    let issuing_der = issuing_draft
        .params
        .signed_by(&issuing_draft.key, &issuer)
        .map_err(Error::Encode)?;
    check::signing(issuing_der.der(), AuthorityKind::Issuing, Some(&root_cert))?;

    Ok(Hierarchy::new(
        root_draft.seal(root_der.pem(), sealing)?,
        issuing_draft.seal(issuing_der.pem(), sealing)?,
    ))
}

/// An authority in the making.
pub(crate) struct Draft {
    row: AuthorityRow,
    pub(crate) params: CertificateParams,
    pub(crate) key: P256Key,
}

impl Draft {
    pub(crate) fn new(
        kind: AuthorityKind,
        mesh: &MeshIdentity,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<Self, Error> {
        let id = new_id(now, random)?;
        let serial = Serial::draw(random)?;
        let lifetime = match kind {
            AuthorityKind::Root => ROOT_LIFETIME,
            AuthorityKind::Issuing => ISSUING_LIFETIME,
        };
        let validity = Validity {
            not_before: (now - BACKDATE).trunc_subsecs(0),
            not_after: (now + lifetime).trunc_subsecs(0).min(until),
        };
        let params = template::authority(kind, id, &mesh.trust_domain.id(), serial, validity)?;
        let row = AuthorityRow {
            id,
            org: mesh.org,
            mesh: mesh.mesh,
            kind,
            certificate_pem: String::new(), // known once it is signed, see `seal`
            sealed_key: Vec::new(),
            serial: serial.to_hex(),
            not_before: validity.not_before,
            not_after: validity.not_after,
        };
        Ok(Self {
            row,
            params,
            key: P256Key::generate()?,
        })
    }

    pub(crate) fn seal(
        self,
        certificate_pem: String,
        sealing: &dyn SealingKey,
    ) -> Result<AuthorityRow, Error> {
        let sealed_key = sealing.seal(&self.row.aad(), self.key.to_pkcs8()?.as_ref())?;
        Ok(AuthorityRow {
            certificate_pem,
            sealed_key,
            ..self.row
        })
    }
}

#[cfg(test)]
mod tests;
