//! One of two servers is killed under load: no update is lost, and no call fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use heddle_tests::{Api, Held, Hopper, Outcome, Server, Traffic, node, until};
use serde_json::json;
use tokio::sync::watch;

use super::{Pair, commit, join_token};

/// Writes revisions at a server until told to stop.
fn write(api: Api, counter: Arc<AtomicU64>) -> (watch::Sender<bool>, tokio::task::JoinHandle<u64>) {
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let mut last = 0;
        while !*stopped.borrow() {
            last = commit(&api, counter.fetch_add(1, Ordering::Relaxed)).await;
        }
        last
    });
    (stop, task)
}

async fn held(server: &Server, token: &str, name: &str) -> Held {
    let mut client = Hopper::new(token, node(name, "frontend"));
    let _stream = client.hop(server).await;
    client.held
}

async fn everywhere(api: &Api, revision: u64) {
    until(
        "the last revision is everywhere",
        Duration::from_secs(20),
        async || {
            let path = format!("/meshes/shop/revisions/{revision}/rollout?wait=5s");
            let seen = api.get(&path).await.expect(200).json;
            let done = |key: &str| seen[key].as_u64().unwrap_or_default();
            done("acked") + done("skipped") >= 2 && done("pending") + done("nacked") == 0
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xds_x27_killing_either_server_under_load_loses_no_update() {
    let mut pair = Pair::start().await;
    let api = pair.mesh().await;
    let other = pair.at_other(&api);
    let token = join_token(&api, "frontend").await;
    pair.to_one();
    let frontend = pair.workload(&api, "frontend", "frontend-1").await;
    pair.to_other();
    let payments = pair.workload(&api, "payments", "payments-1").await;
    frontend.ready(&other, "shop").await;
    payments.ready(&api, "shop").await;
    until("payments answers", Duration::from_secs(10), async || {
        frontend.call("payments", "/").await.0 == 200
    })
    .await;
    pair.to_both();
    let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
    let traffic = Traffic::start(&url, "payments", 2, Duration::from_millis(10), "/version");
    let counter = Arc::new(AtomicU64::new(1));
    for victim in [0, 1] {
        let (survivor, writer_at) = match victim {
            0 => (&other, other.clone()),
            _ => (&api, api.clone()),
        };
        let (stop, writer) = write(writer_at, Arc::clone(&counter));
        let from = counter.load(Ordering::Relaxed);
        let until_writes = async |more: u64| {
            let enough = || counter.load(Ordering::Relaxed) >= from + more;
            until("it writes", Duration::from_secs(60), async || enough()).await;
        };
        until_writes(40).await;
        match victim {
            0 => pair.stack.server.kill().await,
            _ => pair.other.kill().await,
        }
        until_writes(120).await;
        stop.send_replace(true);
        let last = writer.await.unwrap();
        everywhere(survivor, last).await;
        for workload in [&frontend, &payments] {
            workload.ready(survivor, "shop").await;
        }
        // What Envoy has is what was written last.
        let wanted = format!(
            "{:.3}s",
            (10_000 + counter.load(Ordering::Relaxed) - 1) as f64 / 1000.0
        );
        let routes = frontend
            .envoy
            .admin("/config_dump?resource=dynamic_route_configs")
            .await;
        assert!(
            routes.contains(&wanted),
            "no timeout of {wanted} in {routes}"
        );
        match victim {
            0 => pair.stack.server.start_again().await,
            _ => pair.other.start_again().await,
        }
        // Both come to the same, revision by revision.
        for at in [&api, &other, &api] {
            let revision = commit(at, counter.fetch_add(1, Ordering::Relaxed)).await;
            everywhere(at, revision).await;
            let one = held(&pair.stack.server, &token, "one").await;
            assert_eq!(one, held(&pair.other, &token, "two").await, "at {revision}");
        }
    }
    let outcomes = traffic.stop().await;
    let failed = Outcome::failed(&outcomes);
    assert!(
        failed.is_empty(),
        "{} failed: {:?}",
        failed.len(),
        failed.first()
    );
    assert!(outcomes.len() > 500, "{}", outcomes.len());
    for workload in [&frontend, &payments] {
        for kind in ["cluster_manager.cds", "listener_manager.lds"] {
            let stat = format!("{kind}.update_rejected");
            assert_eq!(workload.envoy.stat(&stat).await, 0, "{stat}");
        }
    }
    let list = api.get("/meshes/shop/proxies/payments-1").await.expect(200);
    assert_eq!(list.json["state"], json!("ready"));
}
