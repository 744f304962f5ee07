//! Modes of mutual TLS, on real Envoys: who gets in at a port in each of them, that no call fails on the way from one to the
//! next, and which ways are refused.

use std::time::Duration;

use heddle_tests::{
    Api, EnvoyVersion, Outcome, ServerOptions, Stack, Traffic, Workload, WorkloadSpec, until,
};
use serde_json::{Value, json};

const PAYMENTS: &str = "/meshes/shop/services/payments";
const PATIENCE: Duration = Duration::from_secs(20);

/// A caller without a proxy, that says it is somebody. Status 0: no answer.
async fn plainly(workload: &Workload) -> (u16, Value) {
    let forged = "URI=spiffe://shop/service/frontend";
    let url = format!("http://127.0.0.1:{}/", workload.inbound_port);
    let request = reqwest::Client::new().get(url);
    let request = request.header("host", "payments");
    let request = request.header("x-forwarded-client-cert", forged);
    match request.send().await {
        Err(error) => (0, json!(error.to_string())),
        Ok(answer) => {
            let status = answer.status().as_u16();
            (status, answer.json().await.unwrap_or_default())
        }
    }
}

/// Changes the mode of `payments` under traffic, and waits until every proxy has it and has been called for a while.
async fn change(api: &Api, traffic: &Traffic, mode: &str) {
    // Whoever calls in plain text here is meant to be turned away in the end.
    let path = format!("{PAYMENTS}?accept_plain_callers=true");
    let changed = api.patch(&path, json!({"mtls": mode})).await;
    let revision = changed.expect(200).json["meta"]["revision"].clone();
    let path = format!("/meshes/shop/revisions/{revision}/rollout?wait=30s");
    let seen = api.get(&path).await.expect(200);
    assert_eq!(seen.json["done"], true, "{seen:?}");
    let before = traffic.count();
    until("calls go on", PATIENCE, async || {
        traffic.count() > before + 100
    })
    .await;
}

async fn rule(api: &Api, name: &str, from: Value) {
    let body = json!({"action": "allow", "from": [from]});
    let path = format!("{PAYMENTS}/access-rules/{name}");
    let _ = api.put(&path, body).await.expect(201);
}

/// Whom the application was told that `frontend` is.
async fn seen_as(frontend: &Workload) -> Option<String> {
    let (status, answer) = frontend.call("payments", "/").await;
    assert_eq!(status, 200, "{answer}");
    answer["xfcc"].as_str().map(ToOwned::to_owned)
}

async fn by_name(frontend: &Workload) -> bool {
    let seen = seen_as(frontend).await;
    seen.is_some_and(|xfcc| xfcc.contains("/service/frontend"))
}

