//! Writes of each kind: tried without being kept, and patched.

use heddle_tests::{Reply, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use super::{filled, kinds, sent};
use crate::bad_input::dump;

/// An answer without what a second call of the same kind changes: who draws lots, and when.
fn steady(reply: &Reply) -> (u16, Value) {
    let mut json = reply.json.clone();
    for pointer in [
        "/meta/uid",
        "/meta/created_at",
        "/meta/updated_at",
        "/status/trust_domain",
        "/expires_at",
    ] {
        if let Some(value) = json.pointer_mut(pointer) {
            *value = Value::Null;
        }
    }
    (reply.status, json)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_answers_as_the_write_would_and_keeps_nothing() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let mut todo = Vec::new();
    for (collection, item, body) in kinds() {
        todo.push((Method::PUT, item.clone(), Some(body.clone())));
        let mut changed = body.clone();
        if let Some(collection) = collection {
            let mut named = body;
            named["name"] = json!("second");
            if named["priority"] != Value::Null {
                named["priority"] = json!(7);
            }
            todo.push((Method::POST, collection, Some(named)));
            changed["display_name"] = json!("Changed");
        } else {
            changed["weights"][0]["weight"] = json!(2);
        }
        todo.push((Method::PUT, item.clone(), Some(changed.clone())));
        todo.push((Method::PUT, item.clone(), Some(changed.clone())));
        todo.push((Method::PATCH, item, Some(changed)));
    }
    let token = json!({"name": "t", "service": "payments"});
    let patch = json!({"deletion_protection": false});
    todo.push((Method::PATCH, String::from("/meshes/shop"), Some(patch)));
    for (_, item, _) in kinds().iter().rev() {
        todo.push((Method::DELETE, item.clone(), None));
    }
    let tokens = String::from("/meshes/shop/join-tokens");
    let before_the_end = todo.len() - kinds().len();
    todo.insert(
        before_the_end,
        (Method::DELETE, format!("{tokens}/t"), None),
    );
    todo.insert(before_the_end, (Method::POST, tokens, Some(token)));

    for (method, path, body) in todo {
        let before = dump(&stack).await;
        let tried = format!("{path}?dry_run=true");
        let tried = api.call(method.clone(), &tried, body.clone()).await;
        assert_eq!(dump(&stack).await, before, "{method} {path} kept something");
        assert_eq!(
            tried.header("heddle-dry-run"),
            Some("true"),
            "{}",
            tried.text
        );
        assert!(tried.json["secret"].is_null(), "a secret of nothing");
        let mut done = api.call(method.clone(), &path, body).await;
        if let Some(answer) = done.json.as_object_mut() {
            answer.remove("secret");
        }
        assert!(done.status < 300, "{method} {path}: {}", done.text);
        assert_eq!(done.header("heddle-dry-run"), None);
        assert_eq!(steady(&tried), steady(&done), "{method} {path}");
        assert_eq!(
            tried
                .header("location")
                .map(|at| at.replace("?dry_run=true", ""))
                .as_deref(),
            done.header("location")
        );
    }
    let plain = format!("/meshes/{}?dry_run=false", "fresh");
    let _ = api.put(&plain, json!({})).await.expect(201);
    let _ = api.get("/meshes/fresh").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_merges_onto_what_was_sent_and_keeps_to_etags() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = filled(&stack).await;
    for (collection, item, body) in kinds() {
        let before = api.get(&item).await.expect(200);
        // What changes nothing makes no revision.
        for nothing in [
            json!({}),
            json!({"status": {}, "meta": {"uid": "x"}}),
            body.clone(),
        ] {
            let same = api.patch(&item, nothing).await.expect(200);
            assert_eq!(same.json, before.json, "{item}");
            assert_eq!(same.etag, before.etag);
        }
        let (patch, mut wanted) = match collection {
            Some(_) => (
                json!({"display_name": null, "labels": {"a": null, "new": "x"}, "meta": null}),
                body.clone(),
            ),
            None => (
                json!({"weights": [{"version": "v2", "weight": 3}]}),
                body.clone(),
            ),
        };
        if collection.is_some() {
            let wanted = wanted.as_object_mut().unwrap();
            wanted.remove("display_name");
            let labels = wanted["labels"].as_object_mut().unwrap();
            labels.remove("a");
            labels.insert(String::from("new"), json!("x"));
        } else {
            wanted["weights"] = patch["weights"].clone();
        }
        let etag = before.etag.clone().unwrap();
        let if_match = [("if-match", etag.as_str())];
        let changed = api
            .with(Method::PATCH, &item, &if_match, Some(patch.clone()))
            .await
            .expect(200);
        assert_eq!(sent(&changed.json), wanted, "{item}");
        assert_ne!(changed.etag, before.etag);
        let read = api.get(&item).await.expect(200);
        assert_eq!(read.json, changed.json);
        // The state that it named is gone.
        let stale = api
            .with(Method::PATCH, &item, &if_match, Some(json!({})))
            .await
            .expect(412);
        assert_eq!(stale.json["current_etag"].as_str(), changed.etag.as_deref());
        let by_body = json!({"meta": {"etag": etag}});
        let _ = api.patch(&item, by_body).await.expect(412);
        // Back again.
        let _ = api.put(&item, body.clone()).await.expect(200);
        assert_eq!(sent(&api.get(&item).await.json), body);
    }
    // The rules hold for the whole.
    let service = "/meshes/shop/services/payments";
    let ports = json!({"ports": [{"name": "http", "port": 1, "protocol": "http"}, {"name": "http", "port": 1, "protocol": "http"}]});
    let refused = api.patch(service, ports).await.expect(422);
    let violations = refused.violations();
    assert!(violations.contains(&(String::from("/ports/1/name"), String::from("HED-1009"))));
}
