//! Null says that a field is not there. It is kept as it was sent, and whatever reads it later takes it for that.

use heddle_tests::{ServerOptions, Stack};
use serde_json::{Value, json};

use super::kinds;

/// What only the server writes, or an address says.
const NOT_SENT: [&str; 3] = ["name", "meta", "status"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_is_as_good_as_nothing_wherever_it_is_read_again() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let document = api.raw(reqwest::Method::GET, "/v1/openapi.json", &[], Vec::new());
    let document = document.await.expect(200).json;
    let schemas = ["Mesh", "Service", "Route", "Split", "AccessRule"];
    let mut nulls = 0;
    for (schema, (_, item, mut body)) in schemas.into_iter().zip(kinds()) {
        let known = document["components"]["schemas"][schema]["properties"].as_object();
        let fields = body.as_object_mut().unwrap();
        for field in known.unwrap().keys() {
            if !NOT_SENT.contains(&field.as_str()) && !fields.contains_key(field) {
                fields.insert(field.clone(), Value::Null);
                nulls += 1;
            }
        }
        let made = api.put(&item, body.clone()).await;
        assert_eq!(
            made.status,
            201,
            "{item} {body}: {} {}",
            made.json,
            stack.server.log()
        );
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(made.json.get(field), Some(value), "{item} {field}");
        }
    }
    assert!(nulls > 15, "{nulls}");
    // Every one of them is read by writes of others.
    let profile = json!({"settings": {"timeout": "1s"}});
    let _ = api
        .put("/meshes/shop/profiles/b", profile)
        .await
        .expect(201);
    let nothing = json!({"resources": []});
    let _ = api.post("/meshes/shop/apply", nothing).await.expect(200);
    for (_, item, _) in kinds().into_iter().skip(1) {
        let labels = json!({"labels": {"again": "1"}});
        let _ = api.patch(&item, labels).await.expect(200);
    }
    for path in ["/services/payments", "/services/payments/routes/all"] {
        let _ = api
            .get(&format!("/meshes/shop{path}/effective"))
            .await
            .expect(200);
    }
}
