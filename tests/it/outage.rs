//! When Heddle is down, traffic flows; when it comes back, nothing is sent again.

use std::time::{Duration, Instant};

use heddle_tests::{
    EnvoyVersion, Outcome, ServerOptions, Stack, Traffic, Workload, WorkloadSpec, evidence, until,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_the_server_costs_nothing() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["frontend", "payments"],
        )
        .await;
    let mut workloads = Vec::new();
    for (service, proxy, envoy) in [
        ("frontend", "frontend-1", EnvoyVersion::Newest),
        ("payments", "payments-1", EnvoyVersion::Oldest),
        ("payments", "payments-2", EnvoyVersion::Newest),
    ] {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        workloads.push(Workload::start(&stack, &api, &spec).await);
    }
    for workload in &workloads {
        workload.ready(&api, "shop").await;
    }
    let frontend = &workloads[0];
    until("payments answers", Duration::from_secs(20), async || {
        frontend.call("payments", "/").await.0 == 200
    })
    .await;

    // Everyone knows both endpoints: nothing is under way when the server dies.
    for workload in &workloads {
        until(
            "both endpoints are known",
            Duration::from_secs(20),
            async || {
                let clusters = workload.envoy.admin("/clusters").await;
                workloads[1..].iter().all(|w| {
                    clusters.contains(&format!(
                        "heddle/payments/http::127.0.0.1:{}::",
                        w.inbound_port
                    ))
                })
            },
        )
        .await;
    }

    let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
    let traffic = Traffic::start(&url, "payments", 4, Duration::from_millis(10), "/version");
    stack.server.kill().await;
    let dead = Instant::now();
    until(
        "the server has been dead for a minute",
        Duration::from_secs(120),
        async || dead.elapsed() >= Duration::from_secs(60) && traffic.count() >= 5_000,
    )
    .await;
    stack.server.start_again().await;
    for workload in &workloads {
        until(
            "every proxy has come back",
            Duration::from_secs(10),
            async || workload.envoy.stat("control_plane.connected_state").await == 1,
        )
        .await;
        workload.ready(&api, "shop").await;
    }
    // Long enough for anything that would come unasked: endpoints expiring, certificates, a second look.
    let back = Instant::now();
    until(
        "some seconds after the return",
        Duration::from_secs(30),
        async || back.elapsed() > Duration::from_secs(8),
    )
    .await;
    let sent = stack.server.sent().await;
    assert!(
        sent.values().all(|count| *count == 0),
        "resent after the return: {sent:?}"
    );

    let outcomes = traffic.stop().await;
    let failed = Outcome::failed(&outcomes);
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        outcomes.len(),
        failed.first()
    );
    assert!(outcomes.len() >= 5_000);

    let rule = json!({"action": "deny", "from": [{"service": "frontend"}]});
    let _ = api
        .put("/meshes/shop/services/payments/access-rules/stop", rule)
        .await
        .expect(201);
    until(
        "a change made now arrives",
        Duration::from_secs(5),
        async || frontend.call("payments", "/").await.0 == 403,
    )
    .await;
    let sent = stack.server.sent().await;
    assert!(sent["rds"] > 0, "{sent:?}");
    assert_eq!(
        (sent["cds"], sent["eds"], sent["lds"], sent["sds"]),
        (0, 0, 0, 0),
        "{sent:?}"
    );
}

/// The long form: the server and the database dead for five minutes, an Envoy of each version on either side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "five minutes; `make test-long`"]
async fn five_minutes_without_server_and_database_cost_nothing() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["frontend", "payments"],
        )
        .await;
    let mut workloads = Vec::new();
    for (service, proxy, envoy) in [
        ("frontend", "frontend-1", EnvoyVersion::Newest),
        ("frontend", "frontend-2", EnvoyVersion::Oldest),
        ("payments", "payments-1", EnvoyVersion::Oldest),
        ("payments", "payments-2", EnvoyVersion::Newest),
    ] {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        workloads.push(Workload::start(&stack, &api, &spec).await);
    }
    for workload in &workloads {
        workload.ready(&api, "shop").await;
    }
    let mut traffics = Vec::new();
    for frontend in &workloads[..2] {
        until("payments answers", Duration::from_secs(20), async || {
            frontend.call("payments", "/").await.0 == 200
        })
        .await;
        let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
        traffics.push(Traffic::start(
            &url,
            "payments",
            4,
            Duration::from_millis(5),
            "/version",
        ));
    }
    stack.server.kill().await;
    stack.postgres.freeze();
    let dead = Instant::now();
    until("five minutes", Duration::from_secs(400), async || {
        dead.elapsed() >= Duration::from_secs(300)
    })
    .await;
    stack.postgres.thaw();
    stack.server.start_again().await;
    let started = Instant::now();
    for workload in &workloads {
        workload.ready(&api, "shop").await;
    }
    let back = started.elapsed();
    let sent: u64 = stack.server.sent().await.values().sum();
    let mut requests = 0;
    let mut failures = 0;
    for traffic in traffics {
        let outcomes = traffic.stop().await;
        requests += outcomes.len();
        failures += Outcome::failed(&outcomes).len();
    }
    evidence(
        "outage",
        0,
        json!({"outage_s": 300, "requests": requests, "failed_requests": failures, "resources_resent": sent, "all_ready_after_s": back.as_secs_f64()}),
    );
    assert_eq!((failures, sent), (0, 0), "of {requests} requests");
    assert!(requests > 50_000, "{requests}");
}
