//! `Idempotency-Key`: done once, answered twice.

use std::time::Duration;

use heddle_tests::{Api, Reply, ServerOptions, Stack, until};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::bad_input::dump;

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Reply {
    let headers = [("idempotency-key", key)];
    api.with(Method::POST, path, &headers, Some(body.clone()))
        .await
}

fn port() -> Value {
    json!([{"name": "http", "port": 80, "protocol": "http"}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_with_a_key_is_done_once_and_answered_twice() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let payments = "/meshes/shop/services/payments";
    let creates = [
        (String::from("/meshes"), json!({"name": "x"})),
        (
            String::from("/meshes/shop/services"),
            json!({"name": "x", "ports": port()}),
        ),
        (
            format!("{payments}/routes"),
            json!({"name": "x", "priority": 1, "backends": [{"version": "v1"}]}),
        ),
        (
            format!("{payments}/access-rules"),
            json!({"name": "x", "action": "deny", "from": [{"service": "payments"}]}),
        ),
        (
            String::from("/meshes/shop/join-tokens"),
            json!({"name": "x", "service": "payments"}),
        ),
    ];
    for (i, (path, body)) in creates.iter().enumerate() {
        let key = format!("key {i}");
        let first = post(&api, path, &key, body).await.expect(201);
        assert_eq!(first.header("idempotency-replayed"), None);
        let before = dump(&stack).await;
        let second = post(&api, path, &key, body).await.expect(201);
        assert_eq!(dump(&stack).await, before, "{path} was done twice");
        assert_eq!(second.header("idempotency-replayed"), Some("true"));
        for header in ["etag", "location", "cache-control", "content-type"] {
            assert_eq!(
                second.header(header),
                first.header(header),
                "{path} {header}"
            );
        }
        if first.json["secret"].is_string() {
            // What is shown once is shown once.
            let mut shown = first.json.clone();
            let secret = shown.as_object_mut().unwrap().remove("secret").unwrap();
            assert_eq!(second.json, shown);
            assert_eq!(second.header("heddle-secret-withheld"), Some("true"));
            assert!(
                !before.contains(secret.as_str().unwrap()),
                "a secret was kept"
            );
        } else {
            assert_eq!(second.text, first.text, "{path}");
        }
        // The same key for something else.
        let mut other = body.clone();
        other["name"] = json!("y");
        let refused = post(&api, path, &key, &other).await.expect(422);
        assert_eq!(refused.json["code"], "HED-2024");
        let refused = post(&api, &format!("{path}?dry_run=false"), &key, body).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        // To try is not to do: the key is neither asked for nor used up.
        let tried = post(&api, &format!("{path}?dry_run=true"), &key, &other).await;
        assert_eq!(
            tried.status,
            if i == 2 { 409 } else { 201 },
            "{}",
            tried.text
        );
    }
    // Somebody else's key is another one.
    let admin = stack.server.token("acme", "admin").await;
    let taken = post(&admin, "/meshes", "key 0", &json!({"name": "x"}))
        .await
        .expect(409);
    assert_eq!(taken.json["code"], "HED-2005");
    // What failed is not remembered, and its key may name another request.
    let _ = post(&admin, "/meshes", "key 0", &json!({"name": "z"}))
        .await
        .expect(201);
    let _ = post(&api, "/meshes", &"k".repeat(256), &json!({"name": "long"}))
        .await
        .expect(400);
    let _ = post(&api, "/meshes", &"k".repeat(255), &json!({"name": "long"}))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_whose_request_is_running_is_in_use() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    let mut other = stack.postgres.inspect().await;
    let mut held = other.begin().await.unwrap();
    sqlx::query("select from heddle.meshes for update")
        .execute(&mut *held)
        .await
        .unwrap();
    let body = json!({"name": "x", "ports": port()});
    let path = "/meshes/shop/services";
    let (client, sent) = (api.clone(), body.clone());
    let first = tokio::spawn(async move { post(&client, path, "k", &sent).await });
    // It has its key once it waits for the mesh.
    until("the first waits", Duration::from_secs(10), async || {
        let mut seen = stack.postgres.inspect().await;
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks where locktype = 'advisory' and granted",
        )
        .fetch_one(&mut seen)
        .await
        .unwrap();
        waiting > 0
    })
    .await;
    let second = post(&api, path, "k", &body).await.expect(409);
    assert_eq!(second.json["code"], "HED-2017");
    assert_eq!(second.header("retry-after"), Some("1"));
    held.rollback().await.unwrap();
    let first = first.await.unwrap().expect(201);
    let third = post(&api, path, "k", &body).await.expect(201);
    assert_eq!(third.text, first.text);
}
