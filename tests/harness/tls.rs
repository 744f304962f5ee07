//! Certificates of servers, each by an authority of its own.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

/// Writes a file that only this user can read.
pub(crate) fn write_private(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("a file can be written");
    file.write_all(text.as_bytes())
        .expect("a file can be written");
}

/// Writes `<name>-ca.pem`, and a certificate for 127.0.0.1 by it: `<name>.pem` and `<name>.key`.
pub(crate) fn write_tls(directory: &Path, name: &str, days: i64) {
    let now = time::OffsetDateTime::now_utc();
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(1);
    let ca = params.self_signed(&key).expect("a CA certificate");
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().expect("a key");
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())];
    leaf.not_before = now - time::Duration::hours(1);
    leaf.not_after = now + time::Duration::days(days);
    let leaf = leaf.signed_by(&leaf_key, &issuer).expect("a certificate");
    let file = |end: &str| directory.join(format!("{name}{end}"));
    std::fs::write(file("-ca.pem"), ca.pem()).expect("a file can be written");
    std::fs::write(file(".pem"), leaf.pem()).expect("a file can be written");
    write_private(&file(".key"), &leaf_key.serialize_pem());
}
