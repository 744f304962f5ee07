//! PostgreSQL stops where it is: it neither answers nor goes away, and what was asked of it would wait for as long.

use std::time::{Duration, Instant};

use heddle_tests::{Api, ServerOptions, Stack, until};
use nix::sys::signal::Signal;
use serde_json::json;

/// As long as a call waits for the database, and what a busy machine adds to that.
const SOON: Duration = Duration::from_secs(4);

async fn put(api: &Api, service: &str) -> u16 {
    let body = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let path = format!("/meshes/shop/services/{service}");
    api.put(&path, body).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_f08_a_database_that_says_nothing_keeps_nobody_waiting() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    stack.postgres.at_rest().await;
    // Calls that use connections which worked a moment ago, and so do not ask whether they work.
    assert_eq!(put(&api, "before").await, 201);
    stack.postgres.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    let calls = (0..8).map(|n| {
        let api = api.clone();
        async move {
            let began = Instant::now();
            let reply = api.get("/meshes/shop/services").await;
            let written = put(&api, &format!("s{n}")).await;
            (began.elapsed(), reply, written)
        }
    });
    for (took, reply, written) in futures::future::join_all(calls).await {
        assert_eq!((reply.status, written), (503, 503), "{}", reply.text);
        assert_eq!(reply.retry_after.as_deref(), Some("1"));
        // Two calls: the second one is told at once.
        assert!(took < SOON, "{took:?}");
    }
    assert_eq!(api.ready_status().await, Some(503));
    assert_eq!(api.live_status().await, Some(200));
    let gauge = "heddle_database_connected";
    assert_eq!(stack.server.metrics().await.get(gauge), Some(&0.0));
    assert!(frozen.elapsed() < Duration::from_secs(10));

    stack.postgres.signal(Signal::SIGCONT);
    until("it answers again", Duration::from_secs(10), async || {
        api.get("/meshes/shop/services").await.status == 200
    })
    .await;
    // What went on goes to its end, and nothing of it is held.
    stack.postgres.at_rest().await;
    assert!(put(&api, "s0").await < 300);
    assert_eq!(api.ready_status().await, Some(200));
    assert_eq!(stack.server.metrics().await.get(gauge), Some(&1.0));
    assert!(stack.server.log().contains("the database answers again"));
}
