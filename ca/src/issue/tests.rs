//! The path to a leaf: order, content, limits, and what never shows.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::*;
use crate::authority::{Hierarchy, create_hierarchy};
use crate::testing::{MemoryJournal, MemoryKey, SeededRandom, id, mesh, start, subject};
use crate::{MeshKey, SystemRandom};

mod openssl;
mod secrets;
mod validity;

/// One mesh, opened, with a journal.
pub(super) struct Bench {
    pub(super) hierarchy: Hierarchy,
    pub(super) issuer: Issuer,
    pub(super) journal: MemoryJournal,
    pub(super) profile: Profile,
}

impl Bench {
    pub(super) fn new(n: u128) -> Self {
        Self::sealed_with(n, &MemoryKey::new(1))
    }

    fn sealed_with(n: u128, sealing: &MemoryKey) -> Self {
        let hierarchy =
            create_hierarchy(&mesh(n), sealing, start(), &SystemRandom).expect("create");
        let Hierarchy { root, issuing, .. } = &hierarchy;
        let issuer = Issuer::open(issuing, &root.certificate_pem, sealing).expect("open");
        Self {
            hierarchy,
            issuer,
            journal: MemoryJournal::default(),
            profile: Profile::default(),
        }
    }

    fn prepare(&self, subject: &Subject, now: DateTime<Utc>) -> Result<Prepared<KeyPair>, Error> {
        self.issuer
            .prepare(subject, &self.profile, now, &SystemRandom)
    }

    pub(super) async fn leaf(&self, subject: &Subject) -> Leaf {
        let prepared = self.prepare(subject, start()).expect("prepare");
        let recorded = prepared.record(&self.journal).await.expect("record");
        self.issuer.issue(recorded).expect("issue")
    }
}

fn ders(pem: &str) -> Vec<Vec<u8>> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes());
    found
        .map(|der| der.expect("certificate").to_vec())
        .collect()
}

