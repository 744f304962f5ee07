//! Reads certificates back with another library than the one that wrote them, and compares.
//!
//! A leaf is checked twice: the bytes about to be signed, before the journal sees them, and the finished
//! certificate, before anyone else sees it (S55).

use chrono::{DateTime, Utc};
use x509_parser::certificate::{TbsCertificate, X509Certificate};
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::{OID_SIG_ECDSA_WITH_SHA256, Oid};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Version};

use crate::authority::AuthorityKind;
use crate::profile::Validity;
use crate::spiffe::{SpiffeId, TrustDomain};

mod outside;

pub(crate) use outside::{root, under};

/// The encoded algorithm between what is signed and the signature.
pub(crate) const ECDSA_WITH_SHA256: [u8; 12] = [
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];

/// The rule that a certificate breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
pub struct Fault {
    /// Number of the rule, or `x509` for the format itself.
    pub rule: &'static str,
    /// What is wrong, without any value.
    pub what: &'static str,
}

/// What a signing certificate says about itself, as far as leaves are compared with it.
#[derive(Clone, Debug)]
pub(crate) struct SigningCert {
    pub(crate) der: Vec<u8>,
    /// The encoded subject, which is the encoded issuer of what it signs.
    pub(crate) subject: Vec<u8>,
    pub(crate) key_id: Vec<u8>,
    pub(crate) public_key: Vec<u8>,
    /// Its trust domain as an id; `None` for the root of somebody else.
    pub(crate) name: Option<SpiffeId>,
    pub(crate) serial: Vec<u8>,
    pub(crate) validity: Validity,
}

impl SigningCert {
    /// The trust domain that it is for.
    pub(crate) fn trust_domain(&self) -> Result<TrustDomain, Fault> {
        let name = self
            .name
            .as_ref()
            .ok_or(at("S16", "it names no trust domain"))?;
        Ok(name.trust_domain())
    }
}

/// What a leaf must say.
pub(crate) struct Expected<'a> {
    pub(crate) name: &'a SpiffeId,
    pub(crate) serial: &'a [u8],
    pub(crate) validity: Validity,
    pub(crate) public_key: &'a [u8],
    pub(crate) issuer: &'a SigningCert,
}

/// Checks a finished leaf: everything it says, and the signature.
pub(crate) fn leaf(der: &[u8], expected: &Expected<'_>) -> Result<(), Fault> {
    let certificate = parse(der)?;
    leaf_content(&certificate.tbs_certificate, expected)?;
    signed_by(&certificate, &expected.issuer.public_key)
}

/// Checks the bytes that would be signed for a leaf.
pub(crate) fn leaf_tbs(tbs: &[u8], expected: &Expected<'_>) -> Result<(), Fault> {
    match TbsCertificate::from_der(tbs) {
        Ok(([], tbs)) => leaf_content(&tbs, expected),
        _ => fault("x509", "what would be signed does not parse"),
    }
}

/// Reads and checks a signing certificate against the one that signed it (`None`: itself).
pub(crate) fn signing(
    der: &[u8],
    kind: AuthorityKind,
    parent: Option<&SigningCert>,
) -> Result<SigningCert, Fault> {
    let certificate = parse(der)?;
    let tbs = &certificate.tbs_certificate;
    let path_len = match kind {
        AuthorityKind::Root => 1,
        AuthorityKind::Issuing => 0,
    };
    common(tbs)?;
    known_extensions(tbs, parent.is_some())?;
    need(
        tbs.subject.iter_rdn().next().is_some(),
        "x509",
        "a signing certificate needs a subject",
    )?;
    let constraints = tbs.basic_constraints().ok().flatten();
    let constraints = constraints.ok_or(at("S13", "no basic constraints"))?;
    need(
        constraints.critical && constraints.value.ca,
        "S13",
        "cA is not true and critical",
    )?;
    need(
        constraints.value.path_len_constraint == Some(path_len),
        "S17",
        "wrong path length",
    )?;
    let usage = tbs
        .key_usage()
        .ok()
        .flatten()
        .ok_or(at("S13", "no key usage"))?;
    let only_signing = usage.value.key_cert_sign() && usage.value.flags & !0b110_0000 == 0;
    need(
        usage.critical && only_signing,
        "S13",
        "key usage is not critical and only for signing",
    )?;
    need(
        tbs.extended_key_usage().ok().flatten().is_none(),
        "S13",
        "has an extended key usage",
    )?;
    let name =
        SpiffeId::parse(only_uri(tbs)?).map_err(|_| at("S10", "the name is not a SPIFFE id"))?;
    need(
        name.path().is_empty(),
        "S12",
        "a signing certificate names a path",
    )?;
    let key_id = subject_key_id(tbs)?.to_vec();
    let validity = validity(tbs)?;
    if let Some(parent) = parent {
        need(
            parent.name.as_ref() == Some(&name),
            "S16",
            "the signing certificates are of different trust domains",
        )?;
        need(
            tbs.issuer.as_raw() == parent.subject,
            "S16",
            "the issuer's name differs",
        )?;
        need(
            authority_key_id(tbs)? == parent.key_id,
            "S18",
            "the authority key id differs",
        )?;
        inside(validity, parent.validity)?;
    }
    signed_by(
        &certificate,
        parent.map_or(tbs.subject_pki.raw, |p| &p.public_key),
    )?;
    Ok(SigningCert {
        der: der.to_vec(),
        subject: tbs.subject.as_raw().to_vec(),
        key_id,
        public_key: tbs.subject_pki.raw.to_vec(),
        name: Some(name),
        serial: tbs.raw_serial().to_vec(),
        validity,
    })
}

