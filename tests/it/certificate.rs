//! The certificate by which proxies know the xDS server: another one takes its place while they are connected.

use std::time::Duration;

use heddle_tests::{ServerOptions, Stack, XdsClient, node, until};
use serde_json::json;

const CLUSTERS: &str = "envoy.config.cluster.v3.Cluster";
const FAILED: &str = "heddle_xds_certificate_reload_failures_total";
const NOT_AFTER: &str = "heddle_xds_certificate_not_after_seconds";
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_certificate_is_shown_and_nobody_is_cut_off() {
    let stack = Stack::start(ServerOptions::default()).await;
    let server = &stack.server;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let body = json!({"name": "t", "service": "payments", "reusable": true});
    let token = api.post("/meshes/shop/join-tokens", body).await.expect(201);
    let token = token.json["secret"].as_str().unwrap().to_owned();
    let connect = async |name: &str| {
        let joined = XdsClient::connect(server, &token, node(name, "payments")).await;
        joined.unwrap()
    };
    let mut before = connect("p-1").await;
    before.subscribe(CLUSTERS, &["*"]).await;
    let first = server.metrics().await[NOT_AFTER];

    // Half of the new pair, as when the files are written one after the other: the old pair is shown as before.
    let old = std::fs::read(server.xds_key()).unwrap();
    let trusted = server.xds_ca_pem();
    server.renew_certificate();
    let new = std::fs::read(server.xds_key()).unwrap();
    std::fs::write(server.xds_key(), &old).unwrap();
    server.hang_up();
    until("that is refused", SOON, async || {
        server.metrics().await[FAILED] >= 1.0
    })
    .await;
    assert_eq!(server.metrics().await[NOT_AFTER], first);
    assert!(server.log().contains("the one before stays"));

    std::fs::write(server.xds_key(), &new).unwrap();
    server.hang_up();
    until("the new one is shown", SOON, async || {
        server.metrics().await[NOT_AFTER] > first
    })
    .await;
    assert_ne!(server.xds_ca_pem(), trusted);
    let _after = connect("p-2").await;

    // Who was connected still is, and hears of what changes.
    let _ = before.drain(Duration::from_millis(500)).await.unwrap();
    let service = json!({"ports": [{"name": "http", "port": 80, "protocol": "http"}]});
    let made = api.put("/meshes/shop/services/checkout", service).await;
    let _ = made.expect(201);
    until("the first proxy is told", SOON, async || {
        let (told, _) = before.drain(Duration::from_millis(100)).await.unwrap();
        told.contains_key("heddle/checkout/http")
    })
    .await;
}
