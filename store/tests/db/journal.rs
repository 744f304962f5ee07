//! The journal of issuance as a chain: whole while many write at once, and it shows what was done to it.

use heddle_store::audit::{Fault, Head};
use heddle_store::authorities;
use heddle_store::certificates::{self, VerifiedJournal};
use heddle_store::{MeshRef, proxies};

use crate::authorities::{entry, hierarchy};
use crate::build::name;
use crate::proxies::{checkpoint, world};
use crate::support::TestDb;

const WRITERS: u128 = 40;

async fn verify(db: &TestDb, noted: &[Head]) -> VerifiedJournal {
    let org = name("acme");
    certificates::verify(&db.store, &org, noted).await.unwrap()
}

/// A mesh with forty certificates, which were written at once.
async fn journal() -> (TestDb, MeshRef, heddle_model::id::ProxyId) {
    let (db, _, mesh, proxies) = world(&[("payments", "a")]).await;
    let signs = hierarchy(1);
    authorities::create(&db.store, &mesh, &signs).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..WRITERS {
        let (store, entry) = (
            db.store.clone(),
            entry(&format!("{nth:032x}"), proxies[0], signs[1].id),
        );
        tasks.spawn(async move { certificates::record(&store, &mesh, &entry).await });
    }
    while let Some(written) = tasks.join_next().await {
        assert!(written.unwrap().unwrap());
    }
    (db, mesh, proxies[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s56_the_journal_is_a_chain_however_many_write_at_once() {
    let (db, mesh, proxy) = journal().await;
    let found = verify(&db, &[]).await;
    let [head] = found.heads.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(u128::from(head.seq), WRITERS);
    assert_eq!(head.chain, mesh.mesh().uuid());
    assert_eq!((&found.broken[..], found.unchained), (&[][..], 0));
    // What is not written has no place: neither what gave way signs, nor one serial number twice.
    let gone = entry("ff", proxy, hierarchy(9)[1].id);
    assert!(!certificates::record(&db.store, &mesh, &gone).await.unwrap());
    let twice = entry(&format!("{:032x}", 1), proxy, hierarchy(1)[1].id);
    certificates::record(&db.store, &mesh, &twice)
        .await
        .unwrap_err();
    assert_eq!(verify(&db, &found.heads).await, found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s56_whatever_is_done_to_the_journal_is_found() {
    let (db, mesh, _) = journal().await;
    let head = verify(&db, &[]).await.heads.remove(0);
    let pool = db.superuser().await;
    let chain = mesh.mesh().uuid();
    for (harm, mend, fault) in [
        (
            "update heddle.certificates set service = 'checkout' where seq = 7",
            "update heddle.certificates set service = 'payments' where seq = 7",
            Fault::Altered { seq: 7 },
        ),
        (
            "update heddle.certificates set not_after = not_after + interval '1 second' where seq = 9",
            "update heddle.certificates set not_after = not_after - interval '1 second' where seq = 9",
            Fault::Altered { seq: 9 },
        ),
        (
            "update heddle.certificates set seq = null, previous_hash = null, hash = null where seq = 40",
            "",
            Fault::CutOff {
                expected: 40,
                found: 39,
            },
        ),
        (
            "delete from heddle.certificates where seq = 3",
            "",
            Fault::Missing { seq: 3 },
        ),
        ("delete from heddle.certificate_heads", "", Fault::NoHead),
    ] {
        sqlx::query(harm).execute(&pool).await.unwrap();
        let found = verify(&db, std::slice::from_ref(&head)).await;
        assert_eq!(found.broken, [(chain, fault)], "{harm}");
        if !mend.is_empty() {
            sqlx::query(mend).execute(&pool).await.unwrap();
            assert_eq!(verify(&db, &[]).await.broken, [], "{mend}");
        }
    }
    // The day of a revocation comes later, and is no alteration.
    let (db, ..) = journal().await;
    let revoke = "update heddle.certificates set revoked_at = now()";
    let pool = db.superuser().await;
    sqlx::query(revoke).execute(&pool).await.unwrap();
    assert_eq!(verify(&db, &[]).await.broken, []);
}

#[tokio::test]
async fn spiffe_s56_a_certificate_at_a_proxy_that_is_in_no_journal_is_found() {
    let (db, mesh, proxy) = journal().await;
    let held = async |serial: &str| {
        let mut status = checkpoint(proxy, None);
        status.leaf_serial = Some(serial.to_owned());
        let server = uuid::Uuid::from_u128(1);
        proxies::checkpoint(&db.store, &mesh, server, Some(1), &[status])
            .await
            .unwrap();
        certificates::unknown_leaves(&db.store, &mesh)
            .await
            .unwrap()
    };
    assert_eq!(held(&format!("{:032x}", 5)).await, []);
    let foreign = format!("{:032x}", 0xbad);
    let unknown = [(proxy, foreign.clone())];
    assert_eq!(held(&foreign).await, unknown);
    assert_eq!(verify(&db, &[]).await.unknown, unknown);
}
