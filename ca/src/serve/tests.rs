//! The whole authority over memory: first use, races, currency of a leaf, and other people's meshes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;

use super::*;
use crate::testing::{
    MemoryJournal, MemoryKey, MemoryStore, SeededRandom, TestClock, id, mesh, start, subject,
};
use crate::{
    AuthorityRow, LocalSigner, Profile, SealError, SystemRandom, TrustDomain, create_hierarchy,
};

struct Bench {
    journal: Arc<MemoryJournal>,
    store: Arc<MemoryStore>,
    clock: TestClock,
    authority: CertificateAuthority,
}

impl Bench {
    fn new(lifetime_seconds: u64) -> Self {
        let (journal, store) = (
            Arc::<MemoryJournal>::default(),
            Arc::<MemoryStore>::default(),
        );
        Self::over(journal, store, lifetime_seconds)
    }

    fn over(journal: Arc<MemoryJournal>, store: Arc<MemoryStore>, lifetime_seconds: u64) -> Self {
        let clock = TestClock::new();
        let profile = Profile::new(Duration::from_secs(lifetime_seconds)).expect("profile");
        let signer = LocalSigner::new(
            Arc::clone(&journal) as Arc<dyn Journal>,
            Arc::new(MemoryKey::new(1)),
            Arc::new(clock.clone()),
            Arc::new(SystemRandom),
            profile,
        );
        let parts = Parts {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            store: Arc::clone(&store) as Arc<dyn AuthorityStore>,
            signer: Arc::new(signer),
            clock: Arc::new(clock.clone()),
        };
        Self {
            journal,
            store,
            clock,
            authority: CertificateAuthority::new(parts),
        }
    }
}

async fn roots_of(bench: &Bench, n: u128) -> String {
    let trust = bench.authority.trust(&mesh(n)).await;
    trust.expect("roots").roots_pem
}

fn made(n: u128) -> Hierarchy {
    create_hierarchy(&mesh(n), &MemoryKey::new(1), start(), &SystemRandom).expect("hierarchy")
}

#[tokio::test]
async fn the_first_leaf_makes_the_authorities_and_the_next_finds_them() {
    let bench = Bench::new(20);
    let first = bench
        .authority
        .leaf(&subject(1, "payments", 1))
        .await
        .expect("leaf");
    let second = bench
        .authority
        .leaf(&subject(1, "payments", 2))
        .await
        .expect("leaf");
    let stored = bench.store.rows.lock().expect("lock").clone();
    assert_eq!(stored.len(), 1);
    let hierarchy = &stored[&mesh(1).key()];
    for leaf in [&first, &second] {
        assert!(leaf.chain_pem.ends_with(&hierarchy.issuing.certificate_pem));
    }
    assert_ne!(first.serial, second.serial);
    assert_eq!(bench.store.loads.load(Ordering::SeqCst), 1, "opened once");
    let roots = roots_of(&bench, 1).await;
    assert_eq!(roots, hierarchy.root.certificate_pem);
    assert_eq!(bench.journal.entries().len(), 2);

    // Another process over the same store serves the same roots.
    let other = Bench::over(Arc::clone(&bench.journal), Arc::clone(&bench.store), 20);
    assert_eq!(roots_of(&other, 1).await, roots);
}

#[tokio::test]
async fn roots_can_be_asked_for_before_the_first_leaf() {
    let bench = Bench::new(20);
    let roots = roots_of(&bench, 1).await;
    assert_eq!(roots.matches("BEGIN CERTIFICATE").count(), 1);
    assert!(bench.journal.entries().is_empty());
}

#[tokio::test]
async fn of_two_creators_one_wins_and_both_use_the_winner() {
    let bench = Bench::new(20);
    let winner = made(1);
    *bench.store.rival.lock().expect("lock") = Some(winner.clone());
    let leaf = bench
        .authority
        .leaf(&subject(1, "payments", 1))
        .await
        .expect("leaf");
    assert!(leaf.chain_pem.ends_with(&winner.issuing.certificate_pem));
    let roots = roots_of(&bench, 1).await;
    assert_eq!(roots, winner.root.certificate_pem);
}

#[tokio::test]
async fn spiffe_s57_a_leaf_of_twenty_seconds_is_due_after_about_ten() {
    let bench = Bench::new(20);
    let leaf = bench
        .authority
        .leaf(&subject(1, "payments", 1))
        .await
        .expect("leaf");
    assert_eq!(leaf.issued_at, start());
    assert_eq!(
        (leaf.not_after - start()).num_seconds(),
        19,
        "rounded down to whole seconds"
    );
    let due = (leaf.renew_at - start()).num_milliseconds();
    assert!(
        (8_900..=11_000).contains(&due),
        "{due} ms, whatever the back-dating"
    );
}

