//! Who would be turned away if a port went strict, by the word of real Envoys; the gate in front of that step; and what rules that only
//! report would have refused.

mod forged;

use std::time::Duration;

use heddle_tests::{Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, until};
use serde_json::{Value, json};
use time::OffsetDateTime;

const PAYMENTS: &str = "/meshes/shop/services/payments";
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(
    stack: &Stack,
    api: &Api,
    service: &str,
    proxy: &str,
    envoy: EnvoyVersion,
) -> Workload {
    let spec = WorkloadSpec::of_shop(service, proxy, envoy);
    let workload = Workload::start(stack, api, &spec).await;
    workload.ready(api, "shop").await;
    workload
}

/// A call of somebody without a proxy; each on a connection of its own.
async fn plainly(workload: &Workload) -> u16 {
    let url = format!("http://127.0.0.1:{}/", workload.inbound_port);
    let request = reqwest::Client::new().get(url).header("host", "payments");
    let answer = request.send().await;
    answer.map_or(0, |answer| answer.status().as_u16())
}

async fn readiness(api: &Api) -> Value {
    let path = format!("{PAYMENTS}/mtls/readiness");
    api.get(&path).await.expect(200).json
}

/// By what was seen from some moment on.
async fn since(api: &Api, at: OffsetDateTime) -> Value {
    let (date, (h, m, s)) = (at.date(), at.time().as_hms());
    let at = format!("{date}T{h:02}:{m:02}:{s:02}.{:06}Z", at.microsecond());
    let path = format!("{PAYMENTS}/mtls/readiness?since={at}");
    api.get(&path).await.expect(200).json
}

fn callers(readiness: &Value) -> &[Value] {
    let callers = readiness["ports"][0]["callers"].as_array();
    callers.map_or(&[], Vec::as_slice)
}

fn requests(readiness: &Value) -> u64 {
    let counts = callers(readiness).iter().map(|one| &one["requests"]);
    counts.filter_map(Value::as_u64).sum()
}

async fn reported(api: &Api, count: u64) {
    until(
        &format!("{count} requests are reported"),
        PATIENCE,
        async || requests(&readiness(api).await) == count,
    )
    .await;
}

async fn permissive(api: &Api) {
    let _ = api
        .patch(PAYMENTS, json!({"mtls": "permissive"}))
        .await
        .expect(200);
    until("its proxy reports", PATIENCE, async || {
        readiness(api).await["proxies"][0]["state"] == "reporting"
    })
    .await;
}

fn refused(reply: heddle_tests::Reply, place: &str) {
    let reply = reply.expect(409);
    assert_eq!(reply.json["type"], "/v1/codes/HED-2055", "{reply:?}");
    let expected = [(place.to_owned(), String::from("HED-2055"))];
    assert_eq!(reply.violations(), expected, "{reply:?}");
    assert!(reply.text.contains("127.0.0.1 (probably"), "{reply:?}");
}

