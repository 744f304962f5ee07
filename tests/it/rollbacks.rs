//! Going back to a revision, and taking one back.

mod many;

use heddle_tests::{Api, Reply, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bad_input::dump;

const SHOP: &str = "/meshes/shop";
const PAYMENTS: &str = "/meshes/shop/services/payments";

fn service(port: u16) -> Value {
    json!({"ports": [{"name": "http", "port": port, "protocol": "http"}]})
}

async fn go_back(api: &Api, query: &str, body: Value) -> Reply {
    api.post(&format!("{SHOP}/rollbacks{query}"), body).await
}

async fn revision(api: &Api) -> u64 {
    let newest = api.get(&format!("{SHOP}/revisions?limit=1")).await;
    newest.expect(200).json["items"][0]["revision"]
        .as_u64()
        .unwrap()
}

/// Everything that GETs answer of a mesh, without `meta`.
async fn everything(api: &Api, mesh: &str) -> Vec<Value> {
    let mut all = vec![api.get(mesh).await.expect(200).json];
    let lists = [
        "profiles",
        "services",
        "services/-/routes",
        "services/-/access-rules",
    ];
    for list in lists {
        let mut path = Some(format!("{mesh}/{list}?limit=500"));
        while let Some(page) = path {
            let page = api.get(&page).await.expect(200).json;
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            path = page["next_cursor"]
                .as_str()
                .map(|cursor| format!("{mesh}/{list}?limit=500&cursor={cursor}"));
        }
    }
    // Of splits there is no list. Which there are says the mesh as it is at its newest revision; each is then asked for by its own
    // address, and so are some that should not be there.
    let newest = revision(api).await;
    let mut path = Some(format!(
        "{mesh}/revisions/{newest}/resources?kind=split&limit=500"
    ));
    let mut splits = Vec::new();
    while let Some(page) = path {
        let page = api.get(&page).await.expect(200).json;
        let items = page["items"].as_array().unwrap();
        splits.extend(
            items
                .iter()
                .map(|one| one["meta"]["path"].as_str().unwrap().to_owned()),
        );
        path = page["next_cursor"].as_str().map(|cursor| {
            format!("{mesh}/revisions/{newest}/resources?kind=split&limit=500&cursor={cursor}")
        });
    }
    let routes = all.iter().filter(|one| one["meta"]["kind"] == "route");
    let others = routes.step_by(50).map(|one| {
        let service = one["meta"]["parent"]["service"].as_str().unwrap();
        let route = one["name"].as_str().unwrap();
        format!("services/{service}/routes/{route}/split")
    });
    let others: Vec<String> = others.filter(|path| !splits.contains(path)).collect();
    for split in &splits {
        let split = format!("{mesh}/{split}");
        all.push(api.get(&split).await.expect(200).json);
    }
    for split in others {
        let _ = api.get(&format!("{mesh}/{split}")).await.expect(404);
    }
    for one in &mut all {
        let members = one.as_object_mut().unwrap();
        members.remove("meta");
        members.remove("status");
    }
    all
}

/// A mesh with an object of every kind.
async fn shop(stack: &Stack) -> Api {
    let api = stack.mesh("acme", "shop", json!({}), &["checkout"]).await;
    let objects = [
        (
            format!("{SHOP}/profiles/std"),
            json!({"settings": {"timeout": "3s"}}),
        ),
        (
            PAYMENTS.to_owned(),
            json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}], "profile": "std", "labels": {"team": "pay"}}),
        ),
        (
            format!("{PAYMENTS}/routes/all"),
            json!({"priority": 10, "backends": [{"version": "v1"}]}),
        ),
        (
            format!("{PAYMENTS}/routes/all/split"),
            json!({"weights": [{"version": "v1", "weight": 100}]}),
        ),
        (
            format!("{PAYMENTS}/access-rules/checkout"),
            json!({"action": "allow", "from": [{"service": "checkout"}]}),
        ),
    ];
    for (path, body) in objects {
        let _ = api.put(&path, body).await.expect(201);
    }
    api
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_becomes_what_it_was() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let (then, was) = (revision(&api).await, everything(&api, SHOP).await);
    // One change of each sort: of the mesh itself, of an object, one that is new, one that goes with what is below it.
    let _ = api
        .put(
            SHOP,
            json!({"display_name": "Shop", "access_default": "allow"}),
        )
        .await
        .expect(200);
    let _ = api
        .put(&format!("{SHOP}/services/checkout"), service(9000))
        .await
        .expect(200);
    let _ = api
        .put(&format!("{SHOP}/services/new"), service(9001))
        .await
        .expect(201);
    let _ = api.delete(PAYMENTS).await.expect(204);
    // Again under the same name, so that the old one has to take its place.
    let _ = api.put(PAYMENTS, service(1)).await.expect(201);
    let (base, before) = (revision(&api).await, everything(&api, SHOP).await);
    let differing = api
        .get(&format!("{SHOP}/revisions/{then}/diff?from={base}"))
        .await
        .expect(200);

    // Tried, it answers as it will, and changes nothing.
    let stored = dump(&stack).await;
    let tried = go_back(&api, "?dry_run=true", json!({"to_revision": then}))
        .await
        .expect(201);
    assert_eq!(tried.header("heddle-dry-run"), Some("true"));
    assert_eq!(dump(&stack).await, stored);
    let headers = [
        ("if-match", format!("\"r{base}\"")),
        ("heddle-message", String::from("back to Friday")),
        ("idempotency-key", String::from("friday")),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let path = format!("{SHOP}/rollbacks");
    let body = json!({"to_revision": then});
    let done = api
        .with(Method::POST, &path, &headers, Some(body.clone()))
        .await
        .expect(201);
    assert_eq!(done.json, tried.json);
    assert_eq!(done.json["items"], differing.json["items"]);
    assert_eq!(done.json["base_revision"], base);
    assert_eq!(done.json["revision"], base + 1);
    assert_eq!(
        done.json["summary"],
        json!({"added": 5 - 1, "changed": 2, "removed": 2})
    );
    assert_eq!(everything(&api, SHOP).await, was);
    // The very object that was deleted is back, not another one of its name.
    let first = api
        .get(&format!(
            "{SHOP}/revisions/{then}/resources?kind=service&name=payments"
        ))
        .await;
    let now = api.get(PAYMENTS).await.expect(200);
    assert_eq!(
        now.json["meta"]["uid"],
        first.json["items"][0]["meta"]["uid"]
    );
    assert_eq!(
        now.json["meta"]["created_at"],
        first.json["items"][0]["meta"]["created_at"]
    );
    let made = api
        .get(&format!("{SHOP}/revisions/{}", base + 1))
        .await
        .expect(200);
    assert_eq!(made.json["rolled_back_to"], then);
    assert_eq!(made.json["message"], "back to Friday");

    // The same request again is answered again; another one has nothing to do, and a belief that is wrong is refused.
    let replayed = api
        .with(Method::POST, &path, &headers, Some(body.clone()))
        .await
        .expect(201);
    assert_eq!(replayed.json, done.json);
    let nothing = go_back(&api, "", body.clone()).await.expect(200);
    assert_eq!(nothing.json["changed"], false);
    assert_eq!(nothing.json["revision"], base + 1);
    let stale = [("if-match", headers[0].1)];
    let stale = api.with(Method::POST, &path, &stale, Some(body)).await;
    assert_eq!(
        stale.expect(412).json["current_etag"],
        format!("\"r{}\"", base + 1)
    );
    // There and back again.
    let _ = go_back(&api, "", json!({"to_revision": base}))
        .await
        .expect(201);
    assert_eq!(everything(&api, SHOP).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_later_survives_a_revert() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let split = format!("{PAYMENTS}/routes/all/split");
    let half =
        json!({"weights": [{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}]});
    let _ = api.put(&split, half).await.expect(200);
    let canary = revision(&api).await;
    // Later: another object, and another field of the same service as revision 4.
    let patch = json!({"labels": {"team": "pay", "tier": "1"}});
    let _ = api.patch(PAYMENTS, patch).await.expect(200);
    let labelled = revision(&api).await;
    let _ = api
        .patch(PAYMENTS, json!({"display_name": "Payments"}))
        .await
        .expect(200);
    let reverted = go_back(&api, "", json!({"revert_revision": canary}))
        .await
        .expect(201);
    assert_eq!(
        reverted.json["summary"],
        json!({"added": 0, "changed": 1, "removed": 0})
    );
    let now = api.get(&split).await.expect(200);
    assert_eq!(
        now.json["weights"],
        json!([{"version": "v1", "weight": 100}])
    );
    let _ = go_back(&api, "", json!({"revert_revision": labelled}))
        .await
        .expect(201);
    let now = api.get(PAYMENTS).await.expect(200);
    assert_eq!(now.json["labels"], json!({"team": "pay"}));
    assert_eq!(now.json["display_name"], "Payments");
    let made = api
        .get(&format!("{SHOP}/revisions/{}", revision(&api).await))
        .await;
    assert_eq!(made.expect(200).json["reverted"], labelled);

    // Every obstacle at once, and nothing half-done.
    let two = [
        json!({"kind": "service", "name": "payments", "ports": [{"name": "http", "port": 8080, "protocol": "http"}], "display_name": "P"}),
        json!({"kind": "service", "name": "late", "ports": [{"name": "http", "port": 80, "protocol": "http"}]}),
    ];
    let _ = api
        .post(&format!("{SHOP}/apply"), json!({"resources": two}))
        .await
        .expect(200);
    let both = revision(&api).await;
    let _ = api
        .patch(PAYMENTS, json!({"display_name": "Q"}))
        .await
        .expect(200);
    let late = json!({"priority": 1, "backends": [{"service": "payments"}]});
    let _ = api
        .put(&format!("{SHOP}/services/late/routes/all"), late)
        .await
        .expect(201);
    let stored = dump(&stack).await;
    let refused = go_back(&api, "", json!({"revert_revision": both}))
        .await
        .expect(409);
    assert_eq!(refused.json["code"], "HED-2018");
    let mut violations = refused.violations();
    violations.sort();
    let expected = [
        ("/services/late", "HED-2019"),
        ("/services/payments/display_name", "HED-2019"),
    ];
    assert_eq!(
        violations,
        expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
    );
    let conflicts = refused.json["conflicts"].as_array().unwrap();
    let name = conflicts
        .iter()
        .find(|c| c["pointer"] == "/display_name")
        .unwrap();
    assert_eq!(
        (name["current"].as_str(), name["restored"].as_str()),
        (Some("Q"), Some("Payments"))
    );
    assert_eq!(dump(&stack).await, stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_keeps_the_guardrails_of_now() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let route = format!("{PAYMENTS}/routes/all");
    let slow = json!({"settings": {"timeout": "1m"}});
    let _ = api.patch(&route, slow).await.expect(200);
    let quick = json!({"settings": {"timeout": "2s"}});
    let _ = api.patch(&route, quick).await.expect(200);
    let quicker = revision(&api).await;
    let guarded = json!({"defaults": {"timeout": "5s"}, "guardrails": {"max_timeout": "10s"}});
    let _ = api.patch(SHOP, guarded).await.expect(200);
    let stored = dump(&stack).await;
    let body = json!({"revert_revision": quicker});
    let refused = go_back(&api, "", body).await.expect(409);
    assert_eq!(refused.json["code"], "HED-2020");
    assert_eq!(dump(&stack).await, stored);
    // The mesh as it was then had none.
    let _ = go_back(&api, "", json!({"to_revision": quicker - 1}))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_takes_the_rights_and_the_managers_of_what_goes_back() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let then = revision(&api).await;
    let rule = format!("{PAYMENTS}/access-rules/checkout");
    let _ = api.delete(&rule).await.expect(204);
    let without_rule = revision(&api).await;
    let _ = api
        .patch(PAYMENTS, json!({"display_name": "Payments"}))
        .await
        .expect(200);
    let developer = stack.server.token("acme", "developer").await;
    let stored = dump(&stack).await;
    let refused = go_back(&developer, "", json!({"to_revision": then}))
        .await
        .expect(403);
    assert!(refused.text.contains("access:write"), "{}", refused.text);
    assert_eq!(dump(&stack).await, stored);
    let _ = go_back(&developer, "", json!({"to_revision": without_rule}))
        .await
        .expect(201);

    // What a program looks after is its own.
    let manager = [("heddle-manager", r#"terraform; ref="app/a""#)];
    let managed = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}], "display_name": "By Terraform"});
    let _ = api
        .with(Method::PUT, PAYMENTS, &manager, Some(managed))
        .await
        .expect(200);
    let changes = json!({"changes": {"external_edits": "block"}});
    let _ = api.patch(SHOP, changes).await.expect(200);
    let blocked = revision(&api).await;
    let patch = json!({"display_name": "By Terraform, too"});
    let _ = api
        .with(
            Method::PATCH,
            PAYMENTS,
            &[manager[0], ("content-type", "application/merge-patch+json")],
            Some(patch),
        )
        .await
        .expect(200);
    let refused = go_back(&api, "", json!({"to_revision": blocked}))
        .await
        .expect(409);
    assert_eq!(
        refused.violations(),
        [(String::from("/services/payments"), String::from("HED-4091"))]
    );
    let _ = go_back(&api, "?takeover=true", json!({"to_revision": blocked}))
        .await
        .expect(201);
    let now = api.get(PAYMENTS).await.expect(200);
    assert_eq!(now.json["display_name"], "By Terraform");
    assert_eq!(now.json["meta"]["managed_by"], Value::Null);
}
