//! Requests that are taken, and all those that are not.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::X509Certificate;

use super::*;
use crate::authority::create_hierarchy;
use crate::testing::{MemoryJournal, MemoryKey, mesh, start, subject};
use crate::{Issuer, Profile, SystemRandom};

fn requested(key: &KeyPair) -> Vec<u8> {
    let request = CertificateParams::default().serialize_request(key);
    request.expect("request").der().to_vec()
}

/// A request that wants to be somebody else, and more than a leaf.
fn greedy(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["payments.internal".to_owned()]).expect("name");
    let other = "spiffe://shop-00000002.heddle.internal/service/ledger";
    let name = Ia5String::try_from(other).expect("name");
    params.subject_alt_names.push(SanType::URI(name));
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    params.subject_alt_names.push(SanType::IpAddress(address));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ledger");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut odd = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x30, 0x00]);
    odd.set_criticality(true);
    params.custom_extensions = vec![odd];
    let request = params.serialize_request(key).expect("request");
    request.der().to_vec()
}

fn openssl(folder: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("openssl runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    output.stdout
}

/// A request that another program has made.
fn of_openssl(options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("folder");
    let mut args = vec!["req", "-new", "-nodes", "-keyout", "key.pem"];
    args.extend(["-subj", "/CN=somebody", "-outform", "DER"]);
    args.extend(options);
    openssl(folder.path(), &args)
}

#[tokio::test]
async fn sec_c01_c02_of_a_request_nothing_but_the_key_gets_into_the_certificate() {
    let sealing = MemoryKey::new(1);
    let held = create_hierarchy(&mesh(1), &sealing, start(), &SystemRandom).expect("create");
    let issuer = Issuer::open(&held.issuing, &held.root.certificate_pem, &sealing).expect("open");
    let key = KeyPair::generate().expect("key");
    let request = CertificateRequest::read(&greedy(&key)).expect("a request");
    let journal = MemoryJournal::default();
    let who = subject(1, "payments", 7);
    let profile = Profile::default();
    let prepared = issuer.prepare_requested(&request, &who, &profile, start(), &SystemRandom);
    let recorded = prepared.expect("prepare").record(&journal).await;
    // The row comes before the signature, as for a key of ours.
    assert_eq!(journal.entries().len(), 1);
    let leaf = issuer.issue(recorded.expect("record")).expect("issue");
    assert_eq!(journal.entries()[0].serial, leaf.serial);

    let der = CertificateDer::from_pem_slice(leaf.chain_pem.as_bytes()).expect("PEM");
    let (_, certificate) = X509Certificate::from_der(&der).expect("certificate");
    let mut expected = "spiffe://".to_owned();
    expected += who.trust_domain.as_str();
    expected += "/service/payments";
    assert_eq!(leaf.spiffe_id.as_str(), expected);
    let names = certificate.subject_alternative_name().expect("one");
    let names = &names.expect("some").value.general_names;
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(certificate.subject().iter_rdn().next().is_none());
    assert!(!certificate.is_ca());
    assert_eq!(certificate.extensions().len(), 6);
    assert_eq!(
        certificate.public_key().raw,
        key.subject_public_key_info(),
        "the key is that of the request"
    );
}

#[test]
fn requests_of_other_programs_are_taken() {
    for options in [
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-newkey", "rsa:2048"],
        &["-newkey", "rsa:3072", "-sha512"],
    ] {
        let read = CertificateRequest::read(&of_openssl(options));
        assert!(read.is_ok(), "{options:?}: {read:?}");
    }
}

#[test]
fn sec_c03_keys_that_are_weak_or_too_much_work_are_refused() {
    let cases: [(&[&str], RequestFault); 7] = [
        (&["-newkey", "rsa:1024"], RequestFault::Size),
        (&["-newkey", "rsa:4104"], RequestFault::Size),
        (
            &["-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"],
            RequestFault::Exponent,
        ),
        (&["-newkey", "rsa:2048", "-sha1"], RequestFault::Signature),
        (
            &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"],
            RequestFault::Key,
        ),
        (
            &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
            RequestFault::Key,
        ),
        (&["-newkey", "ed25519"], RequestFault::Key),
    ];
    for (options, fault) in cases {
        let read = CertificateRequest::read(&of_openssl(options));
        assert_eq!(read.err(), Some(fault), "{options:?}");
    }
}

#[test]
fn sec_c03_a_request_is_signed_by_its_own_key() {
    let (own, other) = (
        requested(&KeyPair::generate().expect("key")),
        requested(&KeyPair::generate().expect("key")),
    );
    let key = |der: &[u8]| {
        let (_, request) = X509CertificationRequest::from_der(der).expect("request");
        request.certification_request_info.subject_pki.raw.to_vec()
    };
    // Another's key under one's own signature.
    let (ours, theirs) = (key(&own), key(&other));
    let at = own
        .windows(ours.len())
        .position(|window| window == ours)
        .expect("the key");
    let mut stolen = own.clone();
    stolen[at..at + ours.len()].copy_from_slice(&theirs);
    let read = CertificateRequest::read(&stolen);
    assert_eq!(read.err(), Some(RequestFault::Possession));
    assert!(CertificateRequest::read(&own).is_ok());
}

#[test]
fn what_is_no_request_is_refused() {
    let key = KeyPair::generate().expect("key");
    let good = requested(&key);
    let mut longer = good.clone();
    longer.push(0);
    let certificate = CertificateParams::default()
        .self_signed(&key)
        .expect("certificate");
    for junk in [
        &[][..],
        &[0x30],
        &good[..good.len() - 1],
        &longer,
        certificate.der(),
    ] {
        let read = CertificateRequest::read(junk);
        assert_eq!(read.err(), Some(RequestFault::Malformed), "{}", junk.len());
    }
    let read = CertificateRequest::read(&vec![0x30; LARGEST + 1]);
    assert_eq!(read.err(), Some(RequestFault::TooLong));
}

#[test]
fn text_is_read_as_pem_or_as_base64_and_as_one_request() {
    let key = KeyPair::generate().expect("key");
    let request = CertificateParams::default()
        .serialize_request(&key)
        .expect("request");
    let pem = request.pem().expect("pem");
    let base64 = STANDARD.encode(request.der());
    let with_words = format!("made by hand\n{pem}\n");
    let folded = base64.replacen('A', "A\r\n ", 3);
    for text in [
        &pem,
        &pem.replace('\n', "\r\n"),
        &with_words,
        &base64,
        &folded,
    ] {
        let read = CertificateRequest::read_text(text).expect("a request");
        assert_eq!(read.der(), &**request.der());
    }
    let other = pem.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    let cut = base64[..base64.len() - 1].to_owned();
    let half = pem.replace("-----END CERTIFICATE REQUEST-----", "");
    for text in ["", "=", "certify me", &other, &half, &pem.repeat(2), &cut] {
        let fault = CertificateRequest::read_text(text).err();
        let faults = [RequestFault::Text, RequestFault::Malformed];
        assert!(fault.is_some_and(|fault| faults.contains(&fault)), "{text}");
    }
    let long = "A".repeat(2 * LARGEST + 1);
    let read = CertificateRequest::read_text(&long);
    assert_eq!(read.err(), Some(RequestFault::TooLong));
}

proptest! {
    #[test]
    fn sec_c02_no_text_brings_the_reader_down(junk in "(-----BEGIN CERTIFICATE REQUEST-----\n)?\\PC{0,200}") {
        let _refused = CertificateRequest::read_text(&junk);
    }

    #[test]
    fn sec_c02_no_bytes_bring_the_reader_down(junk in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _refused = CertificateRequest::read(&junk);
    }

    #[test]
    fn sec_c03_a_request_with_a_bit_changed_is_refused_or_for_the_same_key(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let key = KeyPair::generate().expect("key");
        let mut request = greedy(&key);
        let at = at.index(request.len());
        request[at] ^= 1 << bit;
        // What surrounds the signed part has spellings that mean the same; no spelling gets anybody another key certified.
        if let Ok(read) = CertificateRequest::read(&request) {
            prop_assert_eq!(read.key().subject_public_key_info(), key.subject_public_key_info());
        }
    }
}
