//! Revoked identities on real Envoys: who loses its stream and in how long, who gets no certificate, whose calls are refused.

use std::time::{Duration, Instant};

use heddle_tests::{
    Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, XdsClient, node, until,
};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::identity::{call, identity};

/// What is promised.
const SOON: Duration = Duration::from_secs(10);

async fn revoke(api: &Api, body: Value) -> String {
    let made = api.post("/meshes/shop/revocations", body).await.expect(201);
    assert_eq!(made.json["state"], "in_force");
    made.json["meta"]["uid"].as_str().unwrap().to_owned()
}

async fn lift(api: &Api, id: &str) {
    let path = format!("/meshes/shop/revocations/{id}");
    let _ = api.delete(&path).await.expect(204);
    let lifted = api.get(&path).await.expect(200);
    assert_eq!(lifted.json["state"], "lifted");
}

/// Within what is promised, counted from `began`.
async fn loses_its_stream(workload: &Workload, began: Instant) {
    let left = SOON.saturating_sub(began.elapsed());
    until("the stream is closed", left, async || {
        workload.envoy.stat("control_plane.connected_state").await == 0
    })
    .await;
}

/// How many certificates the journal has of a service, and how many of those are revoked.
async fn issued(stack: &Stack, service: &str) -> (i64, i64) {
    let mut superuser = stack.postgres.inspect().await;
    let counts = sqlx::query_as(
        "select count(*), count(revoked_at) from heddle.certificates where service = $1",
    )
    .bind(service)
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    superuser.close().await.unwrap();
    counts
}

async fn shop(stack: &Stack) -> Api {
    let spec = json!({"access_default": "allow"});
    let services = ["frontend", "checkout", "payments"];
    stack.mesh("acme", "shop", spec, &services).await
}

async fn start(stack: &Stack, api: &Api, service: &str, envoy: EnvoyVersion) -> Workload {
    let name = format!("{service}-1");
    let spec = WorkloadSpec::of_shop(service, &name, envoy);
    let workload = Workload::start(stack, api, &spec).await;
    workload.ready(api, "shop").await;
    workload
}

async fn answers(workload: &Workload, status: u16, within: Duration) {
    let what = format!("{} gets {status} from payments", workload.name);
    until(&what, within, async || {
        workload.call("payments", "/").await.0 == status
    })
    .await;
}

/// Between the oldest and the newest Envoys, each way round.
async fn a_revoked_service(caller: EnvoyVersion, callee: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let frontend = start(&stack, &api, "frontend", caller).await;
    let checkout = start(&stack, &api, "checkout", caller).await;
    let payments = start(&stack, &api, "payments", callee).await;
    for workload in [&frontend, &checkout] {
        answers(workload, 200, Duration::from_secs(20)).await;
    }
    // What a thief holds: certificate and key, good for a day.
    let stolen = identity(&stack.server, &api, "shop", "frontend", "stolen").await;
    let (answer, _) = call(payments.inbound_port, Some(&stolen)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let began = Instant::now();
    let body = json!({"service": "frontend", "reason": "its image was replaced"});
    let id = revoke(&api, body.clone()).await;
    loses_its_stream(&frontend, began).await;
    answers(&frontend, 403, SOON.saturating_sub(began.elapsed())).await;
    let (answer, _) = call(payments.inbound_port, Some(&stolen)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(checkout.call("payments", "/").await.0, 200);
    let (all, revoked) = issued(&stack, "frontend").await;
    assert!(all >= 2 && all == revoked, "{revoked} of {all}");
    let asked = json!({"call": {"from": {"service": "frontend"}, "service": "payments"}});
    let why = api.post("/meshes/shop/access/checks", asked).await;
    assert_eq!(why.expect(200).json["because"], "revoked");

    // It is told why, and so is whoever comes with another token of the service.
    let token = json!({"name": "again", "service": "frontend"});
    let token = api
        .post("/meshes/shop/join-tokens", token)
        .await
        .expect(201);
    let token = token.json["secret"].as_str().unwrap();
    let refused = XdsClient::connect(&stack.server, token, node("another", "frontend")).await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert!(refused.message().starts_with("HED-3006: "), "{refused}");
    let log = "/audit-log?action=join&kind=join_token&outcome=refused&mesh=shop";
    let log = api.get(log).await.expect(200).json;
    let told = log["items"].as_array().unwrap().iter();
    let told = told.filter(|row| row["after"]["reason"] == "identity_revoked");
    assert!(told.count() >= 2, "{log}");
    assert_eq!(api.post("/meshes/shop/revocations", body).await.status, 409);
    assert_eq!(issued(&stack, "frontend").await, (all, revoked));
    let shown = api.get("/meshes/shop/proxies/frontend-1").await.expect(200);
    assert_eq!(
        (&shown.json["revoked"], &shown.json["state"]),
        (&json!(true), &json!("offline"))
    );

    lift(&api, &id).await;
    answers(&frontend, 200, Duration::from_secs(30)).await;
    frontend.ready(&api, "shop").await;
    let shown = api.get("/meshes/shop/proxies/frontend-1").await.expect(200);
    assert_eq!(shown.json["revoked"], json!(false));
    let (now, still) = issued(&stack, "frontend").await;
    assert!(now > all && still == revoked, "it has a new certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c17_c18_a_revoked_service_loses_its_streams_and_is_refused_by_its_peers() {
    a_revoked_service(EnvoyVersion::Newest, EnvoyVersion::Oldest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c17_c18_a_revoked_service_is_refused_by_the_newest_envoy() {
    a_revoked_service(EnvoyVersion::Oldest, EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c17_c18_a_revoked_proxy_gets_no_new_leaf_and_calls_nobody_once_the_old_one_ends() {
    let options = ServerOptions {
        leaf_lifetime: String::from("20s"),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let api = shop(&stack).await;
    let frontend = start(&stack, &api, "frontend", EnvoyVersion::Newest).await;
    let checkout = start(&stack, &api, "checkout", EnvoyVersion::Newest).await;
    let payments = start(&stack, &api, "payments", EnvoyVersion::Oldest).await;
    for workload in [&frontend, &checkout] {
        answers(workload, 200, Duration::from_secs(20)).await;
    }
    let began = Instant::now();
    let body = json!({"proxy": "frontend-1", "reason": "the host was broken into"});
    let id = revoke(&api, body).await;
    loses_its_stream(&frontend, began).await;
    let before = issued(&stack, "frontend").await;
    assert_eq!(before.0, before.1, "all that it has is revoked");
    until(
        "nobody sends calls to it",
        SOON.saturating_sub(began.elapsed()),
        async || {
            let clusters = checkout.envoy.admin("/clusters").await;
            !clusters.contains(&format!("127.0.0.1:{}::", frontend.inbound_port))
        },
    )
    .await;
    // Its certificate ends, and it has no other: connections end at half of that life, and new ones are refused.
    answers(&frontend, 503, Duration::from_secs(30)).await;
    assert_eq!(checkout.call("payments", "/").await.0, 200);
    assert_eq!(issued(&stack, "frontend").await, before);
    assert_eq!(
        payments.envoy.stat("control_plane.connected_state").await,
        1
    );

    lift(&api, &id).await;
    answers(&frontend, 200, Duration::from_secs(30)).await;
    assert!(issued(&stack, "frontend").await.0 > before.0);
}
