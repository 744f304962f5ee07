//! Signing certificates with one thing wrong each.

use rcgen::DistinguishedName;

use super::*;
use crate::check::signing;
use crate::testing::id;

#[test]
fn spiffe_s13_s17_signing_certificates_sign_and_do_nothing_else() {
    type Spoil = fn(&mut CertificateParams);
    let spoils: &[(&str, &str, Spoil)] = &[
        ("S13", "not a signing certificate", |p| {
            p.is_ca = IsCa::ExplicitNoCa;
        }),
        ("S17", "unlimited path", |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
        ("S17", "one more level", |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        }),
        ("S13", "usable in TLS", |p| {
            p.key_usages.push(Usage::DigitalSignature);
        }),
        ("S13", "no key usage", |p| p.key_usages.clear()),
        ("S13", "a purpose", |p| {
            p.extended_key_usages.push(Purpose::ServerAuth);
        }),
        ("S12", "a path", |p| {
            p.subject_alt_names = vec![uri("spiffe://shop-00000001.heddle.internal/service/a")];
        }),
        ("S16", "another trust domain", |p| {
            p.subject_alt_names = vec![uri("spiffe://other")];
        }),
        ("S10", "two names", |p| {
            p.subject_alt_names.push(uri("spiffe://other"));
        }),
        ("S10", "no name", |p| p.subject_alt_names.clear()),
        ("S18", "no authority key id", |p| {
            p.use_authority_key_identifier_extension = false;
        }),
        ("S18", "outlives the root", |p| {
            p.not_after += time::Duration::days(4000);
        }),
    ];
    let bench = Bench::new();
    let template = || {
        let name = mesh(1).trust_domain.id();
        template::authority(
            AuthorityKind::Issuing,
            id(5),
            &name,
            bench.serial,
            bench.validity,
        )
        .expect("template")
    };
    let checked = |params: &CertificateParams| {
        let der = sign(params, &bench.key, &bench.root, &bench.root_key);
        signing(&der, AuthorityKind::Issuing, Some(&bench.root))
    };
    let good = checked(&template()).expect("the template passes");
    assert_eq!(good.name, Some(mesh(1).trust_domain.id()));
    for (rule, what, spoil) in spoils {
        let mut params = template();
        spoil(&mut params);
        let fault = checked(&params).expect_err(what);
        assert_eq!(fault.rule, *rule, "{what}: {fault}");
    }
    let mut anonymous = template();
    anonymous.distinguished_name = DistinguishedName::new();
    assert!(
        checked(&anonymous).is_err(),
        "a signing certificate needs a subject"
    );

    let leaf = bench.sign(&bench.params());
    assert!(signing(&leaf, AuthorityKind::Issuing, Some(&bench.root)).is_err());
    let issuing = &bench.issuing.der;
    assert!(
        signing(issuing, AuthorityKind::Root, None).is_err(),
        "not its own parent"
    );
}