#[tokio::test]
async fn a_leaf_is_current_for_its_own_proxy_until_it_is_due() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    let leaf = bench.authority.leaf(&owner).await.expect("leaf");
    let current = async |who: &Subject, serial: &str| {
        bench
            .authority
            .is_current(who, serial)
            .await
            .expect("the journal answers")
            .map(|held| held.renew_at)
    };
    assert_eq!(current(&owner, &leaf.serial).await, Some(leaf.renew_at));
    assert_eq!(
        current(&subject(1, "payments", 2), &leaf.serial).await,
        None,
        "another proxy"
    );
    assert_eq!(
        current(&subject(2, "payments", 1), &leaf.serial).await,
        None,
        "another mesh"
    );
    assert_eq!(current(&owner, &"4".repeat(32)).await, None, "never issued");

    let half_life = leaf.issued_at + (leaf.not_after - leaf.issued_at) / 2;
    let end = half_life.min(leaf.renew_at);
    bench.clock.set(end - TimeDelta::milliseconds(1));
    assert_eq!(current(&owner, &leaf.serial).await, Some(leaf.renew_at));
    bench.clock.set(end);
    assert_eq!(current(&owner, &leaf.serial).await, None, "due");
    bench.clock.set(leaf.not_before - TimeDelta::seconds(1));
    assert_eq!(
        current(&owner, &leaf.serial).await,
        None,
        "a clock before its validity"
    );

    bench.clock.set(start());
    bench.journal.revoke(&leaf.serial, start());
    assert_eq!(current(&owner, &leaf.serial).await, None, "revoked");
}

#[tokio::test]
async fn a_serial_from_outside_is_looked_at_before_the_journal_is() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    let leaf = bench.authority.leaf(&owner).await.expect("leaf");
    let upper = "ABCDEF".to_owned() + &leaf.serial[6..];
    for text in [
        "",
        "1",
        "' or 1=1 --",
        &"g".repeat(32),
        &"4".repeat(33),
        &"\u{e9}".repeat(16),
        &upper,
    ] {
        assert_eq!(
            bench
                .authority
                .is_current(&owner, text)
                .await
                .expect("no error"),
            None,
            "{text:?}"
        );
    }
    assert_eq!(bench.journal.lookups.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn sec_c08_a_broken_journal_issues_nothing_and_says_so() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    bench.journal.broken.store(true, Ordering::SeqCst);
    let error = bench.authority.leaf(&owner).await.expect_err("broken");
    assert!(matches!(error, Error::Journal(_)), "{error:?}");
    let error = bench
        .authority
        .is_current(&owner, &"4".repeat(32))
        .await
        .expect_err("broken");
    assert!(matches!(error, Error::Journal(_)), "{error:?}");
    bench.journal.broken.store(false, Ordering::SeqCst);
    bench.authority.leaf(&owner).await.expect("it recovers");
}

#[tokio::test]
async fn sec_c09_a_serial_that_exists_is_not_signed_again() {
    let journal = Arc::<MemoryJournal>::default();
    let store = Arc::<MemoryStore>::default();
    let authority = |seed| {
        let signer = LocalSigner::new(
            Arc::clone(&journal) as Arc<dyn Journal>,
            Arc::new(MemoryKey::new(1)),
            Arc::new(start),
            Arc::new(SeededRandom::new(seed)),
            Profile::default(),
        );
        CertificateAuthority::new(Parts {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            store: Arc::clone(&store) as Arc<dyn AuthorityStore>,
            signer: Arc::new(signer),
            clock: Arc::new(start),
        })
    };
    let owner = subject(1, "payments", 1);
    authority(1).trust(&mesh(1)).await.expect("authorities");
    let first = authority(2).leaf(&owner).await.expect("leaf");
    let error = authority(2)
        .leaf(&owner)
        .await
        .expect_err("the same serial again");
    assert!(matches!(error, Error::Journal(_)), "{error:?}");
    assert_ne!(
        authority(3).leaf(&owner).await.expect("leaf").serial,
        first.serial
    );
}

