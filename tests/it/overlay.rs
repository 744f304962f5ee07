//! Envoys that keep a file of their own: an overlay beside it makes them proxies of a mesh, and takes nothing from them.

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
    let payments = WorkloadSpec {
        mesh: "shop",
        service: "payments",
        version: "v1",
        proxy: "payments-1",
        envoy: EnvoyVersion::Newest,
    };
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_of_ones_own_leads_into_the_mesh_with_the_services_identity() {
    let stack = Stack::start(ServerOptions::default()).await;
    let (api, payments) = shop(&stack).await;
    let app = Application::start("old", "v1").await;
    for version in EnvoyVersion::BOTH {
        let shape = shapes::plain(&app.address.to_string(), &[shapes::into_the_mesh()]);
        let one = Candidate::new(&stack, &api, version, shape).await;
        let envoy = one.start(Some(&one.overlay)).await;
        let url = one.shape.asks[0].url.replace("/a", "/pay");
        let ask = Ask {
            url,
            headers: Vec::new(),
        };
        let what = "the route leads to payments";
        let called = until_some(what, Duration::from_secs(20), async || {
            answer(&ask).await.filter(|answer| answer.status == 200)
        })
        .await;
        let body: Value = serde_json::from_str(&called.body).unwrap();
        assert_eq!(body["service"], "payments");
        let caller = body["xfcc"].as_str().unwrap();
        assert!(caller.contains("/service/edge"), "{caller}");
        assert_eq!(called.headers["x-by"], "my own file");
        assert_eq!(one.answers().await[0].status, 200);
        let secrets = envoy.admin("/certs").await;
        assert!(secrets.contains("/service/edge"), "{secrets}");
    }
    // Access rules are about the service that the overlay names.
    let rule = json!({"action": "deny", "from": [{"service": "edge"}]});
    let path = "/meshes/shop/services/payments/access-rules/stop";
    let _ = api.put(path, rule).await.expect(201);
    let shape = shapes::plain(&app.address.to_string(), &[shapes::into_the_mesh()]);
    let one = Candidate::new(
        &stack,
        &api,
        EnvoyVersion::Newest,
        Shape {
            name: "denied",
            ..shape
        },
    )
    .await;
    let _envoy = one.start(Some(&one.overlay)).await;
    let ask = Ask {
        url: one.shape.asks[0].url.replace("/a", "/pay"),
        headers: Vec::new(),
    };
    until("payments refuses", Duration::from_secs(20), async || {
        answer(&ask)
            .await
            .is_some_and(|answer| answer.status == 403)
    })
    .await;
    drop(payments);
}

/// A file as somebody might have it, before they follow the guide.
const MINE: &str = r#"
static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 10080}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          http_filters:
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /payments}
                route:
                  cluster: old-payments
              - match: {prefix: /}
                direct_response: {status: 200, body: {inline_string: hello}}
  clusters:
  - {name: old-payments, type: STATIC}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let allow = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "prod", allow, &["edge", "payments"]);
    let api = api.await;
    let payments = WorkloadSpec {
        mesh: "prod",
        service: "payments",
        version: "v1",
        proxy: "payments-1",
        envoy: EnvoyVersion::Oldest,
    };
    let payments = Workload::start(&stack, &api, &payments).await;
    payments.ready(&api, "prod").await;
    // The places of the page, where this test may write and listen.
    let directory = stack.directory.path().join("host");
    for part in ["heddle", "envoy", "bin"] {
        std::fs::create_dir_all(directory.join(part)).unwrap();
    }
    let port = free_port().to_string();
    let here = |text: &str| {
        let at = |part: &str| directory.join(part).to_string_lossy().into_owned();
        text.replace("10080", &port)
            .replace("/etc/heddle", &at("heddle"))
            .replace("/etc/envoy", &at("envoy"))
    };
    std::fs::write(directory.join("envoy/envoy.yaml"), here(MINE)).unwrap();
    let envoy = EnvoyVersion::Newest.binary();
    std::os::unix::fs::symlink(envoy, directory.join("bin/envoy")).unwrap();
    let page = repository().join("docs/guides/connect-an-existing-envoy.md");
    let page = here(&std::fs::read_to_string(page).unwrap());
    // Another Envoy of this machine may have the base id that one takes by itself.
    let page = page.replace("envoy -c", "envoy --use-dynamic-base-id -c");
    docs::execute(&page, |script| {
        let path = format!("PATH={}:$PATH", directory.join("bin").display());
        let mut command = Command::new("bash");
        command
            .args([
                "-c",
                &format!("{path}\ntrap 'kill $(jobs -p)' EXIT\n{script}"),
            ])
            .current_dir(&directory)
            .env("HEDDLE", stack.server.url())
            .env("TOKEN", &api.token)
            .kill_on_drop(true)
            .stdin(Stdio::null());
        command
    })
    .await;
}

/// What the guide says cannot be joined: once it is refused before anything happens, and once nobody tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_go_with_an_overlay_is_as_the_guide_says() {
    let stack = Stack::start(ServerOptions::default()).await;
    let allow = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", allow, &["edge"]).await;
    let directory = stack.directory.path();
    let overlay = overlay(&api, "edge-1", "/nowhere/token", false).await;
    let admin = free_port();
    let mut file = shapes::plain("127.0.0.1", &[]).file;
    file["admin"]["address"]["socket_address"]["port_value"] = json!(admin);
    for version in EnvoyVersion::BOTH {
        let mut with_ads = file.clone();
        with_ads["dynamic_resources"] = json!({
            "ads_config": {"api_type": "GRPC", "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "app"}}]},
        });
        let path = directory.join("with-ads.yaml");
        std::fs::write(&path, with_ads.to_string()).unwrap();
        let mut command = Command::new(version.binary());
        command
            .args(["--mode", "validate", "--config-yaml", &overlay, "-c"])
            .arg(&path);
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{version:?}");
        assert!(
            said.contains("no more than 1 gRPC services"),
            "{version:?}: {said}"
        );

        let mut with_cds = file.clone();
        with_cds["node"] = json!({"id": "own", "cluster": "own"});
        let clusters = directory.join("clusters.json");
        let own = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "from-a-file", "type": "STATIC",
        }]});
        std::fs::write(&clusters, own.to_string()).unwrap();
        with_cds["dynamic_resources"] = json!({
            "cds_config": {"resource_api_version": "V3", "path_config_source": {"path": clusters}},
        });
        let file = with_cds.to_string();
        for (overlay, there) in [(None, true), (Some(overlay.as_str()), false)] {
            let name = format!("cds-{version:?}-{there}");
            let envoy = Envoy::start_beside(version, directory, &name, &file, overlay, admin).await;
            let what = "Envoy is past its first configuration";
            until(what, Duration::from_secs(20), async || {
                envoy.admin("/server_info").await.contains("LIVE")
            })
            .await;
            let clusters = envoy.admin("/clusters").await;
            assert_eq!(clusters.contains("from-a-file::"), there, "{version:?}");
        }
    }
}