async fn modes(envoy: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let services = ["frontend", "payments"];
    let api = stack.mesh("acme", "shop", json!({}), &services).await;
    let start = async |api: &Api, service, proxy| {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        let workload = Workload::start(&stack, api, &spec).await;
        workload.ready(api, "shop").await;
        workload
    };
    let frontend = start(&api, "frontend", "frontend-1").await;
    let payments = start(&api, "payments", "payments-1").await;
    let theirs = stack.mesh("globex", "shop", json!({}), &services).await;
    let other = start(&theirs, "payments", "theirs-1").await;

    // Strict: who has no certificate is turned away before anybody reads what they want.
    rule(&api, "frontend", json!({"service": "frontend"})).await;
    until("frontend is let in", PATIENCE, async || {
        frontend.call("payments", "/").await.0 == 200
    })
    .await;
    assert!(by_name(&frontend).await);
    assert_eq!(plainly(&payments).await.0, 0);

    let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
    let traffic = Traffic::start(&url, "payments", 4, Duration::from_millis(5), "/version");

    // Permissive: heard, and still nobody, whatever they say.
    change(&api, &traffic, "permissive").await;
    until("plain text is answered", PATIENCE, async || {
        plainly(&payments).await.0 == 403
    })
    .await;
    assert!(by_name(&frontend).await);
    rule(&api, "all", json!({"networks": ["127.0.0.0/8"]})).await;
    until("plain text is let in", PATIENCE, async || {
        plainly(&payments).await.0 == 200
    })
    .await;
    let (_, answer) = plainly(&payments).await;
    assert_eq!(answer["xfcc"], Value::Null, "{answer}");
    assert!(by_name(&frontend).await);
    let counted = async |name: &str| payments.envoy.stat(name).await;
    assert!(counted("http.heddle_plain_text_http.downstream_rq_2xx").await >= 2);

    // Off needs rules that can be asked of anybody.
    let refused = api.patch(PAYMENTS, json!({"mtls": "off"})).await;
    let expected = [("/mtls".to_owned(), "HED-2051".to_owned())];
    assert_eq!(refused.expect(409).violations(), expected);
    let _ = api
        .delete(&format!("{PAYMENTS}/access-rules/frontend"))
        .await
        .expect(204);
    let handshakes = async || {
        frontend
            .envoy
            .stat("cluster.heddle/payments/http.ssl.handshake")
            .await
    };
    assert!(handshakes().await > 0);
    change(&api, &traffic, "off").await;
    until("calls come in plain text", PATIENCE, async || {
        seen_as(&frontend).await.is_none()
    })
    .await;
    let told = api.get(&format!("{PAYMENTS}/effective")).await.expect(200);
    let wanted = json!([{"port": "http", "mode": "off", "from": "service"}]);
    assert_eq!(told.json["mtls"], wanted);
    assert_eq!(plainly(&payments).await.0, 200);

    // The other mesh of this name has heard of none of it.
    assert_eq!(plainly(&other).await.0, 0);
    let told = other.envoy.admin("/config_dump").await;
    assert!(told.contains("heddle/inbound/http"));
    assert!(!told.contains("\"transport_protocol\""), "{told}");

    // And back.
    change(&api, &traffic, "permissive").await;
    until("calls come in mutual TLS", PATIENCE, async || {
        by_name(&frontend).await
    })
    .await;
    change(&api, &traffic, "strict").await;
    until("plain text is turned away", PATIENCE, async || {
        plainly(&payments).await.0 == 0
    })
    .await;
    assert!(by_name(&frontend).await);

    let outcomes = traffic.stop().await;
    let failed = Outcome::failed(&outcomes);
    assert!(
        failed.is_empty(),
        "{} of {}: {:?}",
        failed.len(),
        outcomes.len(),
        failed.first()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_z02_each_mode_lets_in_whom_it_should_on_the_newest_envoy() {
    modes(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_z02_each_mode_lets_in_whom_it_should_on_the_oldest_envoy() {
    modes(EnvoyVersion::Oldest).await;
}

fn service(modes: &[(&str, &str)]) -> Value {
    let ports = modes.iter().enumerate().map(|(i, (name, mode))| {
        let mut port = json!({"name": name, "port": 8080 + i, "protocol": "http"});
        if !mode.is_empty() {
            port["mtls"] = json!(mode);
        }
        port
    });
    json!({"ports": ports.collect::<Vec<_>>()})
}

/// Refused with this code at these places, and nothing was written.
fn refused(reply: heddle_tests::Reply, code: &str, places: &[&str]) {
    let reply = reply.expect(409);
    assert_eq!(reply.json["type"], format!("/v1/codes/{code}"), "{reply:?}");
    let expected: Vec<_> = places
        .iter()
        .map(|place| ((*place).to_owned(), code.to_owned()))
        .collect();
    assert_eq!(reply.violations(), expected, "{reply:?}");
}

#[tokio::test]
async fn what_stands_against_a_mode_is_said_whatever_is_written() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    let put = async |path: &str, body: Value| api.put(&format!("/meshes/shop{path}"), body).await;
    let one = "/services/payments";
    let _ = put(one, service(&[("http", ""), ("admin", "permissive")]))
        .await
        .expect(201);
    let named = |action: &str| json!({"action": action, "from": [{"service": "payments"}]});
    let of_port = |action: &str, port: &str| json!({"action": action, "from": [{"service": "payments"}], "to": [{"ports": [port]}]});
    let rule = "/services/payments/access-rules/who";

    // A rule about somebody, where whoever calls in plain text is nobody.
    refused(put(rule, named("deny")).await, "HED-2051", &["/from"]);
    let trial = json!({"action": "deny", "from": [{"service": "payments"}], "report_only": true});
    let _ = put(rule, trial).await.expect(201);
    // One whose time is over decides nothing, until it gets more.
    let over = json!({"action": "deny", "from": [{"service": "payments"}], "expires": "2020-01-01T00:00:00Z"});
    let _ = put(rule, over.clone()).await.expect(200);
    refused(put(rule, named("deny")).await, "HED-2051", &["/from"]);
    let _ = put(rule, of_port("deny", "http")).await.expect(200);
    refused(
        put(rule, of_port("deny", "admin")).await,
        "HED-2051",
        &["/from"],
    );
    let open = service(&[("http", "permissive"), ("admin", "permissive")]);
    refused(put(one, open.clone()).await, "HED-2051", &["/ports/0/mtls"]);
    let _ = put(rule, over).await.expect(200);
    let _ = put(one, open.clone()).await.expect(200);
    refused(
        put(rule, named("deny")).await,
        "HED-2051",
        &["/from", "/from"],
    );
    let _ = put(rule, named("allow")).await.expect(200);
    let _ = put(one, open).await.expect(200);
    let off = service(&[("http", "off"), ("admin", "off")]);
    let both = ["/ports/0/mtls", "/ports/1/mtls"];
    refused(put(one, off.clone()).await, "HED-2051", &both);
    let everybody = json!({"action": "allow"});
    let _ = put(rule, everybody.clone()).await.expect(200);
    refused(put(one, off.clone()).await, "HED-2051", &both);

    // Several objects at once are judged as they would be together.
    let item = |kind: &str, name: &str, body: &Value| {
        let mut item = body.clone();
        item["kind"] = json!(kind);
        item["name"] = json!(name);
        if kind == "access_rule" {
            item["service"] = json!("payments");
        }
        item
    };
    let apply = async |items: Vec<Value>| {
        let body = json!({ "resources": items });
        api.post("/meshes/shop/apply", body).await
    };
    let networks = json!({"action": "allow", "from": [{"networks": ["10.0.0.0/8"]}]});
    let service_off = item("service", "payments", &off);
    let alone = apply(vec![service_off.clone()]).await;
    let places = ["/resources/0/ports/0/mtls", "/resources/0/ports/1/mtls"];
    refused(alone, "HED-2051", &places);
    let stays = apply(vec![
        service_off.clone(),
        item("access_rule", "who", &named("allow")),
    ])
    .await;
    refused(stays, "HED-2051", &["/resources/1", "/resources/1"]);
    let together = vec![item("access_rule", "who", &networks), service_off];
    let _ = apply(together).await.expect(200);
    refused(put(rule, everybody.clone()).await, "HED-2051", &["", ""]);
    refused(
        put(rule, named("allow")).await,
        "HED-2051",
        &["/from", "/from"],
    );

    // From plain text to certificates alone is no single step, whoever takes it and however.
    let strict = service(&[("http", "strict"), ("admin", "")]);
    refused(
        put(one, strict.clone()).await,
        "HED-2052",
        &["/ports/0/mtls", "/ports/1"],
    );
    let at_once = apply(vec![item("service", "payments", &strict)]).await;
    let places = ["/resources/0/ports/0/mtls", "/resources/0/ports/1"];
    refused(at_once, "HED-2052", &places);
    let back = json!({"to_revision": 2});
    let back = api.post("/meshes/shop/rollbacks", back).await;
    refused(back, "HED-2052", &["/services/payments/ports/0"]);

    // By the mesh: its services follow, and those are judged that have nothing of their own.
    let inherits =
        json!({"mtls": "off", "ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let _ = put("/services/ledger", inherits).await.expect(201);
    let ledger = "/services/ledger";
    let nothing = service(&[("http", "")]);
    refused(
        put(ledger, nothing.clone()).await,
        "HED-2052",
        &["/ports/0"],
    );
    let mesh = async |mode: &str| api.patch("/meshes/shop", json!({"mtls": mode})).await;
    let _ = mesh("off").await.expect(200);
    let _ = put(ledger, nothing).await.expect(200);
    refused(mesh("strict").await, "HED-2052", &["/mtls"]);
    let said = mesh("strict").await.expect(409);
    assert!(
        said.text.contains("service ledger: port http"),
        "{}",
        said.text
    );
    let _ = mesh("permissive").await.expect(200);
    let who = "/services/ledger/access-rules/who";
    let _ = put(who, named("allow")).await.expect(201);
    refused(mesh("off").await, "HED-2051", &["/mtls"]);
    let _ = mesh("strict").await.expect(200);
    let _ = put(who, named("deny")).await.expect(200);
    refused(mesh("permissive").await, "HED-2051", &["/mtls"]);

    // What the mesh forbids, nobody writes.
    let forbid = json!({"guardrails": {"forbid": ["mtls_off"]}});
    let beyond = api.patch("/meshes/shop", forbid).await.expect(409);
    assert!(beyond.text.contains("HED-2020"), "{beyond:?}");
    let forbid = json!({"guardrails": {"forbid": ["mtls_permissive"]}});
    let _ = api.patch("/meshes/shop", forbid).await.expect(200);
    let open = service(&[("http", "permissive")]);
    let reply = put("/services/third", open).await.expect(422);
    let expected = [("/ports/0/mtls".to_owned(), "HED-1020".to_owned())];
    assert_eq!(reply.violations(), expected);
}