#[tokio::test]
async fn sec_c07_t07_a_mesh_is_served_under_its_own_trust_domain_only() {
    let bench = Bench::new(20);
    let own = subject(1, "payments", 1);
    bench.authority.leaf(&own).await.expect("leaf");
    let stolen = TrustDomain::parse("other.example").expect("td");
    let forged = Subject {
        trust_domain: stolen,
        ..own.clone()
    };
    for _ in 0..2 {
        let error = bench
            .authority
            .leaf(&forged)
            .await
            .expect_err("from memory and from the store");
        assert!(
            matches!(error, Error::ForeignTrustDomain { .. }),
            "{error:?}"
        );
        let error = bench
            .authority
            .trust(&forged.mesh_identity())
            .await
            .expect_err("roots too");
        assert!(
            matches!(error, Error::ForeignTrustDomain { .. }),
            "{error:?}"
        );
        bench.authority.forget(mesh(1).key());
    }

    // The same mesh id under another organisation is another mesh: it gets authorities of its own.
    let rival = Subject {
        org: id(7),
        trust_domain: mesh(3).trust_domain,
        ..own.clone()
    };
    let theirs = bench.authority.leaf(&rival).await.expect("leaf");
    let ours = bench.authority.leaf(&own).await.expect("leaf");
    assert_ne!(
        bench
            .authority
            .trust(&own.mesh_identity())
            .await
            .expect("ours"),
        bench
            .authority
            .trust(&rival.mesh_identity())
            .await
            .expect("theirs"),
    );
    assert_eq!(theirs.spiffe_id.trust_domain(), mesh(3).trust_domain);
    assert_eq!(ours.spiffe_id.trust_domain(), mesh(1).trust_domain);
}

#[tokio::test]
async fn sec_c13_rows_of_another_mesh_are_refused() {
    let (ours, theirs) = (made(1), made(2));
    let moved = |row: AuthorityRow| AuthorityRow {
        org: mesh(1).org,
        mesh: mesh(1).mesh,
        ..row
    };
    let seed = |hierarchy: Hierarchy| {
        let bench = Bench::new(20);
        bench
            .store
            .rows
            .lock()
            .expect("lock")
            .insert(mesh(1).key(), hierarchy);
        bench
    };
    let served = async |hierarchy| {
        seed(hierarchy)
            .authority
            .leaf(&subject(1, "payments", 1))
            .await
            .expect_err("refused")
    };
    let error = served(theirs.clone()).await;
    assert!(matches!(error, Error::Inconsistent(_)), "{error:?}");
    let relabelled = Hierarchy::new(moved(theirs.root), moved(theirs.issuing.clone()));
    let error = served(relabelled).await;
    assert!(
        matches!(error, Error::Seal(SealError::Refused)),
        "{error:?}"
    );
    let mixed = Hierarchy::new(ours.root.clone(), moved(theirs.issuing));
    let error = served(mixed).await;
    assert!(matches!(error, Error::Check(_)), "{error:?}");
    let swapped = Hierarchy::new(ours.issuing.clone(), ours.root.clone());
    let error = served(swapped).await;
    assert!(matches!(error, Error::Inconsistent(_)), "{error:?}");
    let fine = seed(ours).authority.leaf(&subject(1, "payments", 1)).await;
    assert!(fine.is_ok());
}

#[tokio::test]
async fn sec_c11_an_ended_authority_issues_nothing_until_it_is_replaced() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    bench.authority.leaf(&owner).await.expect("leaf");
    bench.store.read_only.store(true, Ordering::SeqCst);
    bench.clock.turn(TimeDelta::days(91));
    let error = bench.authority.leaf(&owner).await.expect_err("ended");
    assert!(matches!(error, Error::IssuerExpired { .. }), "{error:?}");

    bench.store.read_only.store(false, Ordering::SeqCst);
    let leaf = bench.authority.leaf(&owner).await.expect("replaced");
    let fresh = bench.store.rows.lock().expect("lock")[&mesh(1).key()].clone();
    assert!(leaf.chain_pem.ends_with(&fresh.issuing.certificate_pem));
    assert_eq!(bench.store.renewals.load(Ordering::SeqCst), 1);
}

mod renewal;
mod rotation;

#[tokio::test]
async fn forgetting_a_mesh_asks_the_store_again() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    bench.authority.leaf(&owner).await.expect("leaf");
    bench.authority.forget(mesh(1).key());
    bench.authority.leaf(&owner).await.expect("leaf");
    assert_eq!(bench.store.loads.load(Ordering::SeqCst), 2);
}
