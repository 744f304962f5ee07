//! What a proxy is told, as the API shows it, against what its Envoy says that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use heddle_tests::{Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, until};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

fn spec<'a>(service: &'a str, proxy: &'a str) -> WorkloadSpec<'a> {
    WorkloadSpec::of_shop(service, proxy, EnvoyVersion::Newest)
}

/// Every page, put together.
async fn config(api: &Api, proxy: &str, query: &str) -> (Value, Vec<Value>) {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/meshes/shop/proxies/{proxy}/config?limit=3{query}{cursor}");
        let mut page = api.get(&path).await.expect(200).json;
        items.extend(page["items"].as_array().cloned().unwrap());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => {
                page["items"] = json!([]);
                return (page, items);
            }
        }
    }
}

fn of_type<'a>(items: &'a [Value], kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let items = items.iter().filter(|item| item["type"] == *kind);
    items
        .map(|item| (item["name"].as_str().unwrap(), item))
        .collect()
}

/// Versions of dynamic resources, as an Envoy keeps them.
async fn held(workload: &Workload) -> BTreeMap<&'static str, BTreeMap<String, String>> {
    let dump = workload.envoy.admin("/config_dump?include_eds").await;
    let dump: Value = serde_json::from_str(&dump).unwrap();
    let mut all: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let mut note = |kind, resource: &Value, name: &Value| {
        if let (Some(name), Some(version)) = (name.as_str(), resource["version_info"].as_str()) {
            let of = all.entry(kind).or_default();
            of.insert(name.to_owned(), version.to_owned());
        }
    };
    for part in dump["configs"].as_array().unwrap() {
        let list = |field: &str| part[field].as_array().cloned().unwrap_or_default();
        for one in list("dynamic_active_clusters") {
            note("cluster", &one, &one["cluster"]["name"]);
        }
        for one in list("dynamic_listeners") {
            note("listener", &one["active_state"], &one["name"]);
        }
        for one in list("dynamic_route_configs") {
            note("route", &one, &one["route_config"]["name"]);
        }
        for one in list("dynamic_active_secrets") {
            note("secret", &one, &one["name"]);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_is_what_the_envoy_holds() {
    let stack = Stack::start(ServerOptions::default()).await;
    let mesh = json!({"access_default": "deny", "defaults": {"timeout": "7s"}});
    let api = stack
        .mesh("acme", "shop", mesh, &["frontend", "payments"])
        .await;
    let rule = json!({"action": "allow", "from": [{"service": "frontend"}]});
    let _ = api
        .put("/meshes/shop/services/payments/access-rules/one", rule)
        .await
        .expect(201);
    let mut payments = Workload::start(&stack, &api, &spec("payments", "payments-1")).await;
    payments.ready(&api, "shop").await;

    let (page, items) = config(&api, "payments-1", "").await;
    assert_eq!(page["connected"], true, "{page}");
    assert_eq!(page["listeners_known"], true, "{page}");
    let states: BTreeSet<&str> = items.iter().filter_map(|i| i["state"].as_str()).collect();
    assert_eq!(states, BTreeSet::from(["acked"]), "{items:#?}");
    assert_eq!(page["counts"]["acked"], items.len(), "{page}");
    // The Envoy's own words, version by version.
    let held = held(&payments).await;
    for kind in ["cluster", "listener", "route", "secret"] {
        let shown: BTreeMap<String, String> = of_type(&items, kind)
            .iter()
            .map(|(name, one)| {
                (
                    (*name).to_owned(),
                    one["version"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        assert_eq!(Some(&shown), held.get(kind), "{kind}");
    }
    // Readable, with the object and the field.
    let routes = of_type(&items, "route");
    let outbound = routes["heddle/outbound"];
    assert!(
        outbound["config"].to_string().contains("\"7s\""),
        "{outbound}"
    );
    let inbound = routes["heddle/inbound/payments/http"];
    let origins = inbound["origins"].as_array().unwrap();
    assert!(
        origins
            .iter()
            .any(|one| one["kind"] == "access_rule" && one["name"] == "payments/one"),
        "{inbound}"
    );
    let listener = of_type(&items, "listener")["heddle/inbound/http"];
    let port = &listener["config"]["address"]["socket_address"]["port_value"];
    assert_eq!(*port, payments.inbound_port, "{listener}");
    let endpoints = of_type(&items, "endpoints")["heddle/payments/http"];
    assert!(
        endpoints["config"]
            .to_string()
            .contains(&payments.inbound_port.to_string())
    );
    // A filter, and a page of it.
    let (_, only) = config(&api, "payments-1", "&type=listener").await;
    assert_eq!(only.len(), of_type(&items, "listener").len());
    assert!(only.iter().all(|item| item["type"] == "listener"));

    // When it has gone, this is what it would get, and nobody claims more.
    payments.envoy.kill().await;
    until("it is offline", PATIENCE, async || {
        config(&api, "payments-1", "").await.0["connected"] == false
    })
    .await;
    let (page, later) = config(&api, "payments-1", "").await;
    assert!(
        later.iter().all(|item| item["state"] == "computed"),
        "{page}"
    );
    assert_eq!(
        of_type(&later, "listener").len(),
        of_type(&items, "listener").len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k02_no_secret_of_a_proxy_is_shown() {
    let stack = Stack::start(ServerOptions::default()).await;
    let mesh = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", mesh, &["payments"]).await;
    let payments = Workload::start(&stack, &api, &spec("payments", "payments-1")).await;
    payments.ready(&api, "shop").await;
    let (page, items) = config(&api, "payments-1", "").await;
    let text = format!("{page}{}", json!(items));
    for word in ["BEGIN", "PRIVATE", "heddle_join_", "inline_bytes\":\"LS0"] {
        assert!(!text.contains(word), "{word}");
    }
    assert!(!text.contains(&payments.token), "the join token");
    // Its certificate, as far as anybody may know it.
    let secrets = of_type(&items, "secret");
    let identity = &secrets["heddle/identity"]["certificates"][0];
    let own = payments.envoy.certificates().await;
    assert!(
        own.to_string()
            .contains(identity["spiffe_id"].as_str().unwrap()),
        "{identity} {own}"
    );
    assert_eq!(secrets["heddle/trust"]["certificates"][0]["use"], "trust");
    // Who may read proxies but not what the mesh says is not shown it this way.
    let account = json!({"name": "narrow"});
    let _ = api.post("/service-accounts", account).await.expect(201);
    let role = json!({"role": "viewer", "service_account": "narrow"});
    let _ = api.post("/role-bindings", role).await.expect(201);
    let narrow = json!({"name": "narrow", "service_account": "narrow", "scopes": ["proxies:read", "meshes:read"]});
    let narrow = api.post("/tokens", narrow).await.expect(201);
    let narrow = api.with_token(narrow.json["secret"].as_str().unwrap());
    let _ = narrow
        .get("/meshes/shop/proxies/payments-1")
        .await
        .expect(200);
    let refused = narrow.get("/meshes/shop/proxies/payments-1/config").await;
    assert_eq!(refused.expect(403).json["permission"], "config:read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_envoy_refuses_is_shown_as_refused() {
    let stack = Stack::start(ServerOptions::default()).await;
    let mesh = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", mesh, &["payments"]).await;
    // Taken: the Envoy cannot listen there.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let body = json!({"name": "t", "service": "payments", "reusable": true});
    let token = api.post("/meshes/shop/join-tokens", body).await.expect(201);
    let token = token.json["secret"].as_str().unwrap().to_owned();
    let [outbound, admin] = heddle_tests::free_ports();
    let path = format!(
        "/v1/orgs/acme/meshes/shop/bootstrap?proxy=payments-1&bind_address=127.0.0.1&inbound_port={port}&outbound_port={outbound}&admin_port={admin}"
    );
    let bootstrap = api
        .with_token(&token)
        .raw(
            reqwest::Method::GET,
            &path,
            &[("accept", "application/yaml")],
            Vec::new(),
        )
        .await
        .expect(200);
    let _envoy = heddle_tests::Envoy::start(
        EnvoyVersion::Newest,
        stack.directory.path(),
        "payments-1",
        &bootstrap.text,
        admin,
    )
    .await;
    until("it refuses its listener", PATIENCE, async || {
        let shown = api.get("/meshes/shop/proxies/payments-1").await;
        shown.status == 200 && shown.json["state"] == "nacked"
    })
    .await;
    let (page, items) = config(&api, "payments-1", "").await;
    let listeners = of_type(&items, "listener");
    let refused = listeners["heddle/inbound/http"];
    assert_eq!(refused["state"], "rejected", "{refused}");
    assert_eq!(refused["nack"]["cause"]["name"], "payments", "{refused}");
    assert_eq!(listeners["heddle/outbound"]["state"], "acked", "{page}");
    assert_eq!(page["counts"]["rejected"], 1, "{page}");
}
