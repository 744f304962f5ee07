//! The history of a mesh over REST.

use heddle_tests::{Api, Reply, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};

const PAYMENTS: &str = "/meshes/shop/services/payments";
const REVISIONS: &str = "/meshes/shop/revisions";

fn service(port: u16) -> Value {
    json!({"ports": [{"name": "http", "port": port, "protocol": "http"}]})
}

/// PUT with what the author says about it.
async fn put_because(api: &Api, path: &str, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    let path = format!("/v1/orgs/{}{path}", api.org);
    api.raw(Method::PUT, &path, &all, body.to_string().into_bytes())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_a_revision_that_says_who_why_and_what() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    let said = [
        ("heddle-message", "Zahlungen, endlich"),
        ("heddle-change-group", "run/7"),
        ("user-agent", "terraform/1.9"),
    ];
    let created = put_because(&api, PAYMENTS, &service(8080), &said)
        .await
        .expect(201);
    let with_parameter = format!("{PAYMENTS}?message=the%20other%20port");
    let _ = api.put(&with_parameter, service(8081)).await.expect(200);
    // The same again is no revision.
    let _ = api.put(&with_parameter, service(8081)).await.expect(200);
    let _ = api.delete(PAYMENTS).await.expect(204);

    let list = api.get(REVISIONS).await.expect(200);
    let items = list.json["items"].as_array().unwrap();
    let numbers: Vec<u64> = items
        .iter()
        .map(|item| item["revision"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
    let second = &items[2];
    assert_eq!(second["message"], "Zahlungen, endlich");
    assert_eq!(second["change_group"], "run/7");
    assert_eq!(second["client"], "terraform/1.9");
    assert_eq!(second["parent"], 1);
    assert_eq!(
        second["summary"],
        json!({"added": 1, "changed": 0, "removed": 0})
    );
    let token = second["author"]["token"].as_str().unwrap();
    assert!(token.starts_with("tok_"));
    assert!(
        second["author"]["actor"]
            .as_str()
            .unwrap()
            .starts_with(token)
    );
    assert_eq!(items[1]["message"], "the other port");
    assert_eq!(items[0]["message"], Value::Null);
    let group = api
        .get(&format!("{REVISIONS}?change_group=run%2F7"))
        .await
        .expect(200);
    assert_eq!(group.json["items"].as_array().map(Vec::len), Some(1));
    // Pages add up to the whole.
    let first = api.get(&format!("{REVISIONS}?limit=3")).await.expect(200);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let rest = api
        .get(&format!("{REVISIONS}?limit=3&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(rest.json["items"][0]["revision"], 1);
    assert_eq!(rest.json["next_cursor"], Value::Null);

    let uid = created.json["meta"]["uid"].as_str().unwrap();
    let one = api.get(&format!("{REVISIONS}/3")).await.expect(200);
    let object = json!({"change": "changed", "kind": "service", "uid": uid, "name": "payments", "path": "services/payments"});
    assert_eq!(one.json["objects"], json!([object]));
    assert_eq!(one.etag.as_deref(), Some("\"r3\""));

    let diff = async |path: &str| {
        api.get(&format!("{REVISIONS}/{path}"))
            .await
            .expect(200)
            .json
    };
    let changed = diff("3/diff").await;
    assert_eq!(changed["from"], 2);
    let ports = |port: u16| service(port)["ports"].clone();
    let fields = json!([{"pointer": "/ports", "before": ports(8080), "after": ports(8081)}]);
    assert_eq!(changed["items"][0]["fields"], fields);
    let back = diff("2/diff?from=3").await;
    let fields = json!([{"pointer": "/ports", "before": ports(8081), "after": ports(8080)}]);
    assert_eq!(back["items"][0]["fields"], fields);
    let whole = diff("4/diff?from=1").await;
    assert_eq!(whole["items"], json!([]));
    let removed = diff("4/diff?from=2").await;
    assert_eq!(
        removed["summary"],
        json!({"added": 0, "changed": 0, "removed": 1})
    );
    assert_eq!(
        removed["items"][0]["fields"],
        json!([{"pointer": "", "before": service(8080)}])
    );
    let all = diff("3/diff?from=0&limit=1").await;
    assert_eq!(
        all["summary"],
        json!({"added": 2, "changed": 0, "removed": 0})
    );
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1));
    let cursor = all["next_cursor"].as_str().unwrap();
    let rest = diff(&format!("3/diff?from=0&limit=1&cursor={cursor}")).await;
    assert_eq!(rest["items"][0]["name"], "payments");

    // An object that is gone, as its own address answered then.
    let then = api
        .get(&format!("{REVISIONS}/2/resources/{uid}"))
        .await
        .expect(200);
    let mut as_it_was = then.json.clone();
    assert_eq!(as_it_was["meta"]["path"], "services/payments");
    as_it_was["meta"].as_object_mut().unwrap().remove("path");
    // What its address says is in the path here.
    let mut created_as = created.json.clone();
    created_as["meta"].as_object_mut().unwrap().remove("parent");
    assert_eq!(as_it_was, created_as);
    assert_eq!(then.etag, created.etag);
    let _ = api
        .get(&format!("{REVISIONS}/4/resources/{uid}"))
        .await
        .expect(404);
    let by_name = format!("{REVISIONS}/3/resources?kind=service&name=payments");
    let found = api.get(&by_name).await.expect(200);
    assert_eq!(found.json["items"][0]["ports"], ports(8081));
    let whole = api
        .get(&format!("{REVISIONS}/3/resources"))
        .await
        .expect(200);
    assert_eq!(whole.json["items"].as_array().map(Vec::len), Some(2));
}
