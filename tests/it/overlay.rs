//! Envoys that keep a file of their own: an overlay beside it makes them proxies of a mesh, and takes nothing from them.

mod guide;
mod route;
mod shapes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::future::join_all;
use heddle_tests::{
    Api, Application, Envoy, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, free_port,
    repository, until, until_some,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use shapes::{Ask, Shape};
use tokio::process::Command;

use crate::docs;

/// How long an Envoy may take until its listeners answer while Heddle is away.
const ALONE: Duration = Duration::from_secs(10);
/// How long it may take to join.
const JOINED: Duration = Duration::from_secs(30);
/// How long to join a Heddle that comes back.
const BACK: Duration = Duration::from_secs(10);

/// An Envoy of one version with a file of one shape.
struct Candidate {
    version: EnvoyVersion,
    shape: Shape,
    /// What it is called in Heddle.
    name: String,
    overlay: String,
    directory: PathBuf,
}

/// What a listener answers, apart from what is never twice the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
    certificate: Option<Vec<u8>>,
}

async fn answer(ask: &Ask) -> Option<Answer> {
    // A connection of its own each time: the listener has to take it, and shows its certificate.
    let client = Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .tls_info(true)
        .build()
        .unwrap();
    let mut request = client.get(&ask.url).timeout(Duration::from_secs(5));
    for (name, value) in &ask.headers {
        request = request.header(*name, value);
    }
    let response = request.send().await.ok()?;
    let certificate = response
        .extensions()
        .get::<reqwest::tls::TlsInfo>()
        .and_then(|info| info.peer_certificate().map(<[u8]>::to_vec));
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter(|(name, _)| !["date", "x-envoy-upstream-service-time"].contains(&name.as_str()))
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        });
    Some(Answer {
        status,
        headers: headers.collect(),
        certificate,
        body: response.text().await.ok()?,
    })
}

impl Candidate {
    /// Makes its join token and fetches its overlay, which reads the token from a file.
    async fn new(stack: &Stack, api: &Api, version: EnvoyVersion, shape: Shape) -> Self {
        let name = format!("{}-{version:?}", shape.name).to_lowercase();
        let token = json!({"name": name, "service": "edge", "reusable": true});
        let token = api.post("/meshes/shop/join-tokens", token).await;
        let secret = token.expect(201).json["secret"].clone();
        let directory = stack.directory.path().to_owned();
        let file = directory.join(format!("{name}.token"));
        std::fs::write(&file, secret.as_str().unwrap()).unwrap();
        let overlay = overlay(api, &name, &file.to_string_lossy(), shape.keep_node).await;
        assert!(!overlay.contains(secret.as_str().unwrap()));
        Self {
            version,
            shape,
            name,
            overlay,
            directory,
        }
    }

    async fn start(&self, overlay: Option<&str>) -> Envoy {
        let (file, port) = (self.shape.file.to_string(), self.shape.admin_port);
        Envoy::start_beside(
            self.version,
            &self.directory,
            &self.name,
            &file,
            overlay,
            port,
        )
        .await
    }

    /// What its listeners answer, once all of them answer.
    async fn answers(&self) -> Vec<Answer> {
        let what = format!("the listeners of {} answer", self.name);
        until_some(&what, Duration::from_secs(20), async || {
            let answers = join_all(self.shape.asks.iter().map(answer)).await;
            answers.into_iter().collect()
        })
        .await
    }

    /// What it is and does without Heddle.
    async fn before(&self) -> (Vec<Answer>, Value) {
        let mut envoy = self.start(None).await;
        let answers = self.answers().await;
        assert!(
            answers.iter().all(|answer| answer.status < 300),
            "{answers:?}"
        );
        let config = config(&envoy).await;
        envoy.kill().await;
        (answers, config)
    }
}

async fn overlay(api: &Api, proxy: &str, token_file: &str, keep_node: bool) -> String {
    let path = format!(
        "/v1/orgs/-/meshes/shop/bootstrap?mode=augment&service=edge&proxy={proxy}&token_file={token_file}&keep_node={keep_node}"
    );
    let accept = [("accept", "application/yaml")];
    let reply = api.raw(Method::GET, &path, &accept, Vec::new()).await;
    reply.expect(200).text
}

/// All that an Envoy has, without the times at which it got it.
async fn config(envoy: &Envoy) -> Value {
    let dump = envoy.admin("/config_dump?include_eds").await;
    let mut dump: Value = serde_json::from_str(&dump).unwrap();
    settle(&mut dump);
    dump
}

