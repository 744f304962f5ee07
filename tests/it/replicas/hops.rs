//! A client that goes from server to server while the mesh changes: what it sees never goes back, and what it holds never comes again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use heddle_tests::{Hopper, ServerOptions, Stack, evidence, node};
use serde_json::json;

use super::{commit, join_token};

async fn hop(hops: u64) -> serde_json::Value {
    let stack = Stack::start(ServerOptions::default()).await;
    let other = stack.server.beside().await;
    let spec = json!({"access_default": "allow"});
    let api = stack
        .mesh("acme", "shop", spec, &["frontend", "payments"])
        .await;
    let token = join_token(&api, "frontend").await;
    let committed = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    // Revisions are made at either server.
    let writer = tokio::spawn({
        let apis = [api.clone(), other.caller(&api.org, &api.token)];
        let (committed, stop) = (Arc::clone(&committed), Arc::clone(&stop));
        async move {
            let mut n = 0;
            let mut pace = tokio::time::interval(Duration::from_millis(25));
            while !stop.load(Ordering::Acquire) {
                n += 1;
                let at = &apis[usize::try_from(n % 2).unwrap()];
                committed.store(commit(at, n).await, Ordering::Release);
                pace.tick().await;
            }
            n
        }
    });
    let mut client = Hopper::new(&token, node("hopper", "frontend"));
    let began = Instant::now();
    let (mut seen, mut resources, mut longest, mut advanced) = (0, 0, Duration::ZERO, 0_u64);
    for n in 0..hops {
        let server = if n % 2 == 0 { &stack.server } else { &other };
        // Whatever was committed is known wherever one comes to, whoever committed it.
        let known = committed.load(Ordering::Acquire).max(seen);
        let start = Instant::now();
        let (hop, _stream) = client.hop(server).await;
        longest = longest.max(start.elapsed());
        let (oldest, newest) = hop.revisions.unwrap();
        assert!(oldest >= known, "hop {n}: revision {oldest} after {known}");
        assert_eq!(hop.unchanged, [] as [String; 0], "hop {n}: it had these");
        assert!(n == 0 || hop.resources <= 4, "hop {n}: {hop:?}");
        advanced += u64::from(newest > seen);
        seen = newest;
        resources += hop.resources;
    }
    let took = began.elapsed();
    stop.store(true, Ordering::Release);
    let revisions = writer.await.unwrap();
    assert!(
        advanced > hops / 20,
        "{advanced} of {hops} hops met a new revision"
    );
    // Both come to the same in the end.
    let mut fresh = Vec::new();
    for server in [&stack.server, &other] {
        let mut client = Hopper::new(&token, node("fresh", "frontend"));
        let _streams = client.hop(server).await;
        fresh.push(client.held);
    }
    assert_eq!(fresh[0], fresh[1]);
    let (last, _stream) = client.hop(&other).await;
    assert_eq!(last.unchanged, [] as [String; 0]);
    assert_eq!(client.held, fresh[0]);
    json!({
        "hops": hops,
        "hops_that_met_a_new_revision": advanced,
        "revisions": revisions,
        "resources": resources,
        "resources_resent_unchanged": 0,
        "hops_to_an_older_revision": 0,
        "longest_hop_ms": u64::try_from(longest.as_millis()).unwrap(),
        "seconds": took.as_secs(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xds_x27_a_client_that_hops_between_servers_never_goes_back() {
    hop(500).await;
}

/// The long form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `make test-long`"]
async fn xds_x27_ten_thousand_hops_between_servers_never_go_back() {
    evidence("replica-hops", 0, hop(10_000).await);
}
