//! Guardrails: checked when something is written, at every level; and when they are tightened, against what is there.

use heddle_tests::{ServerOptions, Stack};
use serde_json::json;

#[tokio::test]
async fn nothing_is_written_beyond_a_guardrail_and_none_is_set_within_what_is_there() {
    let stack = Stack::start(ServerOptions::default()).await;
    let guarded = |timeout: &str| {
        json!({
            "defaults": {"timeout": "10s"},
            "guardrails": {"max_timeout": timeout, "max_retries": 3, "forbid": ["wildcard_allow"]},
        })
    };
    let services = ["payments", "checkout"];
    let api = stack.mesh("acme", "shop", guarded("30s"), &services).await;
    let ports = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
    let backends = json!([{"version": "v1"}]);
    let upstream = |settings| json!([{"service": "payments", "override": settings}]);
    let beyond = json!({"timeout": "31s", "retries": {"attempts": 4, "per_try_timeout": "1m"}});
    let fields = ["retries/attempts", "retries/per_try_timeout", "timeout"];
    let cases = [
        ("/profiles/std", json!({"settings": beyond}), "/settings"),
        (
            "/services/payments",
            json!({"ports": ports, "defaults": beyond}),
            "/defaults",
        ),
        (
            "/services/checkout",
            json!({"ports": ports, "upstreams": upstream(beyond.clone())}),
            "/upstreams/0/override",
        ),
        (
            "/services/payments/routes/all",
            json!({"priority": 1, "backends": backends, "settings": beyond}),
            "/settings",
        ),
    ];
    for (path, body, at) in cases {
        let reply = api
            .put(&format!("/meshes/shop{path}"), body)
            .await
            .expect(422);
        let expected = fields.map(|field| (format!("{at}/{field}"), "HED-1020".to_owned()));
        assert_eq!(reply.violations(), expected, "{path}");
        assert!(reply.text.contains("max_timeout"), "{}", reply.text);
    }
    let everybody = json!({"action": "allow"});
    let rule = "/meshes/shop/services/payments/access-rules/all";
    let reply = api.put(rule, everybody.clone()).await.expect(422);
    assert_eq!(
        reply.violations(),
        [("/from".to_owned(), "HED-1020".to_owned())]
    );
    // Nobody is not everybody.
    let _ = api.put(rule, json!({"action": "deny"})).await.expect(201);

    // Within the bounds, everything goes; then the bounds are moved.
    let within = json!({"timeout": "30s"});
    let put = async |path: &str, body, status| {
        let _ = api
            .put(&format!("/meshes/shop{path}"), body)
            .await
            .expect(status);
    };
    put("/profiles/std", json!({"settings": within}), 201).await;
    put(
        "/services/payments",
        json!({"ports": ports, "defaults": within}),
        200,
    )
    .await;
    put(
        "/services/checkout",
        json!({"ports": ports, "upstreams": upstream(within.clone())}),
        200,
    )
    .await;
    put(
        "/services/payments/routes/all",
        json!({"priority": 1, "backends": backends, "settings": within}),
        201,
    )
    .await;
    let revision = api.get("/meshes/shop").await.json["status"]["revision"].clone();
    let reply = api.put("/meshes/shop", guarded("29s")).await.expect(409);
    assert_eq!(reply.json["code"], "HED-2020");
    let errors = reply.json["errors"].as_array().unwrap();
    let listed: Vec<_> = errors
        .iter()
        .map(|e| e["detail"].as_str().unwrap())
        .collect();
    let objects = [
        "profile std, /settings/timeout",
        "route payments/all, /settings/timeout",
        "service checkout, /upstreams/0/override/timeout",
        "service payments, /defaults/timeout",
    ];
    assert_eq!(listed.len(), objects.len(), "{listed:?}");
    for (line, object) in listed.iter().zip(objects) {
        assert!(line.starts_with(object) && line.contains("29s"), "{line}");
    }
    let after = api.get("/meshes/shop").await.json["status"]["revision"].clone();
    assert_eq!(
        revision, after,
        "a guardrail that is refused changes nothing"
    );

    // Without the guardrail the wildcard may be written, and then the guardrail may not come back.
    let _ = api.put("/meshes/shop", json!({})).await.expect(200);
    let _ = api.put(rule, everybody).await.expect(200);
    let reply = api.put("/meshes/shop", guarded("30s")).await.expect(409);
    assert!(
        reply.text.contains("access rule payments/all, /from"),
        "{}",
        reply.text
    );
}
