//! Authorities are replaced under load: every call is a new handshake between two Envoys, and none of them fails.

mod own_root;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use heddle_tests::{
    Api, Envoy, EnvoyVersion, Outcome, ServerOptions, Stack, Traffic, Workload, WorkloadSpec,
    evidence, free_ports, repository, until,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::shell;
use crate::docs;

/// An Envoy of the mesh with a listener of the test's own: whatever it is asked there, it asks `payments` over a connection that it
/// makes for that and uses once.
struct Caller {
    envoy: Envoy,
    port: u16,
}

/// The stats that count what goes wrong with handshakes.
const ERRORS: [&str; 4] = [
    "ssl.connection_error",
    "ssl.fail_verify_error",
    "ssl.fail_verify_no_cert",
    "ssl.fail_verify_san",
];

fn ads(name: &str) -> Value {
    json!({"name": name, "sds_config": {"ads": {}, "resource_api_version": "V3"}})
}

fn cluster() -> Value {
    json!({
        "name": "once",
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": "heddle/payments/http",
            "eds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"max_requests_per_connection": 1},
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "max_session_keys": 0,
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_certificate_sds_secret_configs": [ads("heddle/identity")],
                    "validation_context_sds_secret_config": ads("heddle/trust"),
                },
            },
        },
    })
}

fn listener(port: u16) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "once",
        "route_config": {"virtual_hosts": [{
            "name": "once", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "once"}}],
        }]},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
    });
    json!({
        "name": "once",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
        }]}],
    })
}

fn push(bootstrap: &mut Value, what: &str, item: Value) {
    let list = &mut bootstrap["static_resources"][what];
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = json!([item]),
    }
}