async fn who_is_left(envoy: EnvoyVersion) {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let services = ["frontend", "payments"];
    let open = || json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", open(), &services).await;
    let theirs = stack.mesh("globex", "shop", open(), &services).await;
    let frontend = start(&stack, &api, "frontend", "frontend-1", envoy).await;
    let payments = start(&stack, &api, "payments", "payments-1", envoy).await;
    let other = start(&stack, &theirs, "payments", "theirs-1", envoy).await;

    // Strict already: there is nothing to know.
    let strict = readiness(&api).await;
    assert_eq!(strict["state"], "strict");
    assert_eq!(strict["proxies"], json!([]));
    for api in [&api, &theirs] {
        permissive(api).await;
    }
    // Nobody yet, and its proxies have been heard for as long as they have been there.
    let seen = readiness(&api).await;
    assert_eq!(seen["state"], "ready", "{seen}");
    assert_eq!(callers(&seen), [] as [Value; 0]);

    // A request that goes on and on is seen before it ends.
    until("plain text is taken", PATIENCE, async || {
        plainly(&payments).await == 200
    })
    .await;
    until("somebody is seen", PATIENCE, async || {
        requests(&readiness(&api).await) > 0
    })
    .await;
    let before = requests(&readiness(&api).await);
    payments.application.think(60_000);
    let url = format!("http://127.0.0.1:{}/", payments.inbound_port);
    // After everything else was told.
    let later = OffsetDateTime::now_utc() + Duration::from_secs(5);
    let slow = tokio::spawn(async move {
        let request = reqwest::Client::new().get(url).header("host", "payments");
        request.send().await.is_ok()
    });
    until("it is seen while it goes on", PATIENCE, async || {
        !callers(&since(&api, later).await).is_empty()
    })
    .await;
    assert!(!slow.is_finished());
    assert_eq!(requests(&readiness(&api).await), before);
    payments.application.think(0);
    slow.abort();
    reported(&api, before + 1).await;

    // Whoever calls in mutual TLS is not in it.
    for _ in 0..20 {
        assert_eq!(frontend.call("payments", "/").await.0, 200);
    }
    for _ in 0..3 {
        assert_eq!(plainly(&payments).await, 200);
    }
    let all = before + 4;
    reported(&api, all).await;
    let seen = readiness(&api).await;
    assert_eq!(seen["state"], "callers_left");
    let caller = &callers(&seen)[0];
    assert_eq!(callers(&seen).len(), 1, "{seen}");
    assert_eq!(caller["address"], "127.0.0.1");
    assert_eq!(caller["would_fail"], true);
    // On one host everybody is at the same address.
    assert_eq!(caller["probably"], json!(["frontend", "payments"]));
    let mesh = api
        .get("/meshes/shop/mtls/readiness")
        .await
        .expect(200)
        .json;
    assert_eq!(
        (&mesh["strict"], &mesh["state"]),
        (&json!(1), &json!("callers_left"))
    );
    assert_eq!(mesh["services"][0]["ports"], seen["ports"]);
    // The proxy of the other mesh has the same name and nothing to say.
    assert_eq!(requests(&readiness(&theirs).await), 0);

    // Without the server calls go on, and nobody waits for it. What happened meanwhile may be lost; what comes later is not.
    stack.server.kill().await;
    for _ in 0..50 {
        assert_eq!(plainly(&payments).await, 200);
        assert_eq!(frontend.call("payments", "/").await.0, 200);
    }
    stack.server.start_again().await;
    payments.ready(&api, "shop").await;
    let counted = requests(&readiness(&api).await);
    assert!((all..=all + 50).contains(&counted), "{counted}");
    until("it is counted again", PATIENCE, async || {
        assert_eq!(plainly(&payments).await, 200);
        requests(&readiness(&api).await) > counted
    })
    .await;

    // The step to strict waits for them, whoever takes it.
    let strict = json!({"mtls": "strict"});
    refused(api.patch(PAYMENTS, strict.clone()).await, "/mtls");
    let ports = json!([{"name": "http", "port": 8080, "protocol": "http", "mtls": "strict"}]);
    let by_port = json!({"ports": ports, "mtls": "permissive"});
    refused(api.put(PAYMENTS, by_port.clone()).await, "/ports/0/mtls");
    let mut item = by_port;
    item["kind"] = json!("service");
    item["name"] = json!("payments");
    let apply = json!({"resources": [item]});
    let place = "/resources/0/ports/0/mtls";
    refused(api.post("/meshes/shop/apply", apply).await, place);
    let back = json!({"to_revision": 3});
    let back = api.post("/meshes/shop/rollbacks", back).await;
    refused(back, "/services/payments/ports/0");
    let by_mesh = json!({"mtls": "permissive"});
    let _ = api.patch("/meshes/shop", by_mesh).await.expect(200);
    let inherits = json!({"mtls": null});
    let _ = api.patch(PAYMENTS, inherits).await.expect(200);
    refused(api.patch("/meshes/shop", strict.clone()).await, "/mtls");
    // Of the other mesh nobody has been seen, so nothing stands against it.
    let _ = theirs.patch(PAYMENTS, strict.clone()).await.expect(200);
    let tried = format!("{PAYMENTS}?dry_run=true");
    refused(api.patch(&tried, strict.clone()).await, "/mtls");
    let elsewhere = format!("{PAYMENTS}/access-rules/x?accept_plain_callers=true");
    let rule = json!({"action": "allow"});
    let _ = api.put(&elsewhere, rule).await.expect(400);
    let accepted = format!("{PAYMENTS}?accept_plain_callers=true");
    let _ = api.patch(&accepted, strict).await.expect(200);
    until("plain text is turned away", PATIENCE, async || {
        plainly(&payments).await == 0
    })
    .await;
    assert_eq!(readiness(&api).await["state"], "strict");
    assert_eq!(frontend.call("payments", "/").await.0, 200);
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_calls_in_plain_text_is_seen_and_held_up_for_on_the_newest_envoy() {
    who_is_left(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_calls_in_plain_text_is_seen_and_held_up_for_on_the_oldest_envoy() {
    who_is_left(EnvoyVersion::Oldest).await;
}

async fn when_nobody_is_left(envoy: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let payments = start(&stack, &api, "payments", "payments-1", envoy).await;
    permissive(&api).await;
    // Refused already: whoever is turned away loses nothing.
    until("plain text is refused", PATIENCE, async || {
        plainly(&payments).await == 403
    })
    .await;
    until("somebody is seen", PATIENCE, async || {
        requests(&readiness(&api).await) > 0
    })
    .await;
    let later = OffsetDateTime::now_utc();
    let seen = readiness(&api).await;
    let caller = &callers(&seen)[0];
    assert_eq!(caller["refused"], caller["requests"], "{seen}");
    assert_eq!(caller["would_fail"], false);
    let seen = since(&api, later).await;
    assert_eq!(seen["state"], "ready", "{seen}");
    // One that is away might have seen somebody.
    let mut payments = payments;
    payments.envoy.kill().await;
    until("it is not known any more", PATIENCE, async || {
        let seen = since(&api, later).await;
        seen["state"] == "unknown" && seen["proxies"][0]["state"] == "not_connected"
    })
    .await;
    // Nobody would fail by it, as far as anybody knows.
    let _ = api
        .patch(PAYMENTS, json!({"mtls": "strict"}))
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_from_nobody_told_us() {
    when_nobody_is_left(EnvoyVersion::Newest).await;
}

async fn would_deny(envoy: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    let services = ["frontend", "payments"];
    let api = stack.mesh("acme", "shop", open, &services).await;
    let frontend = start(&stack, &api, "frontend", "frontend-1", envoy).await;
    let payments = start(&stack, &api, "payments", "payments-1", envoy).await;
    until("payments answers", PATIENCE, async || {
        frontend.call("payments", "/").await.0 == 200
    })
    .await;
    let rule = json!({
        "action": "deny", "report_only": true,
        "from": [{"service": "frontend"}, {"networks": ["127.0.0.0/8"], "service": "payments"}],
    });
    let of_rule = format!("{PAYMENTS}/access-rules/no-frontend");
    let _ = api.put(&of_rule, rule).await.expect(201);
    let path = format!("{PAYMENTS}/access/would-deny");
    let rules = async || api.get(&path).await.expect(200).json["rules"].clone();
    assert_eq!(rules().await[0]["requests"], 0);
    until("it is told whom it would refuse", PATIENCE, async || {
        assert_eq!(frontend.call("payments", "/").await.0, 200);
        rules().await[0]["requests"].as_u64() > Some(0)
    })
    .await;
    let told = rules().await;
    assert_eq!(told[0]["rule"], "no-frontend");
    let caller = &told[0]["callers"][0];
    assert_eq!(
        told[0]["callers"].as_array().map(Vec::len),
        Some(1),
        "{told}"
    );
    assert_eq!(
        (&caller["service"], &caller["port"]),
        (&json!("frontend"), &json!("http"))
    );
    let spiffe = caller["spiffe"].as_str().unwrap();
    assert!(spiffe.ends_with("/service/frontend"), "{told}");
    assert_eq!(caller["address"], Value::Null);
    // All of them were let in.
    assert!(payments.application.requests() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_rule_would_refuse_is_told_on_the_newest_envoy() {
    would_deny(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_rule_would_refuse_is_told_on_the_oldest_envoy() {
    would_deny(EnvoyVersion::Oldest).await;
}
