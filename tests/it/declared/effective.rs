//! `effective`: the value of each setting, and the level that won it.

use heddle_tests::{ServerOptions, Stack};
use serde_json::{Value, json};

/// A field's value, the level that set it, and the name of the object.
fn field(answer: &Value, name: &str) -> (Value, String, Value) {
    let items = answer["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["field"] == name).unwrap();
    let level = item["from"]["level"].as_str().unwrap().to_owned();
    (item["value"].clone(), level, item["from"]["name"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effective_names_the_level_that_won_each_setting() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let service = "/meshes/shop/services/payments";
    let route = format!("{service}/routes/all");
    let body = json!({"priority": 1, "backends": [{"version": "v1"}]});
    let _ = api.put(&route, body).await.expect(201);
    let at = async |path: &str| api.get(&format!("{path}/effective")).await.expect(200).json;
    let attempts = "retries.attempts";
    for path in [service, &route] {
        let answer = at(path).await;
        assert_eq!(answer["items"][0]["from"]["level"], "built_in");
        assert_eq!(field(&answer, attempts).0, json!(2));
        assert_eq!(field(&answer, attempts).2, Value::Null);
    }
    let mesh = json!({"defaults": {"timeout": "15000ms", "retries": {"attempts": 1}}});
    let mesh = api.patch("/meshes/shop", mesh).await.expect(200);
    let answer = at(&route).await;
    let item = &answer["items"][0];
    assert_eq!(item["field"], "timeout");
    assert_eq!(item["value"], "15000ms");
    let from = json!({"level": "mesh", "kind": "mesh", "name": "shop", "revision": mesh.json["meta"]["revision"]});
    assert_eq!(item["from"], from);
    let defaults = json!({"defaults": {"retries": {"attempts": 0}}});
    let _ = api.patch(service, defaults).await.expect(200);
    let settings = json!({"settings": {"timeout": "2s"}});
    let _ = api.patch(&route, settings).await.expect(200);
    let answer = at(&route).await;
    let named = |value: Value, level: &str, name: &str| (value, level.to_owned(), json!(name));
    assert_eq!(
        field(&answer, "timeout"),
        named(json!("2s"), "route", "all")
    );
    assert_eq!(
        field(&answer, attempts),
        named(json!(0), "service", "payments")
    );
    let answer = at(service).await;
    assert_eq!(
        field(&answer, "timeout"),
        named(json!("15000ms"), "mesh", "shop")
    );

    // One caller makes an exception for itself.
    let upstreams = json!([{"service": "payments", "override": {"timeout": "800ms"}}]);
    let ports = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
    let body = json!({"ports": ports, "upstreams": upstreams});
    let checkout = "/meshes/shop/services/checkout";
    let checkout = api.put(checkout, body).await.expect(201).json;
    let body = json!({"ports": ports});
    let _ = api.put("/meshes/shop/services/reports", body).await;
    let path = format!("{route}/effective?caller=checkout");
    let answer = api.get(&path).await.expect(200).json;
    let from = json!({"level": "upstream", "kind": "service", "name": "checkout", "revision": checkout["meta"]["revision"]});
    assert_eq!(answer["items"][0]["value"], "800ms");
    assert_eq!(answer["items"][0]["from"], from);
    // It says nothing about retries, and nothing for others.
    assert_eq!(field(&answer, attempts).1, "service");
    for (path, level) in [(&route, "route"), (&service.to_owned(), "mesh")] {
        let path = format!("{path}/effective?caller=reports");
        let answer = api.get(&path).await.expect(200).json;
        assert_eq!(field(&answer, "timeout").1, level);
    }
    let path = format!("{service}/effective?caller=checkout");
    let answer = api.get(&path).await.expect(200).json;
    assert_eq!(field(&answer, "timeout").1, "upstream");
}