impl Caller {
    async fn start(stack: &Stack, api: &Api, name: &str, envoy: EnvoyVersion) -> Self {
        let body = json!({"name": name, "service": "frontend", "reusable": true});
        let made = api.post("/meshes/shop/join-tokens", body).await.expect(201);
        let token = made.json["secret"].as_str().unwrap().to_owned();
        let [inbound, outbound, admin, port] = free_ports();
        let path = format!(
            "/v1/orgs/{}/meshes/shop/bootstrap?proxy={name}&bind_address=127.0.0.1&inbound_port={inbound}\
             &outbound_port={outbound}&admin_port={admin}",
            api.org
        );
        let accept = [("accept", "application/json")];
        let as_proxy = api.with_token(&token);
        let reply = as_proxy.raw(Method::GET, &path, &accept, Vec::new()).await;
        let mut bootstrap = reply.expect(200).json;
        push(&mut bootstrap, "clusters", cluster());
        push(&mut bootstrap, "listeners", listener(port));
        let folder = stack.directory.path();
        let envoy = Envoy::start(envoy, folder, name, &bootstrap.to_string(), admin).await;
        Self { envoy, port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    async fn answers(&self) {
        let client = reqwest::Client::new();
        until("payments answers", Duration::from_secs(60), async || {
            let answer = client
                .get(self.url())
                .header("host", "payments")
                .send()
                .await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    }

    async fn handshakes(&self) -> u64 {
        self.envoy.stat("cluster.once.ssl.handshake").await
    }

    async fn errors(&self) -> u64 {
        let mut errors = 0;
        for stat in ERRORS {
            errors += self.envoy.stat(&format!("cluster.once.{stat}")).await;
        }
        errors
    }
}

/// A mesh with callers and whom they call.
struct Field {
    stack: Stack,
    api: Api,
    callers: Vec<Caller>,
    called: Vec<Workload>,
}

impl Field {
    async fn start(callers: usize, called: usize) -> Self {
        let options = ServerOptions {
            leaf_lifetime: String::from("1h"),
            ..ServerOptions::default()
        };
        let stack = Stack::start(options).await;
        let open = json!({"access_default": "allow"});
        let services = ["frontend", "payments"];
        let api = stack.mesh("acme", "shop", open, &services).await;
        let version = |n: usize| match n % 2 {
            0 => EnvoyVersion::Newest,
            _ => EnvoyVersion::Oldest,
        };
        let mut field = Self {
            stack,
            api,
            callers: Vec::new(),
            called: Vec::new(),
        };
        for n in 0..called {
            let name = format!("payments-{n}");
            let spec = WorkloadSpec::of_shop("payments", &name, version(n));
            let workload = Workload::start(&field.stack, &field.api, &spec).await;
            workload.ready(&field.api, "shop").await;
            field.called.push(workload);
        }
        for n in 0..callers {
            let name = format!("frontend-{n}");
            let caller = Caller::start(&field.stack, &field.api, &name, version(n)).await;
            caller.answers().await;
            field.callers.push(caller);
        }
        field
    }

    fn traffic(&self, clients: usize, pause: Duration) -> Vec<Traffic> {
        let of =
            |caller: &Caller| Traffic::start(&caller.url(), "payments", clients, pause, "/version");
        self.callers.iter().map(of).collect()
    }

    /// The serials of the roots of the mesh that an Envoy trusts. (It also trusts that of the xDS server, which is no SPIFFE id.)
    async fn roots(envoy: &Envoy) -> Vec<String> {
        let certificates = envoy.certificates().await;
        let certificates = certificates["certificates"].as_array().unwrap();
        let all = certificates
            .iter()
            .flat_map(|c| c["ca_cert"].as_array().unwrap());
        let roots = all.filter(|root| root["subject_alt_names"].to_string().contains("spiffe://"));
        let serial = |root: &Value| root["serial_number"].as_str().unwrap().to_owned();
        let mut serials: Vec<String> = roots.map(serial).collect();
        serials.sort();
        serials.dedup();
        serials
    }

    /// Whom others are told to trust.
    async fn bundle(&self) -> Value {
        let read = self.api.get("/meshes/shop/trust-bundle").await;
        read.expect(200).json
    }

    async fn begin(&self, body: Value) -> String {
        let made = self.api.post("/meshes/shop/rotations", body).await;
        let made = made.expect(201).json;
        format!(
            "/meshes/shop/rotations/{}",
            made["meta"]["uid"].as_str().unwrap()
        )
    }

    /// Follows a rotation to its end. With `killing`, the server dies whenever it has taken a step. Returns the states and when they
    /// were seen first.
    async fn follow(&mut self, path: &str, killing: bool) -> Vec<(String, Duration)> {
        let begun = Instant::now();
        let mut seen: Vec<(String, Duration)> = Vec::new();
        loop {
            let reply = self.api.get(path).await.expect(200).json;
            let state = reply["state"].as_str().unwrap().to_owned();
            if seen.last().is_none_or(|(last, _)| *last != state) {
                seen.push((state.clone(), begun.elapsed()));
                if killing {
                    self.stack.server.kill().await;
                    self.stack.server.start_again().await;
                }
            }
            if state == "removed" {
                return seen;
            }
            assert!(begun.elapsed() < Duration::from_secs(180), "{reply:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Every Envoy trusts this many roots, none of them among `old`.
    async fn trusts_anew(&self, old: &[String]) {
        let callers = self.callers.iter().map(|caller| &caller.envoy);
        for envoy in callers.chain(self.called.iter().map(|workload| &workload.envoy)) {
            until("there is one root", Duration::from_secs(20), async || {
                let now = Self::roots(envoy).await;
                now.len() == 1 && !old.contains(&now[0])
            })
            .await;
        }
    }
}

fn none_failed(traffic: &[Outcome]) {
    let failed = Outcome::failed(traffic);
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        traffic.len(),
        failed.first()
    );
}

async fn stop(traffic: Vec<Traffic>) -> Vec<Outcome> {
    let mut all = Vec::new();
    for one in traffic {
        all.extend(one.stop().await);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s20_s51_s52_an_intermediate_and_a_root_are_replaced_and_no_handshake_fails() {
    let mut field = Field::start(1, 2).await;
    let before = Field::roots(&field.callers[0].envoy).await;
    assert_eq!(before.len(), 1);
    let first = field.bundle().await;
    assert_eq!(first["keys"].as_array().unwrap().len(), 1, "{first:#}");
    let traffic = field.traffic(2, Duration::from_millis(5));
    let states = |seen: &[(String, Duration)]| -> Vec<String> {
        seen.iter().map(|(state, _)| state.clone()).collect()
    };

    let body = json!({"what": "intermediate", "replace_over": "2s"});
    let path = field.begin(body.clone()).await;
    let other = field.api.post("/meshes/shop/rotations", body).await;
    assert_eq!(other.expect(409).json["code"], "HED-2037");
    let seen = field.follow(&path, false).await;
    assert_eq!(states(&seen).last().unwrap(), "removed");
    let caller = &field.callers[0].envoy;
    assert_eq!(Field::roots(caller).await, before, "the root stays");
    assert_eq!(field.bundle().await, first);

    let path = field
        .begin(json!({"what": "root", "replace_over": "2s"}))
        .await;
    let seen = field.follow(&path, false).await;
    assert_eq!(states(&seen).last().unwrap(), "removed");
    field.trusts_anew(&before).await;
    let last = field.bundle().await;
    assert_eq!(last["keys"].as_array().unwrap().len(), 1, "{last:#}");
    assert_ne!(last["keys"], first["keys"]);
    // One came and one went.
    let sequence = |bundle: &Value| bundle["spiffe_sequence"].as_u64().unwrap();
    assert_eq!(sequence(&last), sequence(&first) + 2);
    let reply = field.api.get(&path).await.expect(200).json;
    assert_eq!(reply["progress"]["ready"], 3, "{reply:#}");
    // Those steps are revisions in which nothing was changed, and they are in the log of what was done.
    let revision = reply["revision"].as_u64().unwrap();
    let path = format!("/meshes/shop/revisions/{revision}");
    let made = field.api.get(&path).await.expect(200).json;
    assert_eq!(
        made["summary"],
        json!({"added": 0, "changed": 0, "removed": 0})
    );

    // However slow the machine is.
    until("five hundred calls", Duration::from_secs(60), async || {
        traffic.iter().map(Traffic::count).sum::<usize>() > 500
    })
    .await;
    let outcomes = stop(traffic).await;
    none_failed(&outcomes);
    let caller = &field.callers[0];
    let handshakes = caller.handshakes().await;
    assert!(handshakes >= outcomes.len() as u64, "{handshakes}");
    assert_eq!(caller.errors().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "prod", open, &["payments"]).await;
    let spec = WorkloadSpec {
        mesh: "prod",
        ..WorkloadSpec::of_shop("payments", "payments-1", EnvoyVersion::Newest)
    };
    let workload = Workload::start(&stack, &api, &spec).await;
    workload.ready(&api, "prod").await;
    let page = repository().join("docs/guides/rotate-authorities.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (folder, url) = (stack.directory.path(), stack.server.url());
    docs::execute(&page, |script| {
        let script = format!("export HEDDLE_SERVER={url}\n{script}");
        shell(&script, folder, &url, &api.token)
    })
    .await;
}

/// Whoever trusted the old root alone is cut off and comes back by itself, within seconds where it is connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s58_a_mesh_whose_trust_was_broken_works_again_within_seconds() {
    let field = Field::start(1, 1).await;
    let before = Field::roots(&field.callers[0].envoy).await;
    let begun = Instant::now();
    let body = json!({"what": "root", "mode": "break_trust"});
    let path = field.begin(body).await;
    assert_eq!(
        field.api.get(&path).await.expect(200).json["state"],
        "removed"
    );
    field.trusts_anew(&before).await;
    until(
        "everybody has a new leaf",
        Duration::from_secs(20),
        async || {
            let reply = field.api.get(&path).await.expect(200).json;
            reply["progress"]["ready"] == 2
        },
    )
    .await;
    field.callers[0].answers().await;
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}

/// Twenty Envoys, two hundred thousand handshakes, and a server that is killed at every edge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `make test-long`"]
async fn spiffe_s51_the_server_is_killed_at_every_edge_and_no_handshake_fails() {
    const WANTED: u64 = 200_000;
    let mut field = Field::start(4, 16).await;
    let begun = Instant::now();
    let traffic = field.traffic(6, Duration::ZERO);
    let (mut rotations, mut kills) = (Vec::new(), 0);
    for what in ["intermediate", "root", "root", "intermediate"]
        .iter()
        .cycle()
    {
        let roots = Field::roots(&field.callers[0].envoy).await;
        let path = field
            .begin(json!({"what": what, "replace_over": "5s"}))
            .await;
        let seen = field.follow(&path, true).await;
        kills += seen.len();
        if *what == "root" {
            field.trusts_anew(&roots).await;
        }
        let at: BTreeMap<&str, u128> = seen
            .iter()
            .map(|(s, at)| (s.as_str(), at.as_millis()))
            .collect();
        rotations.push(json!({"what": what, "seen_at_ms": at}));
        let done: usize = traffic.iter().map(Traffic::count).sum();
        if rotations.len() >= 4 && done as u64 >= WANTED {
            break;
        }
    }
    let outcomes = stop(traffic).await;
    let (mut handshakes, mut errors) = (0, 0);
    for caller in &field.callers {
        handshakes += caller.handshakes().await;
        errors += caller.errors().await;
    }
    let failed = Outcome::failed(&outcomes).len();
    evidence(
        "rotation",
        0,
        json!({
            "envoys": field.callers.len() + field.called.len(),
            "handshakes": handshakes,
            "failed_handshakes": errors,
            "calls": outcomes.len(),
            "failed_calls": failed,
            "servers_killed": kills,
            "rotations": rotations,
            "seconds": begun.elapsed().as_secs(),
        }),
    );
    none_failed(&outcomes);
    assert_eq!(errors, 0);
    assert!(handshakes >= WANTED, "{handshakes}");
}
