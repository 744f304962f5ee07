//! The only way to a leaf certificate: prepare, record, issue.
//!
//! The order cannot be changed by a caller: [`Issuer::issue`] takes a [`Recorded`], which only
//! [`Prepared::record`] makes, and each step consumes the one before. What is signed is exactly what was
//! prepared: those very bytes.

mod draft;
mod prove;

use aws_lc_rs::digest;
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{PublicKeyData, SigningKey as _};
use uuid::Uuid;

use crate::ambient::Random;
use crate::authority::{AuthorityKind, AuthorityRow, MeshIdentity, read_pem, write_pem};
use crate::check::{self, Expected, SigningCert};
use crate::error::Error;
use crate::journal::{Entry, Journal};
use crate::key::{P256Key, SecretPem};
use crate::leaf_key::{KeyPair, LeafKey, Requested};
use crate::profile::{Profile, Subject, Validity};
use crate::request::CertificateRequest;
use crate::seal::SealingKey;
use crate::spiffe::SpiffeId;
use crate::template::{self, Serial};

use draft::Drafter;

/// An opened issuing authority of one mesh.
#[derive(Debug)]
pub struct Issuer {
    mesh: MeshIdentity,
    row: AuthorityRow,
    certificate: SigningCert,
    drafter: Drafter,
    key: P256Key,
}

/// A leaf that could be signed, once. Holds its key, which is a pair or the half of one that a request brought; not yet known to anyone.
#[derive(Debug)]
#[must_use = "a prepared certificate is neither recorded nor signed"]
pub struct Prepared<K> {
    entry: Entry,
    name: SpiffeId,
    serial: Serial,
    validity: Validity,
    key: K,
    /// The bytes to be signed.
    tbs: Vec<u8>,
}

/// A prepared leaf whose journal row is durable.
#[derive(Debug)]
#[must_use = "a recorded certificate is not signed yet"]
pub struct Recorded<K>(Prepared<K>);

/// A leaf certificate with its private key, or without one when whoever asked for it has that.
#[derive(Debug)]
pub struct Leaf<K = SecretPem> {
    /// Serial number: 32 lower-case hex digits. The version of the secret.
    pub serial: String,
    /// What signed it.
    pub authority: Uuid,
    /// The only name in it.
    pub spiffe_id: SpiffeId,
    /// The leaf, then the issuing certificate, in PEM.
    pub chain_pem: String,
    /// The private key. Never stored.
    pub key_pem: K,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// Start of validity; back-dated.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// When to replace it: at half of its life, give or take a tenth of that half.
    pub renew_at: DateTime<Utc>,
}

/// When a leaf is due for renewal: half-life, counted from the issue and not from the back-dated start,
/// moved by up to a tenth either way so that leaves issued together are not renewed together (S57). The
/// shift comes from the serial, so every replica and every restart gives the same answer.
#[must_use]
pub fn renew_at(issued_at: DateTime<Utc>, not_after: DateTime<Utc>, serial: &str) -> DateTime<Utc> {
    // The last bytes of a serial are uniform; a text that is no serial is not shifted.
    let tail = serial
        .get(serial.len().saturating_sub(4)..)
        .unwrap_or_default();
    let uniform = u16::from_str_radix(tail, 16).map_or(32_768, i64::from);
    let per_million = 900_000 + uniform * 200_000 / 65_536;
    let half_ms = (not_after - issued_at).num_milliseconds() / 2;
    // Split so that no product overflows for any lifetime a certificate can have.
    let ms = half_ms / 1_000_000 * per_million + half_ms % 1_000_000 * per_million / 1_000_000;
    issued_at + TimeDelta::milliseconds(ms)
}

impl Issuer {
    /// Opens an issuing authority: its certificate must be signed by the root, its columns must agree with
    /// it, and the sealed key must open for this organisation and mesh and be the certificate's.
    ///
    /// # Errors
    /// [`Error::Inconsistent`], [`Error::Check`], [`Error::Seal`], [`Error::Key`].
    pub fn open(
        issuing: &AuthorityRow,
        root_pem: &str,
        sealing: &dyn SealingKey,
    ) -> Result<Self, Error> {
        if issuing.kind != AuthorityKind::Issuing {
            return Err(Error::Inconsistent("kind of the issuing authority"));
        }
        let root = check::root(&read_pem(root_pem)?)?;
        let certificate = issuing.certificate(Some(&root))?;
        let key = issuing.open_key(&certificate, sealing)?;
        let trust_domain = certificate.trust_domain()?;
        let mesh = MeshIdentity {
            org: issuing.org,
            mesh: issuing.mesh,
            trust_domain,
        };
        Ok(Self {
            mesh,
            row: issuing.clone(),
            drafter: Drafter::new(&certificate.der, key.der_bytes())?,
            certificate,
            key,
        })
    }

    /// The mesh and trust domain this authority signs for.
    #[must_use]
    pub fn mesh(&self) -> &MeshIdentity {
        &self.mesh
    }

