//! Signing certificates that somebody else has made: the root of a customer, what it signed, and our issuing authority at the end
//! of that. They do not follow our template, so less is asked of them: what X.509 and SPIFFE ask of any.

use x509_parser::certificate::{TbsCertificate, X509Certificate};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
};
use x509_parser::public_key::PublicKey;

use super::{
    Fault, SigningCert, at, authority_key_id, fault, inside, need, only_uri, parse, signing,
    subject_key_id, validity,
};
use crate::authority::AuthorityKind;
use crate::profile::Validity;
use crate::spiffe::SpiffeId;

/// The most certificates between an issuing authority and its root: handshakes carry them.
const BETWEEN: usize = 3;
/// The least bits of an RSA key, and the most that proxies take.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A root: one of ours, which names its trust domain, or one that somebody else has made.
pub(crate) fn root(der: &[u8]) -> Result<SigningCert, Fault> {
    let certificate = parse(der)?;
    legible(&certificate.tbs_certificate)?;
    if names_an_identity(&certificate.tbs_certificate) {
        return signing(der, AuthorityKind::Root, None);
    }
    let tbs = &certificate.tbs_certificate;
    authority(tbs, 1)?;
    need(
        tbs.issuer.as_raw() == tbs.subject.as_raw(),
        "x509",
        "the last certificate is no root: somebody else has signed it",
    )?;
    signed(&certificate, &certificate)?;
    made(&certificate, None, validity(tbs)?)
}

/// An issuing authority of ours under such a root: `chain` is its certificate and what is between.
pub(crate) fn under(chain: &[Vec<u8>], root: &SigningCert) -> Result<SigningCert, Fault> {
    let (own, between) = chain.split_first().ok_or(at("x509", "no certificate"))?;
    need(
        between.len() <= BETWEEN,
        "x509",
        "more than three certificates between it and its root",
    )?;
    let mut parent = parse(&root.der)?;
    let mut valid = root.validity;
    let mut below = u32::try_from(between.len()).unwrap_or(u32::MAX);
    authority(&parent.tbs_certificate, below.saturating_add(1))?;
    for der in between.iter().rev() {
        let certificate = parse(der)?;
        authority(&certificate.tbs_certificate, below)?;
        signed(&certificate, &parent)?;
        valid = both(valid, validity(&certificate.tbs_certificate)?)?;
        parent = certificate;
        below -= 1;
    }
    let certificate = parse(own)?;
    let tbs = &certificate.tbs_certificate;
    authority(tbs, 0)?;
    signed(&certificate, &parent)?;
    let constraints = tbs.basic_constraints().ok().flatten();
    need(
        constraints.is_some_and(|c| c.value.path_len_constraint == Some(0)),
        "S17",
        "the path length of the issuing certificate is not 0",
    )?;
    let name = SpiffeId::parse(only_uri(tbs)?);
    let name =
        name.map_err(|_| at("S10", "the name of the issuing certificate is no SPIFFE id"))?;
    need(
        name.path().is_empty(),
        "S12",
        "the issuing certificate names a path",
    )?;
    made(&certificate, Some(name), both(valid, validity(tbs)?)?)
}

fn made(
    certificate: &X509Certificate<'_>,
    name: Option<SpiffeId>,
    validity: Validity,
) -> Result<SigningCert, Fault> {
    let tbs = &certificate.tbs_certificate;
    Ok(SigningCert {
        der: certificate.as_raw().to_vec(),
        subject: tbs.subject.as_raw().to_vec(),
        key_id: subject_key_id(tbs)?.to_vec(),
        public_key: tbs.subject_pki.raw.to_vec(),
        name,
        serial: tbs.raw_serial().to_vec(),
        validity,
    })
}

fn names_an_identity(tbs: &TbsCertificate<'_>) -> bool {
    let names = tbs.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.clone());
    let spiffe = |name: &GeneralName<'_>| matches!(name, GeneralName::URI(uri) if uri.to_ascii_lowercase().starts_with("spiffe:"));
    names.unwrap_or_default().iter().any(spiffe)
}

/// That each extension is there once and can be read: what cannot is not as good as absent.
fn legible(tbs: &TbsCertificate<'_>) -> Result<(), Fault> {
    let mut seen = Vec::new();
    for extension in tbs.extensions() {
        need(
            !seen.contains(&&extension.oid),
            "x509",
            "an extension appears twice in a certificate",
        )?;
        seen.push(&extension.oid);
        let torn = matches!(
            extension.parsed_extension(),
            ParsedExtension::ParseError { .. }
        );
        need(
            !torn,
            "x509",
            "an extension of a certificate cannot be read",
        )?;
    }
    Ok(())
}

