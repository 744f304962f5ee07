//! Access rules on real Envoys: deny wins, paths end at segments, headers cannot lie about the caller, and rules end by
//! themselves.

use std::time::Duration;

use heddle_tests::{Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, until};
use serde_json::json;
use time::OffsetDateTime;

async fn rules(envoy: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh("acme", "shop", json!({}), &["frontend", "payments"])
        .await;
    let start = async |service, proxy| {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        Workload::start(&stack, &api, &spec).await
    };
    let frontend = start("frontend", "frontend-1").await;
    let payments = start("payments", "payments-1").await;
    for workload in [&frontend, &payments] {
        workload.ready(&api, "shop").await;
    }
    let rule = "/meshes/shop/services/payments/access-rules";

    // Nobody said anything: deny is the default.
    until("the default denies", Duration::from_secs(20), async || {
        frontend.call("payments", "/").await.0 == 403
    })
    .await;

    // Allowed on one path only, with one method.
    let allow = json!({"action": "allow", "from": [{"service": "frontend"}], "to": [{"methods": ["GET"], "paths": [{"prefix": "/v1"}]}]});
    let _ = api.put(&format!("{rule}/v1"), allow).await.expect(201);
    until("the path is allowed", Duration::from_secs(5), async || {
        frontend.call("payments", "/v1/x").await.0 == 200
    })
    .await;
    assert_eq!(frontend.call("payments", "/v1").await.0, 200);
    for path in ["/v10", "/", "/v", "/x/v1"] {
        assert_eq!(frontend.call("payments", path).await.0, 403, "{path}");
    }

    // Deny wins over allow.
    let all = json!({"action": "allow", "from": [{"service": "frontend"}]});
    let _ = api.put(&format!("{rule}/all"), all).await.expect(201);
    until(
        "everything is allowed",
        Duration::from_secs(5),
        async || frontend.call("payments", "/").await.0 == 200,
    )
    .await;
    let deny = json!({"action": "deny", "from": [{"service": "frontend"}], "to": [{"paths": [{"exact": "/admin"}]}]});
    let _ = api.put(&format!("{rule}/no-admin"), deny).await.expect(201);
    until("the path is denied", Duration::from_secs(5), async || {
        frontend.call("payments", "/admin").await.0 == 403
    })
    .await;
    assert_eq!(frontend.call("payments", "/other").await.0, 200);
    // security.md 2.3: none of these reaches the application as /admin.
    for path in ["/admin?x", "//admin", "/x/../admin", "/%61dmin", "/./admin"] {
        let (status, answer) = frontend.call("payments", path).await;
        assert!(status == 403 || status == 400, "{path}: {status} {answer}");
    }

    // What the caller says of itself in a header is overwritten by what its certificate says.
    let (_, answer) = frontend.call("payments", "/whoami").await;
    let shown = answer["xfcc"].as_str().unwrap_or_default();
    assert!(shown.contains("/service/frontend"), "{answer}");

    rules_that_come_and_go(&api, &frontend).await;
}

/// What only reports lets everything be; what expires is gone from the proxies without anybody's doing.
async fn rules_that_come_and_go(api: &Api, frontend: &Workload) {
    let rule = "/meshes/shop/services/payments/access-rules";
    let deny =
        json!({"action": "deny", "report_only": true, "to": [{"paths": [{"prefix": "/later"}]}]});
    let _ = api.put(&format!("{rule}/later"), deny).await.expect(201);
    // In force with the next rule at the latest: one revision after the other.
    let end = OffsetDateTime::now_utc() + Duration::from_secs(6);
    let (date, (h, m, s)) = (end.date(), end.time().as_hms());
    let expires = format!("{date}T{h:02}:{m:02}:{s:02}.{:06}Z", end.microsecond());
    let deny =
        json!({"action": "deny", "expires": expires, "to": [{"paths": [{"prefix": "/closed"}]}]});
    let _ = api.put(&format!("{rule}/closed"), deny).await.expect(201);
    until("the path is denied", Duration::from_secs(5), async || {
        frontend.call("payments", "/closed").await.0 == 403
    })
    .await;
    assert_eq!(frontend.call("payments", "/later").await.0, 200);
    let revision = api.get("/meshes/shop").await.expect(200).json["meta"]["revision"].clone();
    until("the rule ends", Duration::from_secs(15), async || {
        frontend.call("payments", "/closed").await.0 == 200
    })
    .await;
    assert!(OffsetDateTime::now_utc() >= end, "too early");
    let after = api.get("/meshes/shop").await.expect(200);
    assert_eq!(after.json["meta"]["revision"], revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_hold_on_the_newest_envoy() {
    rules(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_hold_on_the_oldest_envoy() {
    rules(EnvoyVersion::Oldest).await;
}
