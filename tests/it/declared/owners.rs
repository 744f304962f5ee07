//! Whose an object is: the first manager that says so, and what others may then do.

use heddle_tests::{Api, Reply, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use super::kinds;

const A: &str = r#"terraform; ref="app/a"; url="https://a.example""#;
const B: &str = r#"terraform; ref="app/b""#;

async fn write(
    api: &Api,
    method: Method,
    path: &str,
    manager: &str,
    body: Option<&Value>,
) -> Reply {
    let headers: &[_] = match manager {
        "" => &[],
        manager => &[("heddle-manager", manager)],
    };
    api.with(method, path, headers, body.cloned()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_belongs_to_its_first_manager() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let a = json!({"kind": "terraform", "ref": "app/a", "url": "https://a.example"});
    for (_, item, body) in kinds() {
        let made = write(&api, Method::PUT, &item, A, Some(&body))
            .await
            .expect(201);
        assert_eq!(made.json["meta"]["managed_by"], a, "{item}");
        let read = api.get(&item).await.expect(200);
        assert_eq!(read.json["meta"], made.json["meta"]);
        let same = write(&api, Method::PUT, &item, A, Some(&body))
            .await
            .expect(200);
        assert_eq!(same.etag, made.etag);

        // Another manager is told whose it is, whatever it wants to do.
        let patch = json!({"labels": {"by": "another"}});
        for (method, body) in [
            (Method::PUT, Some(&body)),
            (Method::PATCH, Some(&patch)),
            (Method::DELETE, None),
        ] {
            let refused = write(&api, method, &item, B, body).await.expect(409);
            assert_eq!(refused.json["code"], "HED-4091");
            assert_eq!(refused.json["managed_by"], a);
        }
        // A person may, and is told; what changes nothing needs no warning.
        let warned = write(&api, Method::PATCH, &item, "", Some(&patch))
            .await
            .expect(200);
        let findings = warned.json["status"]["findings"].as_array().unwrap();
        assert_eq!(findings[0]["code"], "HED-4091");
        assert_eq!(warned.json["meta"]["managed_by"], a);
        let again = write(&api, Method::PATCH, &item, "", Some(&patch))
            .await
            .expect(200);
        assert_eq!(again.json["status"]["findings"], Value::Null);

        // Taking over, giving back, letting go: no revision, and another ETag.
        let to_b = format!("{item}?takeover=true");
        let taken = write(&api, Method::PATCH, &to_b, B, Some(&patch))
            .await
            .expect(200);
        assert_eq!(taken.json["meta"]["managed_by"]["ref"], "app/b");
        assert_eq!(
            taken.json["meta"]["revision"],
            again.json["meta"]["revision"]
        );
        assert_ne!(taken.etag, again.etag);
        let _ = write(&api, Method::PATCH, &item, A, Some(&patch))
            .await
            .expect(409);
        let released = write(&api, Method::PATCH, &to_b, "", Some(&patch))
            .await
            .expect(200);
        assert_eq!(released.json["meta"]["managed_by"], Value::Null);
        // What nobody manages is adopted by who writes it.
        let adopted = write(&api, Method::PATCH, &item, A, Some(&patch))
            .await
            .expect(200);
        assert_eq!(adopted.json["meta"]["managed_by"], a);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_says_what_it_demands_of_writers() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    let item = "/meshes/shop/services/payments";
    let service =
        |port: u16| json!({"ports": [{"name": "http", "port": port, "protocol": "http"}]});
    let _ = write(&api, Method::PUT, item, A, Some(&service(1)))
        .await
        .expect(201);
    for (rule, status, findings) in [("allow", 200, 0), ("warn", 200, 1), ("block", 409, 0)] {
        let mesh = json!({"changes": {"external_edits": rule}});
        let _ = api.put("/meshes/shop", mesh).await.expect(200);
        let port = 100 + rule.len() as u16;
        let reply = write(&api, Method::PUT, item, "", Some(&service(port)))
            .await
            .expect(status);
        let found = reply.json["status"]["findings"]
            .as_array()
            .map_or(0, Vec::len);
        assert_eq!(found, findings, "{rule}: {}", reply.text);
    }
    let _ = api.delete(item).await.expect(409);
    let warn = json!({"changes": {"external_edits": "warn", "require_if_match": true}});
    let _ = api.put("/meshes/shop", warn.clone()).await.expect(200);

    // Now every change names the state that it is based on; what is new has none.
    let current = api.get(item).await.expect(200).etag.unwrap();
    for reply in [
        api.put(item, service(7)).await,
        api.patch(item, json!({"display_name": "x"})).await,
        api.delete(item).await,
        api.put("/meshes/shop", warn).await,
    ] {
        let reply = reply.expect(428);
        assert_eq!(reply.json["code"], "HED-2027");
        assert!(reply.json["current_etag"].is_string());
    }
    let _ = api
        .put("/meshes/shop/services/new", service(9))
        .await
        .expect(201);
    let by_body = json!({"display_name": "x", "meta": {"etag": current}});
    let changed = api.patch(item, by_body).await.expect(200).etag.unwrap();
    let if_match = [("if-match", changed.as_str())];
    let gone = api
        .with(Method::DELETE, item, &if_match, None)
        .await
        .expect(204);
    assert_eq!(gone.header("heddle-finding"), Some("HED-4091"));
}