/// That it may sign, and that whoever verifies it will understand why.
fn authority(tbs: &TbsCertificate<'_>, below: u32) -> Result<(), Fault> {
    legible(tbs)?;
    need(
        tbs.subject.iter_rdn().next().is_some(),
        "x509",
        "a certificate of an authority has no subject",
    )?;
    let constraints = tbs.basic_constraints().ok().flatten();
    let constraints = constraints.ok_or(at("S13", "a certificate has no basic constraints"))?;
    need(
        constraints.value.ca,
        "S13",
        "a certificate is of no authority",
    )?;
    let length = constraints.value.path_len_constraint;
    need(
        length.is_none_or(|most| most >= below),
        "S17",
        "the path length of a certificate is too short for what is below it",
    )?;
    let usage = tbs.key_usage().ok().flatten();
    need(
        usage.is_none_or(|usage| usage.value.key_cert_sign()),
        "S13",
        "a certificate may not sign others",
    )?;
    let purposes = tbs.extended_key_usage().ok().flatten();
    let any_end =
        purposes.is_none_or(|purposes| purposes.value.server_auth && purposes.value.client_auth);
    need(any_end, "S14", "a certificate is not for both ends of TLS")?;
    for extension in tbs.extensions() {
        // Not every verifier can compare URIs with these, and then it refuses.
        let constrained = matches!(
            extension.parsed_extension(),
            ParsedExtension::NameConstraints(_)
        );
        need(!constrained, "S17", "a certificate constrains names")?;
        let known = matches!(
            extension.parsed_extension(),
            ParsedExtension::AuthorityKeyIdentifier(_)
                | ParsedExtension::SubjectKeyIdentifier(_)
                | ParsedExtension::SubjectAlternativeName(_)
                | ParsedExtension::KeyUsage(_)
                | ParsedExtension::ExtendedKeyUsage(_)
                | ParsedExtension::BasicConstraints(_)
        );
        need(
            known || !extension.critical,
            "x509",
            "a certificate has a critical extension that proxies may not understand",
        )?;
    }
    match tbs.subject_pki.parsed() {
        Ok(PublicKey::RSA(key)) if RSA_BITS.contains(&key.key_size()) => Ok(()),
        // A byte that says "uncompressed", and both coordinates.
        Ok(PublicKey::EC(point)) if matches!(point.data(), [4, both @ ..] if [64, 96].contains(&both.len())) => {
            Ok(())
        }
        _ => fault(
            "S18",
            "a key is neither RSA of 2048 to 4096 bits nor ECDSA on P-256 or P-384",
        ),
    }
}

/// That one has signed the other, in a way that proxies take.
fn signed(certificate: &X509Certificate<'_>, by: &X509Certificate<'_>) -> Result<(), Fault> {
    let tbs = &certificate.tbs_certificate;
    need(
        tbs.issuer.as_raw() == by.tbs_certificate.subject.as_raw(),
        "S16",
        "a certificate does not name the next one as its issuer: each must be followed by the one that signed it",
    )?;
    if let Ok(named) = authority_key_id(tbs) {
        let own = subject_key_id(&by.tbs_certificate)?;
        need(
            named == own,
            "S18",
            "a certificate names another key than the next one has",
        )?;
    }
    let algorithms = [
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA,
    ];
    need(
        algorithms.contains(&certificate.signature_algorithm.algorithm)
            && certificate.signature_algorithm.algorithm == tbs.signature.algorithm,
        "S18",
        "a signature is neither ECDSA with SHA-256 or SHA-384 nor RSA (PKCS#1) with SHA-256 to SHA-512",
    )?;
    let verified = certificate.verify_signature(Some(by.public_key()));
    verified.map_err(|_| at("S16", "a signature is not that of the next certificate"))
}

/// When both are valid.
fn both(one: Validity, other: Validity) -> Result<Validity, Fault> {
    let both = Validity {
        not_before: one.not_before.max(other.not_before),
        not_after: one.not_after.min(other.not_after),
    };
    need(
        both.not_before < both.not_after,
        "S18",
        "the certificates are never valid at the same time",
    )?;
    inside(both, one)?;
    Ok(both)
}
