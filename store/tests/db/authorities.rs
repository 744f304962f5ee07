//! Authorities and the journal of issuance.

use chrono::TimeDelta;
use heddle_model::authz::permission::{JoinTokenWrite, ProxyWrite};
use heddle_model::id::{AuthorityId, ProxyId};
use heddle_store::authorities::{self, AuthorityKind, AuthorityRow, AuthorityState};
use heddle_store::certificates::{self, CertificateEntry};
use heddle_store::{Error, join_tokens, proxies};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::build::{arriving, join_token, mesh, mesh_ref, name, service};
use crate::support::{TestDb, grant, start};

pub(crate) fn hierarchy(seed: u128) -> Vec<AuthorityRow> {
    [AuthorityKind::Root, AuthorityKind::Issuing]
        .into_iter()
        .zip(0..)
        .map(|(kind, i)| AuthorityRow {
            state: AuthorityState::Active,
            parent: (kind == AuthorityKind::Issuing)
                .then(|| AuthorityId::from_uuid(Uuid::from_u128(seed * 2))),
            id: AuthorityId::from_uuid(Uuid::from_u128(seed * 2 + i)),
            kind,
            certificate_pem: format!("pem {seed}"),
            sealed_key: vec![7; 300],
            serial: format!("{:032x}", seed * 2 + i),
            not_before: start(),
            not_after: start() + TimeDelta::days(90),
        })
        .collect()
}

pub(crate) fn entry(serial: &str, proxy: ProxyId, authority: AuthorityId) -> CertificateEntry {
    CertificateEntry {
        serial: String::from(serial),
        proxy,
        service: name("payments"),
        spiffe_id: String::from("spiffe://x/service/payments"),
        authority,
        not_before: start(),
        not_after: start() + TimeDelta::days(1),
        issued_at: start() + TimeDelta::minutes(5),
        tbs_sha256: "a".repeat(64),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_creators_all_get_the_first_ones() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    // Several times: at first the connections are still being made, one after the other.
    for round in 0..6 {
        let row = mesh(&db.store, &owner, &format!("m{round}")).await;
        let mesh = mesh_ref(&db.store, &owner, &row).await;
        assert_eq!(authorities::load(&db.store, &mesh).await.unwrap(), []);
        let mut tasks = tokio::task::JoinSet::new();
        for seed in 1..=10 {
            let store = db.store.clone();
            tasks.spawn(async move {
                authorities::create(&store, &mesh, &hierarchy(seed))
                    .await
                    .unwrap()
            });
        }
        let got = tasks.join_all().await;
        let stored = authorities::load(&db.store, &mesh).await.unwrap();
        assert!(got.iter().all(|rows| *rows == stored));
        assert!((1..=10).any(|seed| hierarchy(seed) == stored), "{stored:?}");
        // sec K01
        assert!(!format!("{stored:?}").contains("7, 7"));
    }
}

#[tokio::test]
async fn the_journal_knows_what_was_issued_and_revoked() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let row = mesh(&db.store, &owner, "prod").await;
    let mesh = mesh_ref(&db.store, &owner, &row).await;
    service(&db.store, &owner, row.id, "payments").await;
    let issuing = authorities::create(&db.store, &mesh, &hierarchy(1))
        .await
        .unwrap()[1]
        .id;
    let secret = join_token(&db.store, &owner, row.id, "many", "payments", true).await;
    let mut ids = Vec::new();
    for node in ["a", "b", "c"] {
        let joined = proxies::join(&db.store, secret.expose_secret(), arriving(node))
            .await
            .unwrap()
            .unwrap();
        certificates::record(&db.store, &mesh, &entry(node, joined.proxy, issuing))
            .await
            .unwrap();
        ids.push(joined.proxy);
    }
    let found = certificates::lookup(&db.store, &mesh, "a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.proxy, found.revoked_at), (ids[0], None));
    assert_eq!(found.not_after, start() + TimeDelta::days(1));
    assert_eq!(found.issued_at, start() + TimeDelta::minutes(5));
    for unknown in ["d", "", "' or true --", "\u{fffd}"] {
        assert_eq!(
            certificates::lookup(&db.store, &mesh, unknown)
                .await
                .unwrap(),
            None
        );
    }
    let twice = certificates::record(&db.store, &mesh, &entry("a", ids[1], issuing)).await;
    assert!(
        matches!(&twice, Err(Error::AlreadyExists { constraint }) if constraint == "certificates_pkey"),
        "{twice:?}"
    );
    let nobody = AuthorityId::from_uuid(Uuid::from_u128(77));
    let unsigned = certificates::record(&db.store, &mesh, &entry("e", ids[0], nobody)).await;
    assert!(!unsigned.unwrap(), "an unknown authority signs nothing");

    let revoked = async || -> Vec<bool> {
        let mut revoked = Vec::new();
        for serial in ["a", "b", "c"] {
            let found = certificates::lookup(&db.store, &mesh, serial)
                .await
                .unwrap()
                .unwrap();
            revoked.push(found.revoked_at.is_some());
        }
        revoked
    };
    let mut tx = db.store.begin(&grant::<ProxyWrite>(&owner)).await.unwrap();
    let proxy = proxies::find(&mut tx, row.id, "a").await.unwrap().unwrap();
    proxies::forget(&mut tx, row.id, &proxy).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(revoked().await, [true, false, false]);
    let mut tx = db
        .store
        .begin(&grant::<JoinTokenWrite>(&owner))
        .await
        .unwrap();
    join_tokens::revoke(&mut tx, row.id, "many").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(revoked().await, [true, true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_renewers_one_adds_a_successor_and_all_get_it() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let row = mesh(&db.store, &owner, "prod").await;
    let mesh = mesh_ref(&db.store, &owner, &row).await;
    let first = authorities::create(&db.store, &mesh, &hierarchy(1))
        .await
        .unwrap();
    let replaced = authorities::issuing(&first).unwrap().id;
    let successor = |seed: u128| {
        let mut row = hierarchy(seed).pop().unwrap();
        row.not_after += TimeDelta::days(83);
        row.parent = Some(first[0].id);
        row
    };
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 2..=9 {
        let store = db.store.clone();
        let row = successor(seed);
        tasks.spawn(async move {
            authorities::renew(&store, &mesh, replaced, &row)
                .await
                .unwrap()
        });
    }
    let got = tasks.join_all().await;
    let stored = authorities::load(&db.store, &mesh).await.unwrap();
    assert_eq!(stored.len(), 3, "root, the first and its one successor");
    assert!(got.iter().all(|rows| *rows == stored));
    let newest = authorities::issuing(&stored).unwrap();
    assert!((2..=9).any(|seed| successor(seed) == *newest));

    // Whoever comes late with a successor of the first one is told of the second.
    let late = authorities::renew(&db.store, &mesh, replaced, &successor(20))
        .await
        .unwrap();
    assert_eq!(late, stored);
    let mut early = successor(22);
    early.not_before = "2126-01-01T00:00:00Z".parse().unwrap();
    let refused = authorities::renew(&db.store, &mesh, newest.id, &early).await;
    assert_eq!(refused.unwrap(), stored, "made by a clock that runs ahead");
    let mut third = successor(21);
    third.not_after += TimeDelta::days(83);
    let next = authorities::renew(&db.store, &mesh, newest.id, &third).await;
    assert_eq!(authorities::issuing(&next.unwrap()), Some(&third));
}