#[tokio::test]
async fn spiffe_s10_s11_s14_s15_s18_a_thousand_leaves_read_by_another_parser() {
    let bench = Bench::new(1);
    let (mut serials, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let authority = ders(&bench.hierarchy.issuing.certificate_pem).remove(0);
    let (_, authority) = X509Certificate::from_der(&authority).expect("issuing");
    for n in 0..1_000 {
        let subject = subject(1, &format!("service-{}", n % 7), n);
        let leaf = bench.leaf(&subject).await;
        let chain = ders(&leaf.chain_pem);
        assert_eq!(chain.len(), 2, "leaf first, then issuing");
        assert_eq!(chain[1], ders(&bench.hierarchy.issuing.certificate_pem)[0]);
        let (rest, cert) = X509Certificate::from_der(&chain[0]).expect("leaf");
        assert!(rest.is_empty());

        let names = cert.subject_alternative_name().expect("one").expect("some");
        let expected = format!(
            "spiffe://{}/service/{}",
            subject.trust_domain, subject.service
        );
        assert!(names.critical);
        assert_eq!(names.value.general_names, vec![GeneralName::URI(&expected)]);
        assert_eq!(leaf.spiffe_id.as_str(), expected);
        assert!(cert.subject().iter().next().is_none());

        let constraints = cert.basic_constraints().expect("one").expect("some");
        assert!(constraints.critical && !constraints.value.ca);
        let usage = cert.key_usage().expect("one").expect("some");
        assert!(usage.critical && usage.value.digital_signature());
        assert!(!usage.value.key_cert_sign() && !usage.value.crl_sign());
        let purposes = cert.extended_key_usage().expect("one").expect("some").value;
        assert!(purposes.server_auth && purposes.client_auth && !purposes.any);

        assert_eq!(hex::encode(cert.raw_serial()), leaf.serial);
        assert_eq!(leaf.serial.len(), 32);
        assert!(cert.raw_serial()[0] < 0x80, "positive");
        assert_eq!(
            cert.validity().not_before.timestamp(),
            start().timestamp() - 300
        );
        assert_eq!(
            cert.validity().not_after.timestamp(),
            start().timestamp() + 86_400
        );
        cert.verify_signature(Some(authority.public_key()))
            .expect("signed by the issuing key");
        assert!(serials.insert(leaf.serial));
        assert!(
            keys.insert(cert.public_key().raw.to_vec()),
            "a key of its own"
        );
    }
}

#[test]
fn sec_c09_serials_are_positive_unique_and_of_constant_length() {
    let mut seen = BTreeSet::new();
    for _ in 0..200_000 {
        let serial = Serial::draw(&SystemRandom).expect("draw");
        assert_eq!(serial.as_bytes()[0] & 0xc0, 0x40);
        assert!(seen.insert(serial));
    }
    // Every other bit takes both values.
    let (mut ones, mut zeros) = ([0_u8; 16], [0_u8; 16]);
    for serial in &seen {
        for (at, byte) in serial.as_bytes().iter().enumerate() {
            ones[at] |= byte;
            zeros[at] |= !byte;
        }
    }
    assert_eq!((ones[0], zeros[0]), (0x7f, 0xbf));
    assert!(ones[1..].iter().chain(&zeros[1..]).all(|b| *b == 0xff));
}

#[tokio::test]
async fn sec_c08_a_journal_that_fails_means_no_certificate() {
    let bench = Bench::new(1);
    bench.journal.broken.store(true, Ordering::SeqCst);
    let prepared = bench
        .prepare(&subject(1, "payments", 1), start())
        .expect("prepare");
    let error = prepared
        .record(&bench.journal)
        .await
        .expect_err("the journal is broken");
    assert!(matches!(error, Error::Journal(_)), "{error:?}");
    assert!(bench.journal.entries().is_empty());
}

#[tokio::test]
async fn sec_c06_c08_s55_the_row_stands_for_exactly_the_bytes_that_were_signed() {
    let bench = Bench::new(1);
    let subject = subject(1, "payments", 42);
    let prepared = bench.prepare(&subject, start()).expect("prepare");
    assert!(
        bench.journal.entries().is_empty(),
        "preparing records nothing"
    );
    let recorded = prepared.record(&bench.journal).await.expect("record");
    let entry = bench.journal.entries().remove(0);
    let leaf = bench.issuer.issue(recorded).expect("issue");

    let der = &ders(&leaf.chain_pem)[0];
    let (_, cert) = X509Certificate::from_der(der).expect("leaf");
    assert_eq!(
        entry.tbs_sha256,
        hex::encode(digest::digest(
            &digest::SHA256,
            cert.tbs_certificate.as_ref()
        ))
    );
    assert_eq!(
        entry,
        Entry {
            org: subject.org,
            mesh: subject.mesh,
            serial: leaf.serial,
            proxy: id(42),
            service: "payments".to_owned(),
            spiffe_id: leaf.spiffe_id.as_str().to_owned(),
            authority: bench.hierarchy.issuing.id,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            issued_at: start(),
            tbs_sha256: entry.tbs_sha256.clone(),
        }
    );
}

#[tokio::test]
async fn sec_c07_an_issuer_signs_for_its_own_mesh_only() {
    let (ours, theirs) = (Bench::new(1), Bench::new(2));
    let foreign = subject(2, "payments", 1);
    let error = ours
        .prepare(&foreign, start())
        .expect_err("foreign trust domain");
    assert!(
        matches!(error, Error::ForeignTrustDomain { .. }),
        "{error:?}"
    );

    let own = subject(1, "payments", 1);
    let other_org = Subject {
        org: foreign.org,
        ..own.clone()
    };
    let other_mesh = Subject {
        mesh: foreign.mesh,
        ..own.clone()
    };
    for subject in [other_org, other_mesh] {
        let error = ours.prepare(&subject, start()).expect_err("foreign place");
        assert!(matches!(error, Error::Inconsistent(_)), "{error:?}");
    }

    // What one issuer prepared and recorded, another does not sign.
    let prepared = theirs.prepare(&foreign, start()).expect("prepare");
    let recorded = prepared.record(&theirs.journal).await.expect("record");
    let error = ours.issuer.issue(recorded).expect_err("other issuer");
    assert!(matches!(error, Error::Inconsistent(_)), "{error:?}");
}

#[tokio::test]
async fn sec_c04_names_that_are_no_segment_are_not_issued() {
    let bench = Bench::new(1);
    for service in [
        "",
        "a/b",
        "..",
        "a b",
        "a%2f",
        "\u{e9}",
        "a\0",
        &"s".repeat(2100),
    ] {
        let error = bench
            .prepare(&subject(1, service, 1), start())
            .expect_err(service);
        assert!(matches!(error, Error::Spiffe(_)), "{error:?}");
    }
}

#[test]
fn an_issuer_opens_only_under_its_own_root_and_key() {
    let (ours, theirs) = (Bench::new(1).hierarchy, Bench::new(2).hierarchy);
    let root_pem = &ours.root.certificate_pem;
    let open =
        |row: &AuthorityRow, root: &str, byte| Issuer::open(row, root, &MemoryKey::new(byte));
    assert!(open(&ours.issuing, root_pem, 1).is_ok());
    assert!(matches!(
        open(&ours.root, root_pem, 1),
        Err(Error::Inconsistent(_))
    ));
    let other_root = open(&ours.issuing, &theirs.root.certificate_pem, 1);
    assert!(matches!(other_root, Err(Error::Check(_))), "{other_root:?}");
    assert!(matches!(
        open(&ours.issuing, root_pem, 2),
        Err(Error::Seal(_))
    ));
    let own = open(&ours.issuing, &ours.issuing.certificate_pem, 1);
    assert!(
        matches!(own, Err(Error::Check(_))),
        "an issuing certificate is no root"
    );
}

#[test]
fn a_mesh_key_is_the_subjects() {
    let subject = subject(1, "payments", 1);
    assert_eq!(
        subject.mesh_key(),
        MeshKey {
            org: subject.org,
            mesh: subject.mesh
        }
    );
    assert_eq!(subject.mesh_identity().key(), subject.mesh_key());
}
