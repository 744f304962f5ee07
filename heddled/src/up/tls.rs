//! The certificate authority and the certificate of the embedded xDS server.
//!
//! It has nothing to do with the meshes' own authorities: it only lets a proxy know that it talks to the
//! Heddle whose bootstrap it was given. The bootstrap carries the root, so the root must stay; the server's
//! certificate is remade when its time or its names run out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::GeneralName;

use super::files::{private_dir, read_if_there, write_private};

const ROOT_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 825;
const REMAKE_BEFORE_DAYS: i64 = 30;
/// Certificates begin this long ago, for clocks that are behind.
const SKEW_MINUTES: i64 = 5;

/// The files, all in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Makes whatever is missing, too old or for other names than `localhost`, `127.0.0.1` and `host`.
///
/// # Errors
/// The files cannot be read or written, or what they hold is damaged.
pub(crate) fn ensure(directory: &Path, host: &str, now: DateTime<Utc>) -> anyhow::Result<Files> {
    private_dir(directory)?;
    let now = OffsetDateTime::from_unix_timestamp(now.timestamp()).context("read the clock")?;
    let (ca, ca_key) = (directory.join("ca.pem"), directory.join("ca.key"));
    let files = Files {
        ca: ca.clone(),
        certificate: directory.join("xds.pem"),
        key: directory.join("xds.key"),
    };
    let there = (read_if_there(&ca)?, read_if_there(&ca_key)?);
    let root_stays = matches!(there, (Some(_), Some(_)));
    let (root_pem, root_key_pem) = match there {
        (Some(root), Some(key)) => (root, key),
        _ => {
            let (root, key) = make_root(now)?;
            // The key first: a root without its key would be taken for whole.
            write_private(&ca_key, &key)?;
            write_private(&ca, &root)?;
            (root, key)
        }
    };
    let names = names(host);
    let current = match (
        read_if_there(&files.certificate)?,
        read_if_there(&files.key)?,
    ) {
        (Some(chain), Some(_)) => root_stays && usable(&chain, &names, now),
        _ => false,
    };
    if !current {
        let key = KeyPair::from_pem(&root_key_pem).context("read the key of the xDS authority")?;
        let issuer = Issuer::from_ca_cert_pem(&root_pem, key).context("read the xDS authority")?;
        let (chain, key) = make_server(&issuer, &names, now)?;
        write_private(&files.key, key)?;
        write_private(&files.certificate, chain)?;
    }
    Ok(files)
}

fn names(host: &str) -> Vec<String> {
    let mut names = vec![
        "127.0.0.1".to_owned(),
        host.to_ascii_lowercase(),
        "localhost".to_owned(),
    ];
    names.sort();
    names.dedup();
    names
}

fn make_root(now: OffsetDateTime) -> anyhow::Result<(String, String)> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Heddle xDS authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - time::Duration::minutes(SKEW_MINUTES);
    params.not_after = now + time::Duration::days(ROOT_DAYS);
    params.serial_number = Some(serial()?);
    let key = KeyPair::generate().context("make the key of the xDS authority")?;
    let certificate = params.self_signed(&key).context("make the xDS authority")?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn make_server(
    issuer: &Issuer<'_, KeyPair>,
    names: &[String],
    now: OffsetDateTime,
) -> anyhow::Result<(String, String)> {
    let mut params = CertificateParams::new(names.to_vec()).context("name the xDS server")?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Heddle xDS server");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - time::Duration::minutes(SKEW_MINUTES);
    params.not_after = now + time::Duration::days(SERVER_DAYS);
    params.serial_number = Some(serial()?);
    let key = KeyPair::generate().context("make the key of the xDS server")?;
    let certificate = params
        .signed_by(&key, issuer)
        .context("certify the xDS server")?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// 127 random bits, above zero.
fn serial() -> anyhow::Result<SerialNumber> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("draw a serial number"))?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Whether a certificate has exactly these names and time left. What cannot be read is not usable.
fn usable(chain: &str, names: &[String], now: OffsetDateTime) -> bool {
    let Ok((_, pem)) = parse_x509_pem(chain.as_bytes()) else {
        return false;
    };
    let Ok(certificate) = pem.parse_x509() else {
        return false;
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return false;
    };
    let mut have: Vec<String> = extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes)
                    .ok()
                    .map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
                16 => <[u8; 16]>::try_from(*bytes)
                    .ok()
                    .map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    have.sort();
    let ends = certificate.validity().not_after.timestamp();
    have == names && ends > (now + time::Duration::days(REMAKE_BEFORE_DAYS)).unix_timestamp()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use chrono::TimeDelta;

    use super::*;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn the_certificate_stays_until_its_time_or_its_names_run_out_and_the_root_stays() {
        let dir = tempfile::tempdir().unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let files = ensure(dir.path(), "127.0.0.1", start()).unwrap();
        let (root, first) = (read(&files.ca), read(&files.certificate));
        ensure(dir.path(), "127.0.0.1", start() + TimeDelta::days(794)).unwrap();
        assert_eq!(read(&files.certificate), first, "31 days are left");
        ensure(dir.path(), "127.0.0.1", start() + TimeDelta::days(796)).unwrap();
        let second = read(&files.certificate);
        assert_ne!(second, first, "29 days are left");
        ensure(
            dir.path(),
            "xds.example.com",
            start() + TimeDelta::days(796),
        )
        .unwrap();
        assert_ne!(read(&files.certificate), second, "another name");
        assert_eq!(read(&files.ca), root);
        for key in ["ca.key", "xds.key"] {
            let mode = std::fs::metadata(dir.path().join(key))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn the_certificate_is_signed_by_the_root_for_the_names() {
        let dir = tempfile::tempdir().unwrap();
        let files = ensure(dir.path(), "XDS.example.com", start()).unwrap();
        let root = std::fs::read(&files.ca).unwrap();
        let leaf = std::fs::read_to_string(&files.certificate).unwrap();
        let (_, root) = parse_x509_pem(&root).unwrap();
        let (_, pem) = parse_x509_pem(leaf.as_bytes()).unwrap();
        let root = root.parse_x509().unwrap();
        pem.parse_x509()
            .unwrap()
            .verify_signature(Some(root.public_key()))
            .unwrap();
        let now = OffsetDateTime::from_unix_timestamp(start().timestamp()).unwrap();
        let wanted = ["127.0.0.1", "localhost", "xds.example.com"].map(str::to_owned);
        assert!(usable(&leaf, &wanted, now));
        assert!(!usable("nonsense", &wanted, now));
    }

    #[test]
    fn half_a_root_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let files = ensure(dir.path(), "127.0.0.1", start()).unwrap();
        std::fs::remove_file(dir.path().join("ca.key")).unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let before = (read(&files.ca), read(&files.certificate));
        ensure(dir.path(), "127.0.0.1", start()).unwrap();
        assert_ne!(read(&files.ca), before.0);
        assert_ne!(
            read(&files.certificate),
            before.1,
            "it would not verify any more"
        );
    }
}