fn leaf_content(tbs: &TbsCertificate<'_>, expected: &Expected<'_>) -> Result<(), Fault> {
    common(tbs)?;
    known_extensions(tbs, true)?;
    need(
        tbs.raw_serial() == expected.serial,
        "S18",
        "the serial differs",
    )?;
    need(
        tbs.issuer.as_raw() == expected.issuer.subject,
        "S16",
        "the issuer's name differs",
    )?;
    need(
        tbs.subject.iter_rdn().next().is_none(),
        "S15",
        "the subject is not empty",
    )?;
    let names = tbs.subject_alternative_name().ok().flatten();
    need(
        names.is_some_and(|n| n.critical),
        "S15",
        "the name is not critical",
    )?;
    need(
        only_uri(tbs)? == expected.name.as_str(),
        "S10",
        "the name differs",
    )?;
    need(
        !expected.name.path().is_empty(),
        "S12",
        "a leaf names no path",
    )?;
    need(
        tbs.subject_pki.raw == expected.public_key,
        "C03",
        "the public key differs",
    )?;

    let constraints = tbs.basic_constraints().ok().flatten();
    need(
        constraints.is_some_and(|c| c.critical && !c.value.ca),
        "S11",
        "cA is not false",
    )?;
    let usage = tbs.key_usage().ok().flatten();
    let only_signature = usage.is_some_and(|u| u.critical && u.value.flags == 1);
    need(
        only_signature,
        "S11",
        "key usage is not critical and only digitalSignature",
    )?;
    let purposes = tbs
        .extended_key_usage()
        .ok()
        .flatten()
        .ok_or(at("S14", "no purposes"))?
        .value;
    need(
        purposes.server_auth && purposes.client_auth,
        "S14",
        "not for both ends of TLS",
    )?;
    let others = purposes.any
        || purposes.code_signing
        || purposes.email_protection
        || purposes.time_stamping
        || purposes.ocsp_signing
        || !purposes.other.is_empty();
    need(!others, "S14", "for more than TLS")?;

    subject_key_id(tbs)?;
    need(
        authority_key_id(tbs)? == expected.issuer.key_id,
        "S18",
        "the authority key id differs",
    )?;
    let validity = validity(tbs)?;
    need(validity == expected.validity, "S18", "the validity differs")?;
    inside(validity, expected.issuer.validity)
}

/// What every certificate of ours has.
fn common(tbs: &TbsCertificate<'_>) -> Result<(), Fault> {
    need(tbs.version == X509Version::V3, "x509", "not version 3")?;
    need(
        tbs.signature.algorithm == OID_SIG_ECDSA_WITH_SHA256,
        "S18",
        "not ECDSA with SHA-256",
    )?;
    let serial = tbs.raw_serial();
    let positive = serial.first().is_some_and(|first| first & 0x80 == 0);
    need(
        positive && (8..=20).contains(&serial.len()),
        "S18",
        "serial not positive, 8 to 20 bytes",
    )
}

