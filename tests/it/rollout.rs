//! Is my change live? Counted from what real Envoys acknowledged, waited for, and cheap for whoever is not concerned.

use std::time::{Duration, Instant};

use heddle_tests::{
    Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, XdsClient, node, until,
    until_some,
};
use serde_json::{Value, json};

fn spec<'a>(service: &'a str, proxy: &'a str) -> WorkloadSpec<'a> {
    WorkloadSpec::of_shop(service, proxy, EnvoyVersion::Newest)
}

async fn revision(api: &Api) -> u64 {
    let mesh = api.get("/meshes/shop").await.expect(200);
    mesh.json["status"]["revision"].as_u64().unwrap()
}

async fn rollout(api: &Api, revision: u64, query: &str) -> Value {
    let path = format!("/meshes/shop/revisions/{revision}/rollout{query}");
    api.get(&path).await.expect(200).json
}

/// A proxy that is connected and never says a word, once a revision waits for it.
async fn silent(stack: &Stack, api: &Api, revision: u64) -> XdsClient {
    let token = json!({"name": "silent", "service": "payments", "reusable": true});
    let token = api.post("/meshes/shop/join-tokens", token).await;
    let token = token.expect(201).json;
    let secret = token["secret"].as_str().unwrap();
    let silent = XdsClient::connect(&stack.server, secret, node("silent", "payments")).await;
    until("it is missed", Duration::from_secs(10), async || {
        rollout(api, revision, "").await["pending"] == 1
    })
    .await;
    silent.unwrap()
}

/// State, acked, skipped, pending, nacked, offline.
fn numbers(seen: &Value) -> (&str, [u64; 5]) {
    let fields = ["acked", "skipped", "pending", "nacked", "offline"];
    let numbers = fields.map(|field| seen[field].as_u64().unwrap());
    assert_eq!(seen["target"], json!(numbers.iter().sum::<u64>()), "{seen}");
    (seen["state"].as_str().unwrap(), numbers)
}

/// The rows of the proxies with the transaction that wrote each.
async fn rows(stack: &Stack) -> String {
    let mut database = stack.postgres.inspect().await;
    let rows = "select string_agg(p.xmin::text || ' ' || p::text, '|' order by p.id) from heddle.proxies p";
    sqlx::query_scalar(rows)
        .fetch_one(&mut database)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_is_live_when_every_envoy_that_it_concerns_has_it() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    let services = ["payments", "ledger"];
    let api = stack.mesh("acme", "shop", open, &services).await;
    let now = revision(&api).await;
    let nobody = rollout(&api, now, "?wait=30s").await;
    assert_eq!(numbers(&nobody), ("live", [0; 5]), "{nobody}");
    assert_eq!(
        (&nobody["done"], &nobody["percent"]),
        (&json!(true), &json!(100))
    );

    let mut payments = Workload::start(&stack, &api, &spec("payments", "payments-1")).await;
    let ledger = Workload::start(&stack, &api, &spec("ledger", "ledger-1")).await;
    payments.ready(&api, "shop").await;
    ledger.ready(&api, "shop").await;

    // An access rule concerns the proxies of its service and nobody else.
    let rule = json!({"action": "deny", "from": [{"service": "ledger"}]});
    let path = "/meshes/shop/services/payments/access-rules/one";
    let _ = api.put(path, rule).await.expect(201);
    let concerned = revision(&api).await;
    let seen = rollout(&api, concerned, "?wait=30s").await;
    assert_eq!(numbers(&seen), ("live", [1, 1, 0, 0, 0]), "{seen}");
    assert_eq!(
        (&seen["done"], &seen["percent"]),
        (&json!(true), &json!(100))
    );
    assert_eq!(
        (&seen["returned"], &seen["held_up_by"]),
        (&json!("settled"), &json!([]))
    );

    // What concerns nobody writes no row about anybody, and is live all the same.
    until(
        "everything is written",
        Duration::from_secs(10),
        async || {
            let before = rows(&stack).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            before == rows(&stack).await
        },
    )
    .await;
    let before = rows(&stack).await;
    for n in 0..20 {
        let labels = json!({"access_default": "allow", "labels": {"n": n.to_string()}});
        let _ = api.put("/meshes/shop", labels).await.expect(200);
    }
    let idle = revision(&api).await;
    assert_eq!(idle, concerned + 20);
    let seen = rollout(&api, idle, "?wait=30s").await;
    assert_eq!(numbers(&seen), ("live", [0, 2, 0, 0, 0]), "{seen}");
    assert_eq!(before, rows(&stack).await, "a row was written");
    let shown = api.get("/meshes/shop/proxies/ledger-1").await.expect(200);
    assert_eq!(shown.json["revision"]["acked"], json!(idle));
    assert_eq!(shown.json["state"], "ready");

    // Whoever is away and may still take calls holds it up; once it takes none, nobody waits for it.
    payments.envoy.kill().await;
    let away = until_some("it is missed", Duration::from_secs(10), async || {
        let _ = api.delete(path).await;
        let seen = rollout(&api, revision(&api).await, "").await;
        // The other one has had the time to acknowledge.
        (seen["offline"] == 1 && seen["pending"] == 0).then_some(seen)
    })
    .await;
    let now = revision(&api).await;
    if away["gone"] == 0 {
        assert_eq!(away["held_up_by"][0]["name"], "payments-1", "{away}");
        assert_eq!(away["held_up_by"][0]["reason"], "offline", "{away}");
        assert_eq!(
            (&away["state"], &away["returned"]),
            (&json!("waiting"), &json!("time"))
        );
    }
    let seen = rollout(&api, now, "?wait=60s").await;
    assert_eq!(numbers(&seen), ("live", [0, 1, 0, 0, 1]), "{seen}");
    // What it had when it left it has.
    let seen = rollout(&api, idle, "").await;
    assert_eq!(numbers(&seen), ("live", [1, 1, 0, 0, 0]), "{seen}");

    // A server that starts anew learns from its proxies what they have.
    stack.server.kill().await;
    stack.server.start_again().await;
    ledger.ready(&api, "shop").await;
    let seen = rollout(&api, now, "?wait=30s").await;
    assert_eq!(seen["done"], json!(true), "{seen}");
}