/// Takes the times out, and brings what Envoy keeps in hash maps into an order.
fn settle(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("last_updated");
            for (name, value) in fields {
                settle(value);
                let unordered = name == "extensions"
                    || name.ends_with("_configs")
                    || name.ends_with("_clusters");
                if let (true, Value::Array(items)) = (unordered, value) {
                    items.sort_by_cached_key(Value::to_string);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

/// Where two of them differ.
fn difference(at: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys());
            names.into_iter().find_map(|name| {
                let of =
                    |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
                difference(&format!("{at}/{name}"), &of(one), &of(other))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(i, (one, other))| difference(&format!("{at}/{i}"), one, other))
        }
        (one, other) => (one != other).then(|| format!("{at}: {one} and {other}")),
    }
}

async fn proxy(api: &Api, name: &str) -> Value {
    let reply = api.get("/meshes/shop/proxies?limit=500").await.expect(200);
    let items = reply.json["items"].as_array().cloned().unwrap_or_default();
    let found = items.into_iter().find(|item| item["name"] == name);
    found.unwrap_or_default()
}

async fn until_ready(api: &Api, name: &str, within: Duration) {
    let what = format!("{name} is ready");
    until(&what, within, async || {
        proxy(api, name).await["state"] == "ready"
    })
    .await;
}

async fn has_cluster(candidate: &Candidate, envoy: &Envoy, cluster: &str) {
    let what = format!("{} has {cluster}", candidate.name);
    let line = format!("{cluster}::");
    until(&what, Duration::from_secs(20), async || {
        let clusters = envoy.admin("/clusters").await;
        clusters.lines().any(|own| own.starts_with(&line))
    })
    .await;
}

async fn shop(stack: &Stack) -> (Api, Workload) {
    let allow = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", allow, &["edge", "payments"]);
    let api = api.await;
    let payments = WorkloadSpec::of_shop("payments", "payments-1", EnvoyVersion::Newest);
    let payments = Workload::start(stack, &api, &payments).await;
    payments.ready(&api, "shop").await;
    (api, payments)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_shapes_of_files_join_unedited_and_lose_nothing() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let (api, payments) = shop(&stack).await;
    let app = Application::start("old", "v1").await;
    let statsd = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let statsd_port = statsd.local_addr().unwrap().port();
    let mut candidates = Vec::new();
    for version in EnvoyVersion::BOTH {
        for shape in shapes::all(stack.directory.path(), &app, statsd_port) {
            candidates.push(Candidate::new(&stack, &api, version, shape).await);
        }
    }
    let before = join_all(candidates.iter().map(Candidate::before)).await;

    // With the overlay: as before, and a proxy of the mesh.
    let joined = join_all(candidates.iter().zip(&before).map(async |(one, before)| {
        let envoy = one.start(Some(&one.overlay)).await;
        assert_eq!(one.answers().await, before.0, "{}", one.name);
        until_ready(&api, &one.name, JOINED).await;
        let at = format!("heddle/payments/http::127.0.0.1:{}", payments.inbound_port);
        has_cluster(one, &envoy, &at).await;
        let seen = proxy(&api, &one.name).await;
        assert_eq!(
            (&seen["mode"], &seen["address"], &seen["nacks"]),
            (&json!("augment"), &Value::Null, &json!([]))
        );
        let info: Value = serde_json::from_str(&envoy.admin("/server_info").await).unwrap();
        let node = &info["node"];
        let own = one.shape.file.get("node");
        match own.filter(|_| one.shape.keep_node) {
            Some(own) => {
                for field in ["/id", "/cluster", "/locality/zone", "/metadata/team"] {
                    assert_eq!(node.pointer(field), own.pointer(field), "{field}");
                }
            }
            None => assert_eq!(
                (&node["id"], &node["cluster"]),
                (&json!(one.name), &json!("edge"))
            ),
        }
        envoy
    }))
    .await;
    let body = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let added = api.put("/meshes/shop/services/ledger", body).await;
    let revision = added.expect(201).json["meta"]["revision"].as_u64().unwrap();
    join_all(candidates.iter().zip(&joined).map(async |(one, envoy)| {
        has_cluster(one, envoy, "heddle/ledger/http").await;
        until_ready(&api, &one.name, JOINED).await;
        let rejected = envoy.admin("/stats?filter=update_rejected").await;
        let rejected: Vec<_> = rejected.lines().filter(|l| !l.ends_with(": 0")).collect();
        assert!(rejected.is_empty(), "{}: {rejected:?}", one.name);
    }))
    .await;
    let rollout = format!("/meshes/shop/revisions/{revision}/rollout");
    let rollout = api.get(&rollout).await.expect(200).json;
    let everybody = 1 + candidates.len();
    assert_eq!(
        (&rollout["acked"], &rollout["target"]),
        (&json!(everybody), &json!(everybody)),
        "{rollout}"
    );
    drop(joined);

    // Heddle is away from the start, and comes later.
    stack.server.kill().await;
    let alone = join_all(candidates.iter().zip(&before).map(async |(one, before)| {
        let started = Instant::now();
        let envoy = one.start(Some(&one.overlay)).await;
        let answers = one.answers().await;
        let took = started.elapsed();
        assert_eq!(answers, before.0, "{}", one.name);
        assert!(took < ALONE, "{} answered after {took:?}", one.name);
        envoy
    }))
    .await;
    stack.server.start_again().await;
    join_all(
        candidates
            .iter()
            .map(|one| until_ready(&api, &one.name, BACK)),
    )
    .await;
    drop(alone);

    // Without the overlay: as it was.
    let mut heard = vec![0; 65_536];
    let count = statsd.recv(&mut heard).await.unwrap();
    assert!(heard[..count].starts_with(b"acme."));
    let after = join_all(candidates.iter().map(Candidate::before)).await;
    for ((one, before), after) in candidates.iter().zip(before).zip(after) {
        assert_eq!(before.0, after.0, "{}", one.name);
        assert_eq!(difference("", &before.1, &after.1), None, "{}", one.name);
    }
}
