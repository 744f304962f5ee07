//! Lists: filters, orders, masks, cursors, and what lies below every parent.

use heddle_tests::{Api, ServerOptions, Stack};
use serde_json::{Value, json};

const SERVICES: &str = "/meshes/shop/services";

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Every page of a list, and the names on all of them.
async fn walk(api: &Api, path: &str, limit: usize) -> (Vec<Value>, Vec<String>) {
    let mut items = Vec::new();
    let sign = if path.contains('?') { '&' } else { '?' };
    let mut next = format!("{path}{sign}limit={limit}");
    loop {
        let page = api.get(&next).await.expect(200);
        let found = page.json["items"].as_array().unwrap().clone();
        assert!(found.len() <= limit);
        items.extend(found);
        match page.json["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}{sign}limit={limit}&cursor={cursor}"),
            None => break,
        }
    }
    let all = names(&json!({ "items": items }));
    (items, all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_filtered_ordered_and_cut_into_pages() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    let ports = json!([{"name": "http", "port": 80, "protocol": "http"}]);
    // Not in the order of their names, and two of them without labels.
    for (name, labels) in [
        ("d", json!({"team": "pay", "tier": "1"})),
        ("a", json!({"team": "pay", "app.example/name": "x y"})),
        ("c", json!({"team": "web", "tier": "1"})),
        ("e", Value::Null),
        ("b", json!({})),
    ] {
        let body =
            json!({"ports": ports, "labels": labels, "display_name": format!("Service {name}")});
        let _ = api
            .put(&format!("{SERVICES}/{name}"), body)
            .await
            .expect(201);
    }
    let changed = json!({"display_name": "Ünusual \"name\""});
    let _ = api
        .patch(&format!("{SERVICES}/a"), changed)
        .await
        .expect(200);
    let encoded = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02x}")).collect() };
    for (filter, expected) in [
        (r#"labels.team="pay""#, "a d"),
        (r#"labels.team!="pay""#, "b c e"),
        (r#"NOT labels.team="pay""#, "b c e"),
        (r#"labels.team="pay" AND labels.tier=1"#, "d"),
        (
            r#"labels.team="web" OR (name!="b" AND NOT labels.team="pay")"#,
            "c e",
        ),
        (r#"labels."app.example/name"="x y""#, "a"),
        (r#"name="a""#, "a"),
        (r#"name="A""#, ""),
        (r#"display_name="Ünusual \"name\"""#, "a"),
        (r#"display_name="' or 1=1 --""#, ""),
        ("meta.revision > 5", "a b"),
        ("meta.revision <= 2", "d"),
        ("meta.created_at < 2020-01-01T00:00:00Z", ""),
        ("meta.updated_at >= 2020-01-01T00:00:00Z", "a b c d e"),
        (r#"labels.none="x""#, ""),
        ("", "!"),
    ] {
        let path = format!("{SERVICES}?filter={}", encoded(filter));
        if expected == "!" {
            let _ = api.get(&path).await.expect(422);
            continue;
        }
        let whole = api.get(&path).await.expect(200);
        assert_eq!(names(&whole.json).join(" "), expected, "{filter}");
        let (_, in_pages) = walk(&api, &path, 1).await;
        assert_eq!(in_pages.join(" "), expected, "{filter} in pages");
    }
    for (order, expected) in [
        ("name", "a b c d e"),
        ("name%20desc", "e d c b a"),
        ("created_at", "d a c e b"),
        ("created_at%20desc", "b e c a d"),
        ("updated_at", "d c e b a"),
    ] {
        for limit in [1, 2, 500] {
            let (_, all) = walk(&api, &format!("{SERVICES}?order_by={order}"), limit).await;
            assert_eq!(all.join(" "), expected, "{order} by {limit}");
        }
    }

    // A cursor belongs to its list.
    let first = api
        .get(&format!("{SERVICES}?limit=2&order_by=name"))
        .await
        .expect(200);
    let cursor = first.json["next_cursor"].as_str().unwrap().to_owned();
    let _ = api
        .get(&format!(
            "{SERVICES}?limit=3&order_by=name&fields=name&cursor={cursor}"
        ))
        .await
        .expect(200);
    for other in [
        format!(
            "{SERVICES}?cursor={cursor}&order_by=name&filter={}",
            encoded("name=a")
        ),
        format!("{SERVICES}?cursor={cursor}&order_by=name%20desc"),
        format!("{SERVICES}?cursor={cursor}&order_by=created_at"),
        format!("/meshes?order_by=name&cursor={cursor}"),
        format!("{SERVICES}/a/routes?order_by=name&cursor={cursor}"),
    ] {
        let refused = api.get(&other).await.expect(422);
        assert_eq!(refused.json["parameter"], "cursor", "{other}");
    }

    // Only what was asked for.
    let masked = api
        .get(&format!("{SERVICES}?fields=name,labels&limit=1"))
        .await
        .expect(200);
    let item = masked.json["items"][0].as_object().unwrap();
    assert_eq!(item.keys().collect::<Vec<_>>(), ["name", "labels"]);
    let unknown = api
        .get(&format!("{SERVICES}?filter={}", encoded("owner=x")))
        .await
        .expect(422);
    assert_eq!(unknown.json["code"], "HED-1014");
    let fields = unknown.json["fields"].as_array().unwrap();
    assert!(fields.contains(&json!("labels.<key>")) && fields.contains(&json!("display_name")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_go_across_parents_and_every_kind_and_annotations_come_back() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh("acme", "shop", json!({}), &["a", "b", "c"])
        .await;
    // The same name below every parent: pages go on by the identifier.
    for service in ["a", "b", "c"] {
        let base = format!("{SERVICES}/{service}");
        let annotations =
            json!({"why": format!("of {service}\n"), "link": "https://wiki.example/x"});
        let route =
            json!({"priority": 1, "backends": [{"version": "v1"}], "annotations": annotations});
        let made = api
            .put(&format!("{base}/routes/all"), route)
            .await
            .expect(201);
        assert_eq!(made.json["annotations"], annotations);
        assert_eq!(
            made.json["meta"]["parent"],
            json!({"mesh": "shop", "service": service})
        );
        let rule = json!({"action": "deny", "from": [{"service": "a"}]});
        let _ = api
            .put(&format!("{base}/access-rules/one"), rule)
            .await
            .expect(201);
        let split = json!({"weights": [{"version": "v1", "weight": 1}], "labels": {"of": service}});
        let made = api
            .put(&format!("{base}/routes/all/split"), split)
            .await
            .expect(201);
        let parent = json!({"mesh": "shop", "service": service, "route": "all"});
        assert_eq!(made.json["meta"]["parent"], parent);
        let read = api
            .get(&format!("{base}/routes/all/split"))
            .await
            .expect(200);
        assert_eq!(read.json, made.json);
    }
    let second = json!({"priority": 2, "backends": [{"version": "v1"}]});
    let _ = api
        .put(&format!("{SERVICES}/b/routes/extra"), second)
        .await
        .expect(201);
    for limit in [1, 3, 50] {
        let (items, all) = walk(&api, &format!("{SERVICES}/-/routes"), limit).await;
        assert_eq!(all, ["all", "all", "all", "extra"]);
        let mut parents: Vec<_> = items
            .iter()
            .map(|item| item["meta"]["parent"]["service"].as_str().unwrap())
            .collect();
        assert_eq!(parents.pop(), Some("b"));
        parents.sort_unstable();
        assert_eq!(parents, ["a", "b", "c"]);
        let (_, rules) = walk(&api, &format!("{SERVICES}/-/access-rules"), limit).await;
        assert_eq!(rules, ["one", "one", "one"]);
    }
    let routes = api
        .get(&format!("{SERVICES}/-/routes?filter=priority%3e1"))
        .await
        .expect(200);
    assert_eq!(names(&routes.json), ["extra"]);
    // What was listed is what is read.
    let read = api
        .get(&format!("{SERVICES}/b/routes/extra"))
        .await
        .expect(200);
    assert_eq!(routes.json["items"][0], read.json);
    // Other meshes are not looked into.
    let _ = api
        .put("/meshes/other", json!({"deletion_protection": false}))
        .await
        .expect(201);
    let none = api.get("/meshes/other/services/-/routes").await.expect(200);
    assert_eq!(none.json["items"], json!([]));
    let _ = api.get("/meshes/none/services/-/routes").await.expect(404);
    let open = api
        .get("/meshes?filter=deletion_protection=false")
        .await
        .expect(200);
    assert_eq!(names(&open.json), ["other"]);
}
