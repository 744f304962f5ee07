//! `apply` and `sync`: several objects as one revision or not at all.

use heddle_tests::{Api, Reply, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bad_input::dump;

const APPLY: &str = "/meshes/shop/apply";
const A: &str = r#"terraform; ref="app/a""#;

fn service(name: &str) -> Value {
    json!({"kind": "service", "name": name, "ports": [{"name": "http", "port": 80, "protocol": "http"}]})
}

fn route(service: &str, name: &str, priority: u32, to: &str) -> Value {
    json!({"kind": "route", "service": service, "name": name, "priority": priority, "backends": [{"service": to}]})
}

async fn send(api: &Api, query: &str, manager: &str, mode: &str, resources: &[Value]) -> Reply {
    let headers: &[_] = match manager {
        "" => &[],
        manager => &[("heddle-manager", manager)],
    };
    let body = json!({"mode": mode, "resources": resources});
    api.with(
        Method::POST,
        &format!("{APPLY}{query}"),
        headers,
        Some(body),
    )
    .await
}

fn results(reply: &Reply) -> Vec<String> {
    let results = reply.json["results"].as_array().unwrap().iter();
    results
        .map(|one| {
            format!(
                "{} {}",
                one["name"].as_str().unwrap(),
                one["result"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_is_one_revision_or_nothing() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    // Children before parents, and references ahead.
    let rule = json!({"kind": "access_rule", "service": "a", "name": "one", "action": "deny", "from": [{"service": "b"}]});
    let split = json!({"kind": "split", "service": "a", "route": "x", "weights": [{"version": "v1", "weight": 1}]});
    let list = [
        split,
        rule,
        route("a", "x", 1, "b"),
        route("a", "y", 2, "a"),
        service("a"),
        service("b"),
    ];
    let before = dump(&stack).await;
    let tried = send(&api, "?dry_run=true", "", "apply", &list)
        .await
        .expect(200);
    assert_eq!(dump(&stack).await, before);
    let done = send(&api, "", "", "apply", &list).await.expect(200);
    assert_eq!(done.json["revision"], json!(2));
    assert_eq!(
        results(&done),
        [
            "split created",
            "one created",
            "x created",
            "y created",
            "a created",
            "b created"
        ]
    );
    assert_eq!(results(&tried), results(&done));
    assert_eq!(tried.json["revision"], done.json["revision"]);
    let split = "/meshes/shop/services/a/routes/x/split";
    let read = api.get(split).await.expect(200);
    assert_eq!(
        read.json["meta"]["etag"],
        done.json["results"][0]["meta"]["etag"]
    );
    assert_eq!(read.json["meta"]["revision"], json!(2));
    let again = send(&api, "", "", "apply", &list).await.expect(200);
    assert_eq!(again.json["changed"], json!(false));
    assert_eq!(again.json["revision"], json!(2));
    assert!(results(&again).iter().all(|one| one.ends_with("unchanged")));

    // Priorities change hands.
    let swap = [route("a", "x", 2, "b"), route("a", "y", 1, "a")];
    let swapped = send(&api, "", "", "apply", &swap).await.expect(200);
    assert_eq!(results(&swapped), ["x replaced", "y replaced"]);
    assert_eq!(swapped.json["revision"], json!(3));

    // Everything that is wrong, in all items, and nothing written.
    let before = dump(&stack).await;
    let bad = [
        service("ok"),
        json!({"kind": "service", "name": "a", "ports": []}),
        json!({"kind": "route", "service": "a", "name": "z", "priority": 9, "backends": [{"version": "v1"}], "match": [{"path": {"prefix": "nope"}}]}),
        json!({"kind": "planet", "name": "x"}),
        json!({"kind": "route", "name": "q", "priority": 1, "backends": [{"version": "v1"}]}),
        service("ok"),
    ];
    let refused = send(&api, "", "", "apply", &bad).await.expect(422);
    for (pointer, code) in [
        ("/resources/1/ports", "HED-1005"),
        ("/resources/2/match/0/path/prefix", "HED-1006"),
        ("/resources/3/kind", "HED-1007"),
        ("/resources/4/service", "HED-1004"),
        ("/resources/5", "HED-1009"),
    ] {
        let wanted = (pointer.to_owned(), code.to_owned());
        assert!(
            refused.violations().contains(&wanted),
            "{pointer}: {}",
            refused.text
        );
    }
    let mut stale = service("a");
    stale["meta"] = json!({"etag": "\"r1-00000000\""});
    for (list, status, pointer) in [
        (
            vec![route("none", "x", 1, "a")],
            422,
            "/resources/0/service",
        ),
        (
            vec![service("c"), route("a", "n", 7, "nobody")],
            422,
            "/resources/1/backends/0/service",
        ),
        (vec![route("a", "n", 1, "b")], 409, "/resources/0/priority"),
        (
            vec![
                json!({"kind": "service", "name": "c", "hostnames": ["a"], "ports": service("c")["ports"]}),
            ],
            409,
            "/resources/0/hostnames/0",
        ),
        (vec![stale], 412, "/resources/0/meta/etag"),
    ] {
        let refused = send(&api, "", "", "apply", &list).await.expect(status);
        assert!(
            refused.violations().iter().any(|(p, _)| p == pointer),
            "{}",
            refused.text
        );
    }
    assert_eq!(dump(&stack).await, before, "something was written");
    // Access rules need a permission of their own.
    let developer = stack.server.token("acme", "developer").await;
    let rule = json!({"kind": "access_rule", "service": "a", "name": "two", "action": "allow", "from": [{"service": "b"}]});
    let refused = send(&developer, "", "", "apply", &[rule, service("d")])
        .await
        .expect(403);
    assert_eq!(refused.json["permission"], "access:write");
    let _ = send(&developer, "", "", "apply", &[service("d")])
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_removes_only_what_is_its_own() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["mine"]).await;
    let list = [
        service("a"),
        service("b"),
        service("c"),
        route("a", "x", 1, "b"),
        route("c", "y", 1, "c"),
    ];
    let _ = send(&api, "", "", "sync", &list).await.expect(422);
    let made = send(&api, "", A, "sync", &list).await.expect(200);
    assert!(results(&made).iter().all(|one| one.ends_with("created")));
    assert_eq!(
        api.get("/meshes/shop/services/a").await.json["meta"]["managed_by"]["ref"],
        "app/a"
    );
    // Somebody's route below a service of the manager's.
    let foreign = json!({"priority": 5, "backends": [{"version": "v1"}]});
    let _ = api
        .put("/meshes/shop/services/c/routes/foreign", foreign)
        .await
        .expect(201);
    let other = r#"terraform; ref="app/b""#;
    let _ = send(&api, "", other, "apply", &[service("other")])
        .await
        .expect(200);

    let before = dump(&stack).await;
    let plan = send(&api, "?dry_run=true", A, "sync", &[service("a")])
        .await
        .expect(200);
    assert_eq!(dump(&stack).await, before);
    let done = send(&api, "", A, "sync", &[service("a")]).await.expect(200);
    assert_eq!(results(&plan), results(&done));
    let mut left = results(&done);
    left.sort();
    assert_eq!(
        left,
        [
            "a unchanged",
            "b deleted",
            "c kept",
            "x deleted",
            "y deleted"
        ]
    );
    let names = |list: &Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let services = api.get("/meshes/shop/services").await.expect(200).json;
    assert_eq!(names(&services), ["a", "c", "mine", "other"]);
    let routes = api
        .get("/meshes/shop/services/-/routes")
        .await
        .expect(200)
        .json;
    assert_eq!(names(&routes), ["foreign"]);

    // What another one manages is not written either, all or nothing.
    let refused = send(&api, "", other, "apply", &[service("new"), service("a")])
        .await
        .expect(409);
    assert_eq!(refused.json["code"], "HED-4091");
    assert_eq!(refused.violations()[0].0, "/resources/1");
    let _ = api.get("/meshes/shop/services/new").await.expect(404);
    let _ = send(
        &api,
        "?takeover=true",
        other,
        "apply",
        &[service("new"), service("a")],
    )
    .await
    .expect(200);
    assert_eq!(
        api.get("/meshes/shop/services/a").await.json["meta"]["managed_by"]["ref"],
        "app/b"
    );
}