/// An Envoy that cannot listen where it is told to.
async fn refusing(stack: &Stack, api: &Api) -> (std::net::TcpListener, heddle_tests::Envoy) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let inbound = taken.local_addr().unwrap().port();
    let token = json!({"name": "host-1", "service": "payments"});
    let token = api.post("/meshes/shop/join-tokens", token).await;
    let as_proxy = api.with_token(token.expect(201).json["secret"].as_str().unwrap());
    let [outbound, admin] = heddle_tests::free_ports();
    let path = format!(
        "/v1/orgs/-/meshes/shop/bootstrap?proxy=host-1&bind_address=127.0.0.1&app_address=127.0.0.1&inbound_port={inbound}&outbound_port={outbound}&admin_port={admin}"
    );
    let yaml = [("accept", "application/yaml")];
    let bootstrap = as_proxy
        .raw(reqwest::Method::GET, &path, &yaml, Vec::new())
        .await
        .expect(200);
    let directory = stack.directory.path();
    let newest = EnvoyVersion::Newest;
    let envoy = heddle_tests::Envoy::start(newest, directory, "host-1", &bootstrap.text, admin);
    (taken, envoy.await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_told_who_refuses_what_and_holds_nothing_up() {
    let options = ServerOptions {
        database_connections: 4,
        ..ServerOptions::default()
    };
    let mut stack = Stack::start(options).await;
    let open = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", open, &["payments"]).await;
    let now = revision(&api).await;
    let (_taken, _envoy) = refusing(&stack, &api).await;
    let seen = until_some("it is refused", Duration::from_secs(20), async || {
        let seen = rollout(&api, now, "?wait=5s").await;
        (seen["nacked"] == 1).then_some(seen)
    })
    .await;
    assert_eq!(numbers(&seen), ("refused", [0, 0, 0, 1, 0]), "{seen}");
    assert_eq!(
        (&seen["done"], &seen["percent"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(seen["returned"], "settled", "{seen}");
    let held_up = &seen["held_up_by"][0];
    assert_eq!(
        (&held_up["name"], &held_up["reason"]),
        (&json!("host-1"), &json!("refused"))
    );
    let cause = &held_up["nacks"][0]["cause"];
    assert_eq!(
        (&cause["kind"], &cause["name"]),
        (&json!("service"), &json!("payments"))
    );

    // Somebody whose answer is always under way: connected, and without a word.
    let _silent = silent(&stack, &api, now).await;

    // So many wait for it as may; they hold no connection, and other calls go through.
    let waiting: Vec<_> = (0..32)
        .map(|_| {
            let api = api.clone();
            tokio::spawn(async move {
                let path = format!("/meshes/shop/revisions/{now}/rollout?wait=60s");
                // Whoever looks whether there are too many has a place for a moment.
                loop {
                    let reply = api.get(&path).await;
                    match reply.status {
                        429 => tokio::time::sleep(Duration::from_millis(100)).await,
                        _ => break reply.expect(200).json,
                    }
                }
            })
        })
        .collect();
    let path = format!("/meshes/shop/revisions/{now}/rollout?wait=60s");
    let refused = until_some("there are too many", Duration::from_secs(10), async || {
        let call = tokio::time::timeout(Duration::from_millis(500), api.get(&path));
        call.await.ok().filter(|reply| reply.status == 429)
    })
    .await;
    assert_eq!(refused.json["code"], "HED-2035");
    assert_eq!(refused.retry_after.as_deref(), Some("5"));
    for _ in 0..20 {
        let _ = api.get("/meshes/shop").await.expect(200);
    }
    stack.postgres.at_rest().await;

    // A server that stops answers everybody first.
    let started = Instant::now();
    stack.server.stop().await;
    assert!(
        started.elapsed() < Duration::from_secs(6),
        "{:?}",
        started.elapsed()
    );
    for answer in waiting {
        let seen = answer.await.unwrap();
        assert_eq!(
            (&seen["returned"], &seen["pending"]),
            (&json!("stopping"), &json!(1))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_z10_a_credential_that_is_revoked_ends_the_answer() {
    let stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    let owner = stack.mesh("acme", "shop", open, &["payments"]).await;
    let now = revision(&owner).await;
    let _silent = silent(&stack, &owner, now).await;
    let viewer = stack.server.token("acme", "viewer").await;
    let waiting = tokio::spawn(async move { rollout(&viewer, now, "?wait=60s").await });
    let started = Instant::now();
    let _ = owner.delete("/tokens/test-viewer").await.expect(204);
    let seen = waiting.await.unwrap();
    assert_eq!(seen["returned"], "credential", "{seen}");
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}
