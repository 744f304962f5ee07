//! The printed `curl`s of the demo, for real: shift the canary, deny a caller.

use std::time::{Duration, Instant};

use heddle_tests::{
    EnvoyVersion, Outcome, ServerOptions, Stack, Traffic, Workload, WorkloadSpec, until,
};
use serde_json::json;

/// frontend -> payments (v1 and v2), all ready.
async fn shop(
    stack: &Stack,
    envoy: EnvoyVersion,
) -> (heddle_tests::Api, Workload, Workload, Workload) {
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "deny"}),
            &["frontend", "payments"],
        )
        .await;
    let route = json!({"priority": 100, "backends": [{"version": "v1"}]});
    let _ = api
        .put("/meshes/shop/services/payments/routes/all", route)
        .await
        .expect(201);
    let split =
        json!({"weights": [{"version": "v1", "weight": 90}, {"version": "v2", "weight": 10}]});
    let _ = api
        .put("/meshes/shop/services/payments/routes/all/split", split)
        .await
        .expect(201);
    let rule = json!({"action": "allow", "from": [{"service": "frontend"}]});
    let _ = api
        .put(
            "/meshes/shop/services/payments/access-rules/frontend-may",
            rule,
        )
        .await
        .expect(201);
    let start = async |service, version, proxy| {
        Workload::start(
            stack,
            &api,
            &WorkloadSpec {
                mesh: "shop",
                service,
                version,
                proxy,
                envoy,
            },
        )
        .await
    };
    let frontend = start("frontend", "v1", "frontend-1").await;
    let v1 = start("payments", "v1", "payments-v1").await;
    let v2 = start("payments", "v2", "payments-v2").await;
    for workload in [&frontend, &v1, &v2] {
        workload.ready(&api, "shop").await;
    }
    // Both versions are endpoints of the caller's Envoy before anything is counted.
    until(
        "both versions answer",
        Duration::from_secs(20),
        async || {
            let clusters = frontend.envoy.admin("/clusters").await;
            ["v1", "v2"]
                .iter()
                .all(|v| clusters.contains(&format!("heddle/payments/http/{v}::127.0.0.1")))
                && frontend.call("payments", "/").await.0 == 200
        },
    )
    .await;
    (api, frontend, v1, v2)
}

async fn shifts_the_canary_and_denies_the_caller(envoy: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let (api, frontend, v1, v2) = shop(&stack, envoy).await;
    let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
    let traffic = Traffic::start(&url, "payments", 4, Duration::from_millis(2), "/version");
    until("traffic flows", Duration::from_secs(10), async || {
        traffic.count() > 500
    })
    .await;

    let asked = Instant::now();
    let split =
        json!({"weights": [{"version": "v1", "weight": 0}, {"version": "v2", "weight": 100}]});
    let _ = api
        .put("/meshes/shop/services/payments/routes/all/split", split)
        .await
        .expect(200);
    let answered = Instant::now();
    until(
        "a second of traffic after the change",
        Duration::from_secs(30),
        async || answered.elapsed() > Duration::from_secs(3),
    )
    .await;
    let outcomes = traffic.stop().await;
    let failed = Outcome::failed(&outcomes);
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        outcomes.len(),
        failed.first()
    );
    let before: Vec<_> = outcomes
        .iter()
        .filter(|o| o.sent < asked)
        .cloned()
        .collect();
    let settled = answered + Duration::from_secs(1);
    let after: Vec<_> = outcomes.into_iter().filter(|o| o.sent > settled).collect();
    let before = Outcome::versions(&before);
    assert!(
        before["v1"] > 4 * before["v2"] && before["v2"] > 0,
        "the split was 90 to 10: {before:?}"
    );
    assert!(!after.is_empty());
    assert_eq!(Outcome::versions(&after).keys().collect::<Vec<_>>(), ["v2"]);

    // The way back, as quickly.
    let newest = api.get("/meshes/shop/revisions?limit=1").await.expect(200);
    let shift = newest.json["items"][0]["revision"].as_u64().unwrap();
    let _ = api
        .post("/meshes/shop/rollbacks", json!({"revert_revision": shift}))
        .await
        .expect(201);
    until("v1 answers again", Duration::from_secs(5), async || {
        frontend.call("payments", "/version").await.1["version"] == "v1"
    })
    .await;

    let rule = json!({"action": "deny", "from": [{"service": "frontend"}], "reason": "test"});
    let reply = api
        .put(
            "/meshes/shop/services/payments/access-rules/no-frontend",
            rule,
        )
        .await
        .expect(201);
    let id = reply.json["meta"]["uid"].as_str().unwrap().to_owned();
    until("the caller is denied", Duration::from_secs(5), async || {
        frontend.call("payments", "/").await.0 == 403
    })
    .await;
    let expected = format!("rbac_access_denied_matched_policy[{id}]");
    until(
        "the access log names the rule",
        Duration::from_secs(10),
        async || {
            [&v1, &v2].iter().any(|w| {
                w.envoy
                    .access_log()
                    .iter()
                    .any(|line| line["response_code_details"] == *expected)
            })
        },
    )
    .await;

    let _ = api
        .delete("/meshes/shop/services/payments/access-rules/no-frontend")
        .await
        .expect(204);
    until(
        "the caller is allowed again",
        Duration::from_secs(5),
        async || frontend.call("payments", "/").await.0 == 200,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shifts_the_canary_and_denies_the_caller_on_the_newest_envoy() {
    shifts_the_canary_and_denies_the_caller(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shifts_the_canary_and_denies_the_caller_on_the_oldest_envoy() {
    shifts_the_canary_and_denies_the_caller(EnvoyVersion::Oldest).await;
}
