//! The hierarchy itself, and rows that do not fit together.

use super::*;
use crate::testing::{MemoryKey, SeededRandom, id, mesh, start};
use crate::{Fault, SealError, SystemRandom};

fn made(n: u128) -> Hierarchy {
    create_hierarchy(&mesh(n), &MemoryKey::new(1), start(), &SystemRandom).expect("hierarchy")
}

#[test]
fn spiffe_s50_root_for_ten_years_issuing_for_ninety_days() {
    let Hierarchy { root, issuing, .. } = made(1);
    let backdated = DateTime::from_timestamp(1_900_000_000 - 300, 0).expect("in range");
    for row in [&root, &issuing] {
        assert_eq!(row.not_before, backdated);
        assert_eq!((row.org, row.mesh), (mesh(1).org, mesh(1).mesh));
        assert_eq!(row.serial.len(), 32);
    }
    assert_eq!(
        (root.not_after - start()).num_days(),
        3651,
        "rounded down to whole seconds"
    );
    assert_eq!((issuing.not_after - start()).num_days(), 89);
    assert_eq!(
        (root.kind, issuing.kind),
        (AuthorityKind::Root, AuthorityKind::Issuing)
    );
    assert_ne!(root.serial, issuing.serial);
    assert_ne!(root.id, issuing.id);
}

#[test]
fn spiffe_s13_s17_the_certificates_agree_with_their_rows() {
    let Hierarchy { root, issuing, .. } = made(1);
    let root_cert = root.certificate(None).expect("root");
    let issuing_cert = issuing.certificate(Some(&root_cert)).expect("issuing");
    for (row, cert) in [(&root, &root_cert), (&issuing, &issuing_cert)] {
        assert_eq!(cert.name, Some(mesh(1).trust_domain.id()), "S12: no path");
        assert_eq!(cert.validity.not_before, row.not_before);
        assert_eq!(cert.validity.not_after, row.not_after);
        row.open_key(cert, &MemoryKey::new(1))
            .expect("the sealed key is the certificate's");
    }
    assert_ne!(root_cert.public_key, issuing_cert.public_key);
    assert_ne!(root_cert.subject, issuing_cert.subject);
}

#[test]
fn ids_and_serials_come_from_the_parameter_and_keys_do_not() {
    let make = || {
        let random = SeededRandom::new(3);
        create_hierarchy(&mesh(1), &MemoryKey::new(1), start(), &random).expect("hierarchy")
    };
    let (a, b) = (make(), make());
    assert_eq!((a.root.id, &a.root.serial), (b.root.id, &b.root.serial));
    assert_eq!(
        (a.issuing.id, &a.issuing.serial),
        (b.issuing.id, &b.issuing.serial)
    );
    assert_ne!(
        a.root.certificate_pem, b.root.certificate_pem,
        "the keys differ"
    );
    assert_eq!(a.root.id.get_version_num(), 7);
}

#[test]
fn sec_c13_a_sealed_key_moved_to_another_row_does_not_open() {
    let (ours, theirs) = (made(1).issuing, made(2).issuing);
    let root = made(1).root;
    let sealing = MemoryKey::new(1);
    let moves = [
        AuthorityRow {
            sealed_key: theirs.sealed_key.clone(),
            ..ours.clone()
        },
        AuthorityRow {
            sealed_key: root.sealed_key,
            ..ours.clone()
        },
        AuthorityRow {
            org: theirs.org,
            ..ours.clone()
        },
        AuthorityRow {
            mesh: theirs.mesh,
            ..ours.clone()
        },
        AuthorityRow {
            id: id(77),
            ..ours.clone()
        },
    ];
    let cert = any_signing_cert();
    for row in moves {
        let error = row.open_key(&cert, &sealing).expect_err("moved");
        assert!(
            matches!(error, Error::Seal(SealError::Refused)),
            "{error:?}"
        );
    }
}

/// `open_key` looks at the seal first, so any certificate does where it must fail.
fn any_signing_cert() -> SigningCert {
    made(9).root.certificate(None).expect("root")
}

#[test]
fn sec_c12_k04_the_rows_hold_no_key_in_clear() {
    let Hierarchy { root, issuing, .. } = made(1);
    for row in [root, issuing] {
        let opened = MemoryKey::new(1)
            .open(&row.aad(), &row.sealed_key)
            .expect("open");
        for key in opened.windows(16) {
            assert!(!row.sealed_key.windows(16).any(|w| w == key));
        }
        let wrong = MemoryKey::new(2).open(&row.aad(), &row.sealed_key);
        assert_eq!(wrong, Err(SealError::OtherKey(MemoryKey::new(1).id())));
    }
}

#[test]
fn rows_survive_serialisation() {
    let hierarchy = made(1);
    let text = serde_json::to_string(&hierarchy).expect("serialise");
    let back: Hierarchy = serde_json::from_str(&text).expect("parse");
    assert_eq!(back, hierarchy);
    assert!(text.contains(r#""kind":"root""#) && text.contains(r#""kind":"issuing""#));
}

#[test]
fn a_certificate_that_is_not_the_rows_is_refused() {
    let Hierarchy { root, issuing, .. } = made(1);
    let root_cert = root.certificate(None).expect("root");
    let garbage = [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    ];
    for pem in garbage {
        let row = AuthorityRow {
            certificate_pem: pem.to_owned(),
            ..issuing.clone()
        };
        assert!(row.certificate(Some(&root_cert)).is_err(), "{pem:?}");
    }
    let twice = issuing.certificate_pem.repeat(2);
    let row = AuthorityRow {
        certificate_pem: twice,
        ..issuing.clone()
    };
    assert!(matches!(
        row.certificate(Some(&root_cert)),
        Err(Error::Inconsistent("certificate"))
    ));

    let row = AuthorityRow {
        serial: "00".repeat(16),
        ..issuing.clone()
    };
    assert!(matches!(
        row.certificate(Some(&root_cert)),
        Err(Error::Inconsistent("serial"))
    ));

    let other = made(2).issuing;
    let error = other
        .certificate(Some(&root_cert))
        .expect_err("another mesh's");
    assert!(
        matches!(error, Error::Check(Fault { rule: "S16", .. })),
        "{error:?}"
    );
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let (a, b) = (made(1), made(1));
    let root_cert = b.root.certificate(None).expect("root");
    let sealed_for = AuthorityRow {
        id: a.root.id,
        ..b.root.clone()
    };
    let row = AuthorityRow {
        sealed_key: a.root.sealed_key,
        ..sealed_for
    };
    let error = row
        .open_key(&root_cert, &MemoryKey::new(1))
        .expect_err("other key");
    assert!(matches!(error, Error::Inconsistent(_)), "{error:?}");
}
