//! A proxy is told of what its service calls, and of nothing else, on real Envoys.

use std::collections::BTreeSet;
use std::time::Duration;

use heddle_tests::{
    Api, EnvoyVersion, Outcome, ServerOptions, Stack, Traffic, Workload, WorkloadSpec, until,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

async fn calls(api: &Api, upstreams: &[&str]) {
    let upstreams: Vec<Value> = upstreams
        .iter()
        .map(|service| json!({"service": service}))
        .collect();
    let body = json!({
        "ports": [{"name": "http", "port": 8080, "protocol": "http"}],
        "upstreams": upstreams,
    });
    let _ = api
        .put("/meshes/shop/services/frontend", body)
        .await
        .expect(200);
}

/// The clusters of the mesh that an Envoy knows.
async fn clusters(workload: &Workload) -> BTreeSet<String> {
    let page = workload.envoy.admin("/clusters?format=json").await;
    let page: Value = serde_json::from_str(&page).unwrap();
    let all = page["cluster_statuses"].as_array().cloned().unwrap();
    let names = all.iter().filter_map(|one| one["name"].as_str());
    let of_mesh = names.filter(|name| name.starts_with("heddle/") && *name != "heddle/xds");
    of_mesh.map(str::to_owned).collect()
}

/// How often an Envoy has been sent anything, by what it was.
async fn updates(workload: &Workload) -> String {
    workload.envoy.admin("/stats?filter=update_success").await
}

async fn settled(api: &Api, proxy: &str) {
    until("it is where the mesh is", PATIENCE, async || {
        let list = api.get("/meshes/shop/proxies?limit=500").await.expect(200);
        let items = list.json["items"].as_array().cloned().unwrap_or_default();
        let here = items.iter().find(|item| item["name"] == *proxy);
        here.is_some_and(|item| item["revision"]["acked"] == item["revision"]["target"])
    })
    .await;
}

async fn scoped(envoy: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let services = ["frontend", "payments", "ledger"];
    let spec = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", spec, &services).await;
    calls(&api, &["payments"]).await;
    let mut workloads = Vec::new();
    for (service, proxy) in [
        ("frontend", "frontend-1"),
        ("payments", "payments-1"),
        ("ledger", "ledger-1"),
    ] {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        workloads.push(Workload::start(&stack, &api, &spec).await);
    }
    let [frontend, payments, ledger] = &workloads[..] else {
        unreachable!()
    };
    for workload in &workloads {
        workload.ready(&api, "shop").await;
    }
    let answers = async |host: &str, status: u16| {
        until("the answer is that", PATIENCE, async || {
            frontend.call(host, "/").await.0 == status
        })
        .await;
    };
    let names = |of: &[&str]| -> BTreeSet<String> {
        of.iter().map(|s| format!("heddle/{s}/http")).collect()
    };

    // What it calls, and no more; who does not say gets everything.
    answers("payments", 200).await;
    assert_eq!(frontend.call("ledger", "/").await.0, 404);
    assert_eq!(clusters(frontend).await, names(&["payments"]));
    assert_eq!(clusters(payments).await, names(&services));

    // A change elsewhere says nothing to it, and it counts as up to date.
    settled(&api, "frontend-1").await;
    let before = updates(frontend).await;
    let body = json!({"priority": 1, "backends": [{"version": "v2"}]});
    let path = "/meshes/shop/services/ledger/routes/all";
    let _ = api.put(path, body).await.expect(201);
    let second = WorkloadSpec {
        mesh: "shop",
        service: "ledger",
        version: "v2",
        proxy: "ledger-2",
        envoy,
    };
    let second = Workload::start(&stack, &api, &second).await;
    second.ready(&api, "shop").await;
    until("payments hears of it", PATIENCE, async || {
        payments.call("ledger", "/").await.1["version"] == "v2"
    })
    .await;
    settled(&api, "frontend-1").await;
    assert_eq!(updates(frontend).await, before);
    // How long changes waited until they were sent is there to be watched.
    let metrics = stack.server.metrics().await;
    let waited = metrics.get("heddle_xds_push_seconds{type=\"rds\",quantile=\"0.99\"}");
    assert!(waited.is_some_and(|seconds| *seconds > 0.0), "{waited:?}");
    assert_eq!(clusters(frontend).await, names(&["payments"]));

    // More is added, and less is taken away, and neither costs a request.
    let traffic = |host: &str| {
        let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
        Traffic::start(&url, host, 2, Duration::from_millis(2), "/version")
    };
    let of_payments = traffic("payments");
    calls(&api, &["payments", "ledger"]).await;
    answers("ledger", 200).await;
    let of_ledger = traffic("ledger");
    let outcomes = of_payments.stop().await;
    assert_eq!(Outcome::failed(&outcomes).len(), 0, "{outcomes:?}");
    let more: BTreeSet<String> = clusters(ledger).await;
    let more: BTreeSet<String> = more
        .into_iter()
        .filter(|n| !n.contains("frontend"))
        .collect();
    assert!(more.contains("heddle/ledger/http/v2"), "{more:?}");
    assert_eq!(clusters(frontend).await, more);
    calls(&api, &["ledger"]).await;
    answers("payments", 404).await;
    until("what it does not call is gone", PATIENCE, async || {
        !clusters(frontend).await.contains("heddle/payments/http")
    })
    .await;
    let outcomes = of_ledger.stop().await;
    assert!(outcomes.len() > 100, "{}", outcomes.len());
    assert_eq!(Outcome::failed(&outcomes).len(), 0, "{outcomes:?}");
    assert_eq!(
        frontend
            .envoy
            .stat("cluster_manager.cds.update_rejected")
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_told_of_what_its_service_calls() {
    scoped(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_envoy_is_told_of_what_its_service_calls() {
    scoped(EnvoyVersion::Oldest).await;
}
