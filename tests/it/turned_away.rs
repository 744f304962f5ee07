//! Proxies that are not let in, as the people of their mesh read of it.

use heddle_tests::{ServerOptions, Stack, XdsClient, node, node_of_release};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_p02_p03_a_join_that_is_refused_is_told_to_the_people_of_the_mesh() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh("acme", "shop", json!({}), &["payments", "checkout"])
        .await;
    let other = stack.mesh("other", "shop", json!({}), &["payments"]).await;
    let token = async |name: &str| {
        let body = json!({"name": name, "service": "payments"});
        let made = api.post("/meshes/shop/join-tokens", body).await.expect(201);
        made.json["secret"].as_str().unwrap().to_owned()
    };
    let connect = async |token: &str, name: &str, service: &str| {
        XdsClient::connect(&stack.server, token, node(name, service)).await
    };
    let refused = async |token: &str, name: &str, service: &str| {
        let refused = connect(token, name, service).await;
        assert!(refused.is_err(), "{name} was let in");
    };
    let (once, gone) = (token("once").await, token("gone").await);
    // Another service's proxy does not use up the token.
    refused(&once, "p-1", "checkout").await;
    assert!(connect(&once, "p-1", "payments").await.is_ok());
    refused(&once, "p-2", "payments").await;
    refused(&once, "p-2", "payments").await;
    let _ = api
        .delete("/meshes/shop/join-tokens/gone")
        .await
        .expect(204);
    refused(&gone, "p-3", "payments").await;
    refused(&gone[..gone.len() - 1], "p-4", "payments").await;

    let query = "/audit-log?action=join&kind=join_token&outcome=refused";
    let log = api.get(&format!("{query}&mesh=shop")).await.expect(200);
    let read: Vec<_> = log.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].clone(), row["after"].clone(), row["ip"].clone()))
        .collect();
    let wanted = [
        ("gone", json!({"reason": "revoked"})),
        ("once", json!({"reason": "used", "node_id": "p-2"})),
        (
            "once",
            json!({"reason": "other_service", "node_id": "p-1", "service": "checkout"}),
        ),
    ];
    assert_eq!(
        read,
        wanted.map(|(name, after)| (json!(name), after, json!("127.0.0.1")))
    );
    let log = other.get(query).await.expect(200);
    assert_eq!(log.json["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_z08_an_envoy_that_would_misread_a_rule_gets_nothing_and_its_people_are_told() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let body = json!({"name": "fleet", "service": "payments", "reusable": true});
    let made = api.post("/meshes/shop/join-tokens", body).await.expect(201);
    let token = made.json["secret"].as_str().unwrap();
    let connect = async |name: &str, release| {
        let node = node_of_release(name, "payments", release);
        XdsClient::connect(&stack.server, token, node).await
    };
    for old in [(1, 35, 13), (1, 9, 0), (0, 99, 0)] {
        let Err(refused) = connect("p-1", old).await else {
            panic!("{old:?} was let in");
        };
        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
        assert!(refused.message().starts_with("HED-3009"), "{refused}");
    }
    let proxies = api.get("/meshes/shop/proxies").await.expect(200);
    assert_eq!(proxies.json["items"], json!([]));
    assert!(connect("p-1", (1, 36, 0)).await.is_ok());

    let query = "/audit-log?action=join&kind=join_token&outcome=refused&mesh=shop";
    let log = api.get(query).await.expect(200);
    let read: Vec<_> = log.json["items"].as_array().unwrap().iter().collect();
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(
        read[0]["after"],
        json!({"reason": "envoy_too_old", "node_id": "p-1"})
    );
}
