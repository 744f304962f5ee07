//! A second opinion: the `openssl` program reads and verifies what we issue.

use std::path::Path;
use std::process::{Command, Output};

use super::*;

fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    let run = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output();
    run.expect("the openssl program is needed for this test")
}

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let output = openssl(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// A folder with `root.pem`, `issuing.pem`, `leaf.pem` (leaf only), `key.pem`, and the same of a stranger.
async fn folder(bench: &Bench, leaf: &Leaf) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let put =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("write");
    let only = leaf
        .chain_pem
        .strip_suffix(bench.hierarchy.issuing.certificate_pem.as_str());
    put("root.pem", &bench.hierarchy.root.certificate_pem);
    put("issuing.pem", &bench.hierarchy.issuing.certificate_pem);
    put(
        "leaf.pem",
        only.expect("the chain ends in the issuing certificate"),
    );
    put("chain.pem", &leaf.chain_pem);
    put("key.pem", leaf.key_pem.expose());
    let stranger = Bench::new(2);
    put("other-root.pem", &stranger.hierarchy.root.certificate_pem);
    put(
        "other-issuing.pem",
        &stranger.hierarchy.issuing.certificate_pem,
    );
    folder
}

#[tokio::test]
async fn spiffe_s16_openssl_verifies_the_chain_for_both_ends_and_no_other() {
    let bench = Bench::new(1);
    let leaf = bench.leaf(&subject(1, "payments", 1)).await;
    let folder = folder(&bench, &leaf).await;
    let at = (start().timestamp() + 60).to_string();
    let verify = |root: &str, issuing: &str, purpose: &str, at: &str, leaf: &str| {
        let run = openssl(
            folder.path(),
            &[
                "verify",
                "-x509_strict",
                "-no-CApath",
                "-no-CAstore",
                "-attime",
                at,
                "-purpose",
                purpose,
                "-CAfile",
                root,
                "-untrusted",
                issuing,
                leaf,
            ],
        );
        run.status.success()
    };
    assert!(verify(
        "root.pem",
        "issuing.pem",
        "sslserver",
        &at,
        "leaf.pem"
    ));
    assert!(verify(
        "root.pem",
        "issuing.pem",
        "sslclient",
        &at,
        "leaf.pem"
    ));
    assert!(!verify(
        "other-root.pem",
        "issuing.pem",
        "sslserver",
        &at,
        "leaf.pem"
    ));
    assert!(!verify(
        "root.pem",
        "other-issuing.pem",
        "sslserver",
        &at,
        "leaf.pem"
    ));
    assert!(!verify(
        "root.pem",
        "issuing.pem",
        "smimesign",
        &at,
        "leaf.pem"
    ));
    // S13: a signing certificate does not authenticate anyone.
    assert!(!verify(
        "root.pem",
        "issuing.pem",
        "sslserver",
        &at,
        "issuing.pem"
    ));
    assert!(!verify(
        "root.pem",
        "issuing.pem",
        "sslclient",
        &at,
        "issuing.pem"
    ));
    // Five minutes before, and after the end.
    let moments = [(-290, true), (-310, false), (86_390, true), (86_401, false)];
    for (offset, valid) in moments {
        let at = (start().timestamp() + offset).to_string();
        assert_eq!(
            verify("root.pem", "issuing.pem", "sslserver", &at, "leaf.pem"),
            valid,
            "{offset}"
        );
    }
}

#[tokio::test]
async fn spiffe_s15_openssl_reads_what_we_meant() {
    let bench = Bench::new(1);
    let leaf = bench.leaf(&subject(1, "payments", 1)).await;
    let folder = folder(&bench, &leaf).await;
    let text = stdout(
        folder.path(),
        &["x509", "-in", "leaf.pem", "-noout", "-text"],
    );
    let mut lines = text.lines().map(str::trim);
    let mut after = |title: &str| {
        lines
            .find(|line| *line == title)
            .unwrap_or_else(|| panic!("{title:?} is missing in {text}"));
        lines.next().expect("a line below").to_owned()
    };
    assert!(
        after("X509v3 Subject Alternative Name: critical").eq(&format!(
            "URI:spiffe://{}/service/payments",
            mesh(1).trust_domain
        ))
    );
    assert_eq!(after("X509v3 Key Usage: critical"), "Digital Signature");
    assert_eq!(
        after("X509v3 Extended Key Usage:"),
        "TLS Web Server Authentication, TLS Web Client Authentication"
    );
    assert_eq!(after("X509v3 Basic Constraints: critical"), "CA:FALSE");
    assert!(text.contains("X509v3 Authority Key Identifier:"));
    assert!(text.contains("X509v3 Subject Key Identifier:"));
    assert!(text.contains("ecdsa-with-SHA256") && text.contains("NIST CURVE: P-256"));
    assert!(
        text.lines().any(|line| line.trim() == "Subject:"),
        "an empty subject"
    );
    let serial = stdout(
        folder.path(),
        &["x509", "-in", "leaf.pem", "-noout", "-serial"],
    );
    assert_eq!(
        serial.trim().to_lowercase(),
        format!("serial={}", leaf.serial)
    );

    for (file, path_length) in [("root.pem", 1), ("issuing.pem", 0)] {
        let text = stdout(folder.path(), &["x509", "-in", file, "-noout", "-text"]);
        assert!(
            text.contains(&format!("CA:TRUE, pathlen:{path_length}")),
            "{text}"
        );
        assert!(text.contains("Certificate Sign, CRL Sign"), "{text}");
        assert!(!text.contains("Digital Signature") && !text.contains("Extended Key Usage"));
        assert!(
            text.contains(&format!("URI:spiffe://{}\n", mesh(1).trust_domain)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn openssl_agrees_that_the_key_belongs_to_the_leaf() {
    let bench = Bench::new(1);
    let leaf = bench.leaf(&subject(1, "payments", 1)).await;
    let folder = folder(&bench, &leaf).await;
    let of_key = stdout(folder.path(), &["pkey", "-in", "key.pem", "-pubout"]);
    let of_leaf = stdout(
        folder.path(),
        &["x509", "-in", "chain.pem", "-noout", "-pubkey"],
    );
    assert_eq!(of_key, of_leaf);
}
