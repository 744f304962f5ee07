//! Join tokens that are bound to networks, give labels, or are for proxies that come and go.

use std::time::Duration;

use heddle_tests::{ServerOptions, Stack, XdsClient, node, until};
use serde_json::json;

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_p02_networks_labels_and_lifetimes_of_a_join_token_hold_for_its_proxies() {
    let options = ServerOptions {
        ephemeral_after: String::from("4s"),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let token = async |name: &str, more: serde_json::Value| {
        let mut body = json!({"name": name, "service": "payments", "reusable": true});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = api.post("/meshes/shop/join-tokens", body).await.expect(201);
        made.json["secret"].as_str().unwrap().to_owned()
    };
    let connect = async |token: &str, name: &str| {
        XdsClient::connect(&stack.server, token, node(name, "payments")).await
    };

    // From here it comes, and not from there.
    let there = token(
        "there",
        json!({"networks": ["192.0.2.0/24", "2001:db8::/32"]}),
    )
    .await;
    let refused = connect(&there, "p-1").await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert!(refused.message().starts_with("HED-3008: "), "{refused}");
    let query = "/audit-log?action=join&kind=join_token&outcome=refused&mesh=shop";
    let log = api.get(query).await.expect(200);
    let row = &log.json["items"][0];
    let after = json!({"reason": "other_network", "node_id": "p-1"});
    assert_eq!(
        (&row["name"], &row["after"], &row["ip"]),
        (&json!("there"), &after, &json!("127.0.0.1"))
    );
    let gone = api.get("/meshes/shop/proxies/p-1").await;
    assert_eq!(gone.status, 404);

    // What its proxies are is said by the token.
    let wanted = json!({"networks": ["127.0.0.0/8"], "labels": {"zone": "eu-1"}});
    let here = token("here", wanted).await;
    let mut lasting = connect(&here, "p-2").await.unwrap();
    lasting.subscribe(CLUSTER, &["*"]).await;
    let shown = api.get("/meshes/shop/proxies/p-2").await.expect(200).json;
    assert_eq!(shown["labels"], json!({"zone": "eu-1"}));
    assert_eq!(shown["ephemeral"], json!(false));

    // One that comes and goes.
    let passing = token("passing", json!({"ephemeral": true})).await;
    let first = connect(&passing, "p-3").await.unwrap();
    let shown = api.get("/meshes/shop/proxies/p-3").await.expect(200).json;
    assert_eq!(shown["ephemeral"], json!(true));
    let uid = shown["meta"]["uid"].clone();
    drop(first);
    until("it is forgotten", Duration::from_secs(30), async || {
        api.get("/meshes/shop/proxies/p-3").await.status == 404
    })
    .await;
    let _again = connect(&passing, "p-3").await.unwrap();
    let shown = api.get("/meshes/shop/proxies/p-3").await.expect(200).json;
    assert_ne!(shown["meta"]["uid"], uid);
    // One of another token is still known when it has gone.
    assert_eq!(api.get("/meshes/shop/proxies/p-2").await.status, 200);
}
