//! What certificates look like: root, issuing intermediate, leaf. Values only; nothing is signed here.
//!
//! rcgen's defaults are not ours (validity 1975 to 4096, a subject of its own, no key identifiers), so
//! every template starts from [`blank`], which sets each of them.

use chrono::{DateTime, Utc};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ambient::Random;
use crate::authority::AuthorityKind;
use crate::error::Error;
use crate::profile::Validity;
use crate::spiffe::SpiffeId;

/// A serial number: 16 bytes, positive, of constant length, 126 of its bits random (S18 asks for 64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Serial([u8; 16]);

impl Serial {
    /// A new serial.
    pub(crate) fn draw(random: &dyn Random) -> Result<Self, Error> {
        let mut bytes = [0_u8; 16];
        random.fill(&mut bytes)?;
        bytes[0] = (bytes[0] & 0x3f) | 0x40; // top bit 0: positive; next bit 1: never shorter
        Ok(Self(bytes))
    }

    /// 32 lower-case hex digits: the form in the journal and the version of the secret.
    pub(crate) fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// The bytes as they stand in the certificate.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A signing certificate: only the trust domain as its name (S12), no key usage but signing (S13).
pub(crate) fn authority(
    kind: AuthorityKind,
    id: Uuid,
    name: &SpiffeId,
    serial: Serial,
    validity: Validity,
) -> Result<CertificateParams, Error> {
    let mut params = blank(name, serial, validity)?;
    let (role, below) = match kind {
        AuthorityKind::Root => ("root", 1),
        AuthorityKind::Issuing => ("issuing", 0), // S17: signs leaves and nothing else
    };
    // The id makes every issuer name unique, so a path can be built in one way only; the mesh's name
    // would not fit: a common name holds 64 characters.
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Heddle");
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Heddle {role} {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = kind == AuthorityKind::Issuing;
    Ok(params)
}

/// A leaf: exactly one name, no subject (which makes the name critical, S15), usable for both ends of TLS.
pub(crate) fn leaf(
    name: &SpiffeId,
    serial: Serial,
    validity: Validity,
) -> Result<CertificateParams, Error> {
    let mut params = blank(name, serial, validity)?;
    params.is_ca = IsCa::ExplicitNoCa; // unlike `NoCa`, writes cA=false and the subject key id
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn blank(name: &SpiffeId, serial: Serial, validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.not_before = instant(validity.not_before)?;
    params.not_after = instant(validity.not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params.distinguished_name = DistinguishedName::new();
    let name = Ia5String::try_from(name.as_str()).map_err(Error::Encode)?;
    params.subject_alt_names = vec![SanType::URI(name)];
    Ok(params)
}

/// chrono is our time; rcgen speaks another.
fn instant(at: DateTime<Utc>) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(at.timestamp()).map_err(|_| Error::Time)
}
