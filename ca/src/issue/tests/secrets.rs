//! Keys are where they belong and nowhere else.

use super::*;

#[tokio::test]
async fn sec_c15_nothing_secret_is_printed() {
    let sealing = MemoryKey::new(0xa5);
    let bench = Bench::sealed_with(1, &sealing);
    let root = check::signing(
        &ders(&bench.hierarchy.root.certificate_pem)[0],
        AuthorityKind::Root,
        None,
    );
    let root_key = bench
        .hierarchy
        .root
        .open_key(&root.expect("root"), &sealing)
        .expect("key");
    let prepared = bench
        .prepare(&subject(1, "payments", 1), start())
        .expect("prepare");
    let leaf_key = P256Key::from_pkcs8(prepared.key.0.to_pkcs8().expect("pkcs8").as_ref());
    let mut secrets = Vec::new();
    for key in [&bench.issuer.key, &root_key, &leaf_key.expect("key")] {
        let pkcs8 = key.to_pkcs8().expect("pkcs8");
        secrets.push(pkcs8.as_ref().to_vec());
    }

    let mut printed = format!("{:?} {:#?} {:?}", bench.issuer, bench.hierarchy, prepared);
    printed += &format!("{:?}", bench.issuer.key);
    let recorded = prepared.record(&bench.journal).await.expect("record");
    printed += &format!("{recorded:?}");
    let leaf = bench.issuer.issue(recorded).expect("issue");
    printed += &format!("{leaf:?} {:?} {:?}", leaf.key_pem, bench.journal.entries());
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("sealing.key");
    printed += &format!(
        "{:?}",
        crate::LocalKey::load_or_create(&path).expect("file key")
    );
    secrets.push(hex::decode(std::fs::read(&path).expect("read").trim_ascii()).expect("hex"));
    let mut errors = vec![
        bench
            .prepare(&subject(2, "payments", 1), start())
            .expect_err("foreign"),
        Issuer::open(
            &bench.hierarchy.issuing,
            &bench.hierarchy.root.certificate_pem,
            &MemoryKey::new(2),
        )
        .expect_err("wrong key"),
    ];
    errors.push(P256Key::from_pkcs8(&secrets[0][1..]).expect_err("spoiled key"));
    for error in errors {
        printed += &format!("{error} {error:?}");
    }

    assert!(
        leaf.key_pem
            .expose()
            .starts_with("-----BEGIN PRIVATE KEY-----\n")
    );
    assert!(!printed.contains("PRIVATE KEY"));
    assert!(secrets.len() == 4 && secrets[2].len() > 100 && secrets[3].len() == 32);
    for trace in secrets.iter().flat_map(|secret| traces(secret)) {
        assert!(!printed.contains(&trace), "{trace}");
    }
    // The search finds a key where there is one.
    let shown = [
        leaf.key_pem.expose().to_owned(),
        format!("{:?}", secrets[2]),
    ];
    for text in shown {
        assert!(traces(&secrets[2]).iter().any(|trace| text.contains(trace)));
    }
}

/// How the secret part of a PKCS#8 document, or all of a sealing key, would look in a text.
fn traces(secret: &[u8]) -> Vec<String> {
    let core = if secret.len() == 32 {
        secret
    } else {
        assert_eq!(
            secret[34..36],
            [0x04, 0x20],
            "an octet string of 32 bytes follows"
        );
        &secret[36..68]
    };
    let mut found = Vec::new();
    for part in core.windows(8) {
        let list = format!("{part:?}");
        found.extend([hex::encode(part), hex::encode_upper(part)]);
        found.push(list.trim_matches(['[', ']']).to_owned());
    }
    // Twelve bytes are 16 characters; bytes 36 to 60 of a document are secret and nothing else.
    for part in core.chunks_exact(12) {
        let standard = base64::engine::general_purpose::STANDARD;
        found.push(base64::Engine::encode(&standard, part));
    }
    found
}

#[test]
fn the_pem_of_a_key_is_the_key() {
    let key = P256Key::generate().expect("key");
    let pem = key.to_pem().expect("pem");
    let read = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes());
    let read = read.expect("pem");
    assert_eq!(
        read.secret_pkcs8_der(),
        key.to_pkcs8().expect("pkcs8").as_ref()
    );
    let again = P256Key::from_pkcs8(read.secret_pkcs8_der()).expect("key");
    assert_eq!(again.der_bytes(), key.der_bytes());
    assert!(pem.expose().lines().all(|line| line.len() <= 64));
}
