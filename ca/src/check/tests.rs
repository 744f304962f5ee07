//! Certificates with one thing wrong each: the check must name the rule.

use chrono::TimeDelta;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose as Purpose, IsCa, KeyUsagePurpose as Usage, NameConstraints,
    PublicKeyData as _, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;

use super::*;
use crate::authority::create_hierarchy;
use crate::key::P256Key;
use crate::template::{self, Serial};
use crate::testing::{MemoryKey, SeededRandom, mesh, start};

mod signing;

/// An opened hierarchy and a leaf to be spoiled.
struct Bench {
    root: SigningCert,
    root_key: P256Key,
    issuing: SigningCert,
    issuing_key: P256Key,
    name: SpiffeId,
    serial: Serial,
    validity: Validity,
    key: P256Key,
}

impl Bench {
    fn new() -> Self {
        let sealing = MemoryKey::new(1);
        let random = SeededRandom::new(1);
        let made = create_hierarchy(&mesh(1), &sealing, start(), &random).expect("hierarchy");
        let root = made.root.certificate(None).expect("root");
        let issuing = made.issuing.certificate(Some(&root)).expect("issuing");
        let day = TimeDelta::days(1);
        let not_before = issuing.validity.not_before;
        Self {
            root_key: made.root.open_key(&root, &sealing).expect("root key"),
            issuing_key: made
                .issuing
                .open_key(&issuing, &sealing)
                .expect("issuing key"),
            root,
            issuing,
            name: SpiffeId::service(&mesh(1).trust_domain, "payments").expect("name"),
            serial: Serial::draw(&random).expect("serial"),
            validity: Validity {
                not_before,
                not_after: not_before + day,
            },
            key: P256Key::generate().expect("key"),
        }
    }

    fn params(&self) -> CertificateParams {
        template::leaf(&self.name, self.serial, self.validity).expect("template")
    }

    fn sign(&self, params: &CertificateParams) -> Vec<u8> {
        sign(params, &self.key, &self.issuing, &self.issuing_key)
    }

    fn check(&self, der: &[u8]) -> Result<(), Fault> {
        self.check_as(der, &self.name, self.serial.as_bytes(), self.validity)
    }

    fn check_as(
        &self,
        der: &[u8],
        name: &SpiffeId,
        serial: &[u8],
        validity: Validity,
    ) -> Result<(), Fault> {
        let public_key = &self.key.subject_public_key_info();
        let expected = Expected {
            name,
            serial,
            validity,
            public_key,
            issuer: &self.issuing,
        };
        let finished = leaf(der, &expected);
        if let Ok(([], certificate)) = X509Certificate::from_der(der) {
            let before = leaf_tbs(certificate.tbs_certificate.as_ref(), &expected);
            assert_eq!(before, finished, "the check before signing says the same");
        }
        finished
    }
}

fn sign(params: &CertificateParams, key: &P256Key, by: &SigningCert, with: &P256Key) -> Vec<u8> {
    let issuer = CertificateDer::from(by.der.as_slice());
    let issuer = rcgen::Issuer::from_ca_cert_der(&issuer, with).expect("issuer");
    params.signed_by(key, &issuer).expect("sign").der().to_vec()
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).expect("ascii"))
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(text).expect("ascii"))
}

#[test]
fn the_template_passes() {
    let bench = Bench::new();
    assert_eq!(bench.check(&bench.sign(&bench.params())), Ok(()));
}

