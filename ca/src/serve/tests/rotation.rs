//! One root follows another: what is trusted, what signs, and what a server does that has not heard of it.

use super::renewal::verify;
use super::*;

fn set(bench: &Bench, hierarchy: &Hierarchy) {
    let mut rows = bench.store.rows.lock().expect("lock");
    rows.insert(mesh(1).key(), hierarchy.clone());
}

#[tokio::test]
async fn spiffe_s51_both_roots_are_given_out_in_an_order_that_does_not_change_with_what_signs() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    let (old, new) = (made(1), made(1));
    set(&bench, &old);
    let before = bench.authority.leaf(&owner).await.expect("leaf");
    let published = Hierarchy {
        also_trusted: vec![new.root.clone()],
        ..old.clone()
    };
    set(&bench, &published);
    let both = roots_of(&bench, 1).await;
    assert_eq!(both.matches("BEGIN CERTIFICATE").count(), 2);
    let still = bench.authority.leaf(&owner).await.expect("leaf");
    assert_eq!(still.authority, old.issuing.id, "published, not active");
    let active = Hierarchy {
        also_trusted: vec![old.root.clone()],
        ..new.clone()
    };
    set(&bench, &active);
    assert_eq!(roots_of(&bench, 1).await, both, "nobody is told anything");
    let after = bench.authority.leaf(&owner).await.expect("leaf");
    assert_eq!(after.authority, new.issuing.id);
    verify(&before, &old.root.certificate_pem);
    verify(&after, &new.root.certificate_pem);
    set(&bench, &new);
    assert_eq!(roots_of(&bench, 1).await, new.root.certificate_pem);
}

#[tokio::test]
async fn spiffe_s51_a_server_that_has_not_heard_of_it_signs_nothing_with_what_gave_way() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    let (old, new) = (made(1), made(1));
    set(&bench, &old);
    bench.authority.leaf(&owner).await.expect("leaf");
    let retire = |id| bench.journal.retired.lock().expect("lock").insert(id);
    retire(old.issuing.id);
    let error = bench.authority.leaf(&owner).await.expect_err("no other");
    assert!(matches!(error, Error::Superseded), "{error:?}");
    set(&bench, &new);
    let leaf = bench.authority.leaf(&owner).await.expect("looked again");
    assert_eq!(leaf.authority, new.issuing.id);
    let signed = bench.journal.entries();
    assert_eq!(signed.len(), 2, "nothing was recorded for what gave way");
}

#[tokio::test]
async fn a_root_of_another_trust_domain_is_not_given_out() {
    let bench = Bench::new(20);
    let (old, theirs) = (made(1), made(2));
    let moved = AuthorityRow {
        org: old.root.org,
        mesh: old.root.mesh,
        ..theirs.root
    };
    set(
        &bench,
        &Hierarchy {
            also_trusted: vec![moved],
            ..old
        },
    );
    let error = bench.authority.trust(&mesh(1)).await.expect_err("foreign");
    assert!(matches!(error, Error::Inconsistent(_)), "{error:?}");
}

#[tokio::test]
async fn spiffe_s52_who_is_trusted_is_read_once_for_each_revision_and_is_never_older() {
    let bench = Bench::new(20);
    let (old, new) = (made(1), made(1));
    set(&bench, &old);
    let loads = || bench.store.loads.load(Ordering::SeqCst);
    let since = async |revision| {
        let trust = bench.authority.trust_since(&mesh(1), revision).await;
        trust.expect("roots").roots_pem
    };
    let first = since(3).await;
    assert_eq!(first, old.root.certificate_pem);
    let both = Hierarchy {
        also_trusted: vec![new.root.clone()],
        ..old.clone()
    };
    set(&bench, &both);
    // Nobody has seen the revision that this made.
    for revision in [3, 2, 3] {
        assert_eq!(since(revision).await, first);
    }
    assert_eq!(loads(), 1);
    let published = since(4).await;
    assert_eq!(published.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(
        (since(4).await, since(3).await),
        (published.clone(), published.clone())
    );
    assert_eq!(loads(), 2);
    // What is read for another reason is no older than what was there, and says nothing of a revision.
    set(&bench, &new);
    let now = roots_of(&bench, 1).await;
    assert_eq!(now, new.root.certificate_pem);
    assert_eq!(since(4).await, now);
    assert_eq!(loads(), 3);
    assert_eq!(since(5).await, now);
    assert_eq!(loads(), 4, "nobody can tell whether it is as far");
    let foreign = MeshIdentity {
        trust_domain: mesh(2).trust_domain,
        ..mesh(1)
    };
    let error = bench.authority.trust_since(&foreign, 5).await;
    let error = error.expect_err("the trust domain of another mesh");
    assert!(
        matches!(error, Error::ForeignTrustDomain { .. }),
        "{error:?}"
    );
}
