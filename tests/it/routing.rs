//! Where a call goes: hosts, routes, protocols, timeouts and retries, on real Envoys.

use std::time::{Duration, Instant};

use heddle_tests::{Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, until};
use serde_json::json;

async fn pair(stack: &Stack, api: &Api, envoy: EnvoyVersion) -> (Workload, Workload) {
    let start = async |service, proxy| {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        Workload::start(stack, api, &spec).await
    };
    let frontend = start("frontend", "frontend-1").await;
    let payments = start("payments", "payments-1").await;
    for workload in [&frontend, &payments] {
        workload.ready(api, "shop").await;
    }
    until("payments answers", Duration::from_secs(20), async || {
        frontend.call("payments", "/").await.0 == 200
    })
    .await;
    (frontend, payments)
}

async fn hosts_routes_and_settings(envoy: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["frontend", "payments"],
        )
        .await;
    let (frontend, payments) = pair(&stack, &api, envoy).await;

    // Hosts, in every form; one that nobody knows, by the mesh's setting.
    for host in [
        "payments",
        "payments.shop.mesh",
        "PAYMENTS",
        "payments:8080",
    ] {
        let (status, answer) = frontend.call(host, "/").await;
        assert_eq!(
            (status, answer["service"].as_str()),
            (200, Some("payments")),
            "{host}"
        );
    }
    assert_eq!(frontend.call("nobody.example", "/").await.0, 404);
    let _ = api
        .put(
            "/meshes/shop",
            json!({"access_default": "allow", "unknown_hosts": "bad_gateway"}),
        )
        .await
        .expect(200);
    until(
        "unknown hosts are bad gateways",
        Duration::from_secs(5),
        async || frontend.call("nobody.example", "/").await.0 == 502,
    )
    .await;

    // A route to another service, by path at segment boundaries.
    let route = json!({"priority": 1, "match": [{"path": {"prefix": "/web"}}], "backends": [{"service": "frontend"}]});
    let _ = api
        .put("/meshes/shop/services/payments/routes/web", route)
        .await
        .expect(201);
    until("the route is taken", Duration::from_secs(5), async || {
        frontend.call("payments", "/web/x").await.1["service"] == "frontend"
    })
    .await;
    assert_eq!(
        frontend.call("payments", "/web").await.1["service"],
        "frontend"
    );
    assert_eq!(
        frontend.call("payments", "/webs").await.1["service"],
        "payments"
    );

    // A deleted backend costs its own route only.
    let _ = api
        .put(
            "/meshes/shop/services/ghost",
            json!({"ports": [{"name": "http", "port": 80, "protocol": "http"}]}),
        )
        .await
        .expect(201);
    let route = json!({"priority": 2, "match": [{"path": {"exact": "/ghost"}}], "backends": [{"service": "ghost"}]});
    let _ = api
        .put("/meshes/shop/services/payments/routes/ghost", route)
        .await
        .expect(201);
    let _ = api.delete("/meshes/shop/services/ghost").await.expect(204);
    until(
        "the dangling route answers 503",
        Duration::from_secs(10),
        async || frontend.call("payments", "/ghost").await.0 == 503,
    )
    .await;
    assert_eq!(frontend.call("payments", "/").await.0, 200);

    // A timeout at the service, then a longer one at the route.
    payments.application.think(600);
    let ports = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
    let _ = api
        .put(
            "/meshes/shop/services/payments",
            json!({"ports": ports, "defaults": {"timeout": "200ms"}}),
        )
        .await
        .expect(200);
    until("calls time out", Duration::from_secs(10), async || {
        frontend.call("payments", "/slow").await.0 == 504
    })
    .await;
    let started = Instant::now();
    assert_eq!(frontend.call("payments", "/slow").await.0, 504);
    assert!(
        started.elapsed() < Duration::from_millis(590),
        "{:?}",
        started.elapsed()
    );
    let route = json!({"priority": 3, "match": [{"path": {"exact": "/slow"}}], "backends": [{"service": "payments"}], "settings": {"timeout": "5s"}});
    let _ = api
        .put("/meshes/shop/services/payments/routes/slow", route)
        .await
        .expect(201);
    until(
        "the route has longer",
        Duration::from_secs(10),
        async || frontend.call("payments", "/slow").await.0 == 200,
    )
    .await;
    payments.application.think(0);

    // Retries: none on a plain 503 by default; asked for, two more tries.
    payments.application.answer_with(503);
    let before = payments.application.requests();
    assert_eq!(frontend.call("payments", "/fail").await.0, 503);
    assert_eq!(
        payments.application.requests() - before,
        1,
        "nobody asked for a retry of an answered call"
    );
    let retries = json!({"retries": {"attempts": 2, "on": ["gateway_error"]}});
    let _ = api
        .put(
            "/meshes/shop/services/payments",
            json!({"ports": ports, "defaults": retries}),
        )
        .await
        .expect(200);
    until(
        "the call is tried three times",
        Duration::from_secs(10),
        async || {
            let before = payments.application.requests();
            frontend.call("payments", "/fail").await.0 == 503
                && payments.application.requests() - before == 3
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_routes_and_settings_on_the_newest_envoy() {
    hosts_routes_and_settings(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_routes_and_settings_on_the_oldest_envoy() {
    hosts_routes_and_settings(EnvoyVersion::Oldest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_protocol_reaches_the_application_as_it_is() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["frontend", "payments"],
        )
        .await;
    let (frontend, _payments) = pair(&stack, &api, EnvoyVersion::Newest).await;
    assert_eq!(frontend.call("payments", "/").await.1["http"], "HTTP/1.1");
    for protocol in ["http2", "grpc"] {
        let ports = json!({"ports": [{"name": "http", "port": 8080, "protocol": protocol}]});
        let _ = api
            .put("/meshes/shop/services/payments", ports)
            .await
            .expect(200);
        until(protocol, Duration::from_secs(10), async || {
            frontend.call("payments", "/").await.1["http"] == "HTTP/2.0"
        })
        .await;
    }
}