/// Exactly the extensions of the template, each once: whatever is not listed was not meant to be there.
fn known_extensions(tbs: &TbsCertificate<'_>, has_parent: bool) -> Result<(), Fault> {
    let mut seen: Vec<&Oid<'_>> = Vec::new();
    for extension in tbs.extensions() {
        need(
            !seen.contains(&&extension.oid),
            "x509",
            "an extension appears twice",
        )?;
        seen.push(&extension.oid);
        let known = match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(_) => has_parent,
            ParsedExtension::SubjectKeyIdentifier(_)
            | ParsedExtension::SubjectAlternativeName(_)
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::BasicConstraints(_) => true,
            _ => false,
        };
        need(known, "x509", "an extension that was not asked for")?;
    }
    Ok(())
}

/// S10: one name, and it is a URI.
fn only_uri<'a>(tbs: &'a TbsCertificate<'_>) -> Result<&'a str, Fault> {
    let names = tbs
        .subject_alternative_name()
        .ok()
        .flatten()
        .ok_or(at("S10", "no name"))?;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => Ok(uri),
        _ => fault("S10", "not exactly one URI as name"),
    }
}

fn subject_key_id<'a>(tbs: &'a TbsCertificate<'_>) -> Result<&'a [u8], Fault> {
    let id = tbs
        .extensions()
        .iter()
        .map(X509Extension::parsed_extension)
        .find_map(|e| match e {
            ParsedExtension::SubjectKeyIdentifier(id) if !id.0.is_empty() => Some(id.0),
            _ => None,
        });
    id.ok_or(at("S18", "no subject key id"))
}

fn authority_key_id<'a>(tbs: &'a TbsCertificate<'_>) -> Result<&'a [u8], Fault> {
    let id = tbs
        .extensions()
        .iter()
        .map(X509Extension::parsed_extension)
        .find_map(|e| match e {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|k| k.0),
            _ => None,
        });
    id.ok_or(at("S18", "no authority key id"))
}

fn validity(tbs: &TbsCertificate<'_>) -> Result<Validity, Fault> {
    let second = |at: i64| DateTime::<Utc>::from_timestamp(at, 0);
    let (before, after) = (
        tbs.validity.not_before.timestamp(),
        tbs.validity.not_after.timestamp(),
    );
    match (second(before), second(after)) {
        (Some(not_before), Some(not_after)) if not_before < not_after => Ok(Validity {
            not_before,
            not_after,
        }),
        _ => fault("S18", "the validity is empty"),
    }
}

fn inside(inner: Validity, outer: Validity) -> Result<(), Fault> {
    let within = inner.not_before >= outer.not_before && inner.not_after <= outer.not_after;
    need(within, "S18", "the validity is not inside the issuer's")
}

/// The signature, and that what surrounds it has no second spelling: the signature does not cover that part.
fn signed_by(certificate: &X509Certificate<'_>, public_key: &[u8]) -> Result<(), Fault> {
    // The length of every certificate of ours takes two bytes, so its content begins at the fourth.
    let tail = certificate
        .as_raw()
        .get(4 + certificate.tbs_certificate.as_ref().len()..);
    let spelled = tail.is_some_and(|tail| tail.starts_with(&ECDSA_WITH_SHA256));
    need(
        spelled,
        "x509",
        "the signature algorithm is not ECDSA with SHA-256",
    )?;
    let whole = certificate.signature_value.unused_bits == 0;
    need(whole, "x509", "a signature of broken bytes")?;
    let Ok(([], public_key)) = SubjectPublicKeyInfo::from_der(public_key) else {
        return fault("x509", "the issuer's public key does not parse");
    };
    let verified = certificate.verify_signature(Some(&public_key));
    verified.map_err(|_| at("S16", "the signature is not the issuer's"))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Fault> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => fault("x509", "does not parse"),
    }
}

const fn at(rule: &'static str, what: &'static str) -> Fault {
    Fault { rule, what }
}

fn fault<T>(rule: &'static str, what: &'static str) -> Result<T, Fault> {
    Err(at(rule, what))
}

fn need(holds: bool, rule: &'static str, what: &'static str) -> Result<(), Fault> {
    if holds { Ok(()) } else { fault(rule, what) }
}

#[cfg(test)]
mod tests;