    /// The validity of the issuing certificate.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.certificate.validity
    }

    /// Prepares a leaf: a new key, a new serial, the bytes to be signed, checked as if they were signed.
    ///
    /// # Errors
    /// [`Error::ForeignTrustDomain`] and [`Error::Inconsistent`] for a subject of another mesh (C07),
    /// [`Error::IssuerNotYetValid`], [`Error::IssuerExpired`], [`Error::Check`], [`Error::Random`], [`Error::Key`].
    pub fn prepare(
        &self,
        subject: &Subject,
        profile: &Profile,
        now: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<Prepared<KeyPair>, Error> {
        let key = KeyPair::generate()?;
        self.prepare_for(key, subject, profile, now, random)
    }

    /// Prepares a leaf for the key of a request. Of the request, nothing but the key gets into it.
    ///
    /// # Errors
    /// As [`Issuer::prepare`].
    pub fn prepare_requested(
        &self,
        request: &CertificateRequest,
        subject: &Subject,
        profile: &Profile,
        now: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<Prepared<Requested>, Error> {
        self.prepare_for(request.key(), subject, profile, now, random)
    }

    fn prepare_for<K: PublicKeyData>(
        &self,
        key: K,
        subject: &Subject,
        profile: &Profile,
        now: DateTime<Utc>,
        random: &dyn Random,
    ) -> Result<Prepared<K>, Error> {
        if subject.trust_domain != self.mesh.trust_domain {
            let (asked, held) = (subject.trust_domain.clone(), self.mesh.trust_domain.clone());
            return Err(Error::ForeignTrustDomain { asked, held });
        }
        if subject.mesh_key() != self.mesh.key() {
            return Err(Error::Inconsistent("mesh of the subject"));
        }
        let name = subject.spiffe_id()?;
        let validity = profile.validity(self.certificate.validity, now)?;
        let serial = Serial::draw(random)?;
        let params = template::leaf(&name, serial, validity)?;

        let tbs = self.drafter.draft(&params, &key)?;
        check::leaf_tbs(
            &tbs,
            &self.expected(&name, &serial, validity, &key.subject_public_key_info()),
        )?;
        let entry = Entry {
            org: subject.org,
            mesh: subject.mesh,
            serial: serial.to_hex(),
            proxy: subject.proxy,
            service: subject.service.clone(),
            spiffe_id: name.as_str().to_owned(),
            authority: self.row.id,
            not_before: validity.not_before,
            not_after: validity.not_after,
            issued_at: now,
            tbs_sha256: hex::encode(digest::digest(&digest::SHA256, &tbs)),
        };
        Ok(Prepared {
            entry,
            name,
            serial,
            validity,
            key,
            tbs,
        })
    }

    /// Signs what was recorded, reads the finished certificate back and checks it. A certificate that
    /// breaks a rule is thrown away.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] when another issuer prepared it; [`Error::Check`]; [`Error::Key`].
    pub fn issue<K: LeafKey>(&self, recorded: Recorded<K>) -> Result<Leaf<K::Kept>, Error> {
        let Recorded(Prepared {
            entry,
            name,
            serial,
            validity,
            key,
            tbs,
        }) = recorded;
        if entry.authority != self.row.id {
            return Err(Error::Inconsistent("authority of what was recorded"));
        }
        let signature = self.key.sign(&tbs).map_err(Error::Encode)?;
        let certificate = draft::with_signature(&tbs, &signature);
        let public_key = key.subject_public_key_info();
        check::leaf(
            &certificate,
            &self.expected(&name, &serial, validity, &public_key),
        )?;
        Ok(Leaf {
            renew_at: renew_at(entry.issued_at, validity.not_after, &entry.serial),
            serial: entry.serial,
            authority: entry.authority,
            spiffe_id: name,
            chain_pem: write_pem(&certificate) + &self.row.certificate_pem,
            key_pem: key.keep()?,
            issued_at: entry.issued_at,
            not_before: validity.not_before,
            not_after: validity.not_after,
        })
    }

    fn expected<'a>(
        &'a self,
        name: &'a SpiffeId,
        serial: &'a Serial,
        validity: Validity,
        public_key: &'a [u8],
    ) -> Expected<'a> {
        Expected {
            name,
            serial: serial.as_bytes(),
            validity,
            public_key,
            issuer: &self.certificate,
        }
    }
}

impl<K> Prepared<K> {
    /// The row that [`Prepared::record`] writes.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Writes the journal row. Until this has returned `Ok`, nothing can be signed.
    ///
    /// # Errors
    /// [`Error::Journal`], [`Error::Superseded`]; the preparation is then lost, and its key with it.
    pub async fn record(self, journal: &dyn Journal) -> Result<Recorded<K>, Error> {
        let recorded = journal.record(&self.entry).await.map_err(Error::Journal)?;
        if !recorded {
            return Err(Error::Superseded);
        }
        Ok(Recorded(self))
    }
}

#[cfg(test)]
mod tests;
