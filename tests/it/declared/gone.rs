//! A delete never fails because somebody refers to the object; who does is shown what became of it.

use heddle_tests::{ServerOptions, Stack};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_and_who_refers_to_it_is_told() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh("acme", "shop", json!({}), &["payments", "ledger"])
        .await;
    let route = "/meshes/shop/services/payments/routes/all";
    let body = json!({"priority": 1, "backends": [{"version": "v1"}, {"service": "ledger"}]});
    let made = api.put(route, body.clone()).await.expect(201);
    assert_eq!(made.json["status"], Value::Null);
    let rule = "/meshes/shop/services/payments/access-rules/one";
    let allowed = json!({"action": "allow", "from": [{"service": "ledger"}]});
    let _ = api.put(rule, allowed).await.expect(201);

    let _ = api.delete("/meshes/shop/services/ledger").await.expect(204);
    let etag = made.etag.clone().unwrap();
    let known = [("if-none-match", etag.as_str())];
    let read = api.with(reqwest::Method::GET, route, &known, None).await;
    let read = read.expect(200);
    assert_eq!(read.etag, made.etag);
    let finding = &read.json["status"]["findings"][0];
    assert_eq!(finding["code"], "HED-4001");
    assert_eq!(finding["pointer"], "/backends/1/service");
    let list = api.get("/meshes/shop/services/-/routes").await.expect(200);
    assert_eq!(list.json["items"][0], read.json);
    let rules = api.get("/meshes/shop/services/payments/access-rules").await;
    assert_eq!(
        rules.json["items"][0]["status"]["findings"][0]["pointer"],
        "/from/0/service"
    );

    // It can still be written; what is new must lead somewhere.
    let same = api.put(route, read.json.clone()).await.expect(200);
    assert_eq!(same.json, read.json);
    let changed = api.patch(route, json!({"priority": 2})).await.expect(200);
    assert_eq!(changed.json["status"], read.json["status"]);
    let other = json!({"backends": [{"service": "nobody"}]});
    let _ = api.patch(route, other).await.expect(422);

    // With the service comes peace.
    let ports = json!({"ports": [{"name": "http", "port": 80, "protocol": "http"}]});
    let _ = api
        .put("/meshes/shop/services/ledger", ports)
        .await
        .expect(201);
    assert_eq!(api.get(route).await.expect(200).json["status"], Value::Null);
}