#[test]
fn sec_c01_c02_s55_every_deviation_from_the_template_is_named_by_its_rule() {
    type Spoil = fn(&mut CertificateParams);
    let spoils: &[(&str, &str, Spoil)] = &[
        ("S10", "two URIs", |p| {
            p.subject_alt_names.push(uri("spiffe://other/service/a"));
        }),
        ("S10", "a DNS name too", |p| {
            p.subject_alt_names.push(dns("payments.example"));
        }),
        ("S10", "a DNS name only", |p| {
            p.subject_alt_names = vec![dns("payments.example")];
        }),
        ("S10", "another URI", |p| {
            p.subject_alt_names = vec![uri("spiffe://other/service/a")];
        }),
        ("S15", "no name", |p| p.subject_alt_names.clear()),
        ("S15", "a subject", |p| {
            p.distinguished_name.push(DnType::CommonName, "admin");
        }),
        ("S15", "a name that is not critical", |p| {
            p.subject_alt_names.clear();
            let name = b"spiffe://shop-00000001.heddle.internal/service/payments";
            let mut content = vec![0x30, 2 + name.len() as u8, 0x86, name.len() as u8];
            content.extend_from_slice(name);
            p.custom_extensions
                .push(CustomExtension::from_oid_content(&[2, 5, 29, 17], content));
        }),
        ("S11", "no basic constraints", |p| p.is_ca = IsCa::NoCa),
        ("S11", "a signing certificate", |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
        ("S11", "may sign certificates", |p| {
            p.key_usages.push(Usage::KeyCertSign);
        }),
        ("S11", "may sign revocations", |p| {
            p.key_usages.push(Usage::CrlSign);
        }),
        ("S11", "may agree on keys", |p| {
            p.key_usages.push(Usage::KeyAgreement);
        }),
        ("S11", "no key usage", |p| p.key_usages.clear()),
        ("S11", "key usage not critical", |p| {
            p.key_usages.clear();
            let content = vec![0x03, 0x02, 0x07, 0x80];
            p.custom_extensions
                .push(CustomExtension::from_oid_content(&[2, 5, 29, 15], content));
        }),
        ("S14", "no purpose", |p| p.extended_key_usages.clear()),
        ("S14", "one end only", |p| {
            p.extended_key_usages = vec![Purpose::ServerAuth];
        }),
        ("S14", "any purpose", |p| {
            p.extended_key_usages.push(Purpose::Any);
        }),
        ("S14", "signs code", |p| {
            p.extended_key_usages.push(Purpose::CodeSigning);
        }),
        ("S14", "own purpose", |p| {
            p.extended_key_usages.push(Purpose::Other(vec![1, 3, 9, 1]));
        }),
        ("S18", "no authority key id", |p| {
            p.use_authority_key_identifier_extension = false;
        }),
        ("S18", "another serial", |p| {
            p.serial_number = Some(SerialNumber::from_slice(&[0x41; 16]));
        }),
        ("S18", "serial of the library", |p| p.serial_number = None),
        ("S18", "starts earlier", |p| {
            p.not_before -= time::Duration::SECOND;
        }),
        ("S18", "ends later", |p| {
            p.not_after += time::Duration::SECOND;
        }),
        ("x509", "an unknown extension", |p| {
            let content = vec![0x05, 0x00];
            p.custom_extensions.push(CustomExtension::from_oid_content(
                &[1, 3, 6, 1, 99],
                content,
            ));
        }),
        ("x509", "name constraints", |p| {
            let permitted_subtrees = vec![rcgen::GeneralSubtree::DnsName("example".to_owned())];
            p.name_constraints = Some(NameConstraints {
                permitted_subtrees,
                excluded_subtrees: Vec::new(),
            });
        }),
        ("x509", "an extension twice", |p| {
            let content = vec![0x03, 0x02, 0x07, 0x80];
            p.custom_extensions
                .push(CustomExtension::from_oid_content(&[2, 5, 29, 15], content));
        }),
    ];
    let bench = Bench::new();
    for (rule, what, spoil) in spoils {
        let mut params = bench.params();
        spoil(&mut params);
        assert_ne!(
            params,
            bench.params(),
            "{what}: the spoiling does something"
        );
        let fault = bench.check(&bench.sign(&params)).expect_err(what);
        assert_eq!(fault.rule, *rule, "{what}: {fault}");
    }
}

#[test]
fn spiffe_s12_a_leaf_without_a_path_is_refused() {
    let bench = Bench::new();
    let name = mesh(1).trust_domain.id();
    let params = template::leaf(&name, bench.serial, bench.validity).expect("template");
    let fault = bench.check_as(
        &bench.sign(&params),
        &name,
        bench.serial.as_bytes(),
        bench.validity,
    );
    assert_eq!(fault.expect_err("no path").rule, "S12");
}

#[test]
fn spiffe_s18_a_leaf_reaches_neither_before_nor_beyond_its_issuer() {
    let bench = Bench::new();
    let outer = bench.issuing.validity;
    let second = TimeDelta::seconds(1);
    for validity in [
        Validity {
            not_before: outer.not_before - second,
            ..bench.validity
        },
        Validity {
            not_after: outer.not_after + second,
            ..bench.validity
        },
    ] {
        let params = template::leaf(&bench.name, bench.serial, validity).expect("template");
        let der = bench.sign(&params);
        let fault = bench.check_as(&der, &bench.name, bench.serial.as_bytes(), validity);
        assert_eq!(fault.expect_err("outside").rule, "S18");
    }
    let whole = Validity {
        not_after: outer.not_after,
        ..bench.validity
    };
    let params = template::leaf(&bench.name, bench.serial, whole).expect("template");
    let der = bench.sign(&params);
    assert_eq!(
        bench.check_as(&der, &bench.name, bench.serial.as_bytes(), whole),
        Ok(())
    );
}

#[test]
fn spiffe_s18_short_and_long_serials_are_refused_even_when_expected() {
    let bench = Bench::new();
    for bytes in [vec![0x41; 7], vec![0x41; 21]] {
        let mut params = bench.params();
        params.serial_number = Some(SerialNumber::from_slice(&bytes));
        let fault = bench.check_as(&bench.sign(&params), &bench.name, &bytes, bench.validity);
        assert_eq!(fault.expect_err("length").rule, "S18");
    }
}

#[test]
fn spiffe_s16_a_signature_of_another_key_under_the_same_name_is_refused() {
    let bench = Bench::new();
    let stranger = P256Key::generate().expect("key");
    let der = sign(&bench.params(), &bench.key, &bench.issuing, &stranger);
    let public_key = &bench.key.subject_public_key_info();
    let expected = Expected {
        name: &bench.name,
        serial: bench.serial.as_bytes(),
        validity: bench.validity,
        public_key,
        issuer: &bench.issuing,
    };
    assert_eq!(leaf(&der, &expected).expect_err("forged").rule, "S16");

    // And one of the root's: right trust domain, wrong issuer.
    let der = sign(&bench.params(), &bench.key, &bench.root, &bench.root_key);
    assert_eq!(bench.check(&der).expect_err("by the root").rule, "S16");
}

#[test]
fn sec_c03_another_public_key_is_refused() {
    let bench = Bench::new();
    let stranger = P256Key::generate().expect("key");
    let der = sign(
        &bench.params(),
        &stranger,
        &bench.issuing,
        &bench.issuing_key,
    );
    assert_eq!(bench.check(&der).expect_err("other key").rule, "C03");
}

#[test]
fn torsos_and_trailing_bytes_are_refused_without_a_panic() {
    let bench = Bench::new();
    let der = bench.sign(&bench.params());
    for end in 0..der.len() {
        assert_eq!(bench.check(&der[..end]).expect_err("torso").rule, "x509");
    }
    let longer = [der.as_slice(), &[0]].concat();
    assert_eq!(bench.check(&longer).expect_err("trailing").rule, "x509");
}

#[test]
fn spiffe_s55_a_flipped_bit_anywhere_is_refused() {
    let bench = Bench::new();
    let der = bench.sign(&bench.params());
    let public_key = &bench.key.subject_public_key_info();
    let expected = Expected {
        name: &bench.name,
        serial: bench.serial.as_bytes(),
        validity: bench.validity,
        public_key,
        issuer: &bench.issuing,
    };
    for at in 0..der.len() {
        let mut altered = der.clone();
        altered[at] ^= 0x01;
        assert!(leaf(&altered, &expected).is_err(), "byte {at}");
    }
}
