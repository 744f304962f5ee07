//! One issuing authority follows another under the same root: nobody notices.

use super::*;
use crate::authority::read_pem;
use crate::check;

/// What a proxy does that trusts `roots`: the chain leads to it, one issuing authority in between.
pub(super) fn verify(leaf: &Leaf, roots: &str) {
    let begin = leaf.chain_pem.rfind("-----BEGIN").expect("a chain");
    let issuing = read_pem(&leaf.chain_pem[begin..]).expect("the issuing certificate");
    let root = check::signing(
        &read_pem(roots).expect("one root"),
        AuthorityKind::Root,
        None,
    );
    let root = root.expect("root");
    let issuing = check::signing(&issuing, AuthorityKind::Issuing, Some(&root)).expect("chain");
    assert!(leaf.not_before >= issuing.validity.not_before);
    assert!(leaf.not_after <= issuing.validity.not_after);
}

#[tokio::test]
async fn an_issuing_authority_is_replaced_a_week_before_it_ends() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    bench.authority.leaf(&owner).await.expect("leaf");
    let first = bench.store.rows.lock().expect("lock")[&mesh(1).key()].clone();
    bench
        .clock
        .set(first.issuing.not_after - TimeDelta::days(7) - TimeDelta::seconds(1));
    let before = bench.authority.leaf(&owner).await.expect("leaf");
    assert!(before.chain_pem.ends_with(&first.issuing.certificate_pem));
    assert_eq!(bench.store.loads.load(Ordering::SeqCst), 1, "from memory");

    bench.clock.turn(TimeDelta::seconds(1));
    let after = bench.authority.leaf(&owner).await.expect("leaf");
    let second = bench.store.rows.lock().expect("lock")[&mesh(1).key()].clone();
    assert_ne!(second.issuing.id, first.issuing.id);
    assert_eq!(second.root, first.root);
    assert!(after.chain_pem.ends_with(&second.issuing.certificate_pem));
    let roots = roots_of(&bench, 1).await;
    assert_eq!(
        roots, first.root.certificate_pem,
        "proxies are told nothing"
    );
    verify(&before, &roots);
    verify(&after, &roots);
    let current = bench.authority.is_current(&owner, &before.serial).await;
    assert!(current.expect("lookup").is_some(), "a leaf of the old one");
}

#[tokio::test]
async fn a_store_that_refuses_a_successor_costs_no_leaf() {
    let bench = Bench::new(20);
    let owner = subject(1, "payments", 1);
    bench.authority.leaf(&owner).await.expect("leaf");
    let first = bench.store.rows.lock().expect("lock")[&mesh(1).key()].clone();
    bench.clock.set(first.due());
    bench.store.read_only.store(true, Ordering::SeqCst);
    let leaf = bench
        .authority
        .leaf(&owner)
        .await
        .expect("the old one signs");
    assert!(leaf.chain_pem.ends_with(&first.issuing.certificate_pem));
    bench.store.read_only.store(false, Ordering::SeqCst);
    let leaf = bench.authority.leaf(&owner).await.expect("leaf");
    assert!(!leaf.chain_pem.ends_with(&first.issuing.certificate_pem));
}

/// Two servers that restart now and then, and a store that fails for days, until shortly before the root ends: each leaf
/// has its whole life and leads to the root that proxies were given on the first day.
#[tokio::test]
async fn leaves_are_whole_and_verifiable_for_the_life_of_a_root() {
    const DAY: u64 = 24 * 60 * 60;
    let (journal, store) = (
        Arc::<MemoryJournal>::default(),
        Arc::<MemoryStore>::default(),
    );
    let server = || Bench::over(Arc::clone(&journal), Arc::clone(&store), 3 * DAY);
    let mut servers = [server(), server()];
    let owner = subject(1, "payments", 1);
    let roots = roots_of(&servers[0], 1).await;
    let mut now = start();
    for day in 0..3640_usize {
        now += TimeDelta::days(1);
        store.read_only.store(day % 5 > 2, Ordering::SeqCst);
        if day % 17 == 0 {
            servers[day % 2] = server();
        }
        for server in &servers {
            server.clock.set(now);
            let leaf = server
                .authority
                .leaf(&owner)
                .await
                .expect("a leaf each day");
            verify(&leaf, &roots);
            let life = (leaf.not_after - now).num_seconds();
            assert!(life >= 3 * 24 * 60 * 60 - 1, "{life} s on day {day}");
        }
    }
    let renewals = store.renewals.load(Ordering::SeqCst);
    assert!((40..=46).contains(&renewals), "{renewals}");

    let hierarchy = store.rows.lock().expect("lock")[&mesh(1).key()].clone();
    assert_eq!(hierarchy.issuing.not_after, hierarchy.root.not_after);
    assert_eq!(hierarchy.due(), hierarchy.root.not_after, "the last one");
}
