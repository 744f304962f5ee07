//! Stock Envoys that speak to the control plane in other ways than our bootstrap makes them: in whole states, or with
//! clusters and listeners in streams of their own.

use std::time::{Duration, Instant};

use heddle_tests::{
    Api, Application, Envoy, EnvoyVersion, Outcome, ServerOptions, Stack, Traffic, evidence,
    free_ports, until,
};
use reqwest::Method;
use serde_json::{Value, json};

/// How an Envoy speaks.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    /// As the bootstrap says: delta ADS.
    Delta,
    /// State-of-the-world ADS.
    Sotw,
    /// Clusters and listeners in streams of their own, of this kind; the rest by ADS of the same kind.
    Apart(&'static str),
}

impl Dialect {
    fn edit(self, bootstrap: &mut Value) {
        let dynamic = &mut bootstrap["dynamic_resources"];
        match self {
            Self::Delta => {}
            Self::Sotw => dynamic["ads_config"]["api_type"] = json!("GRPC"),
            Self::Apart(api_type) => {
                dynamic["ads_config"]["api_type"] = json!(api_type);
                let source = json!({
                    "resource_api_version": "V3",
                    "initial_fetch_timeout": "5s",
                    "api_config_source": dynamic["ads_config"],
                });
                dynamic["cds_config"] = source.clone();
                dynamic["lds_config"] = source;
            }
        }
    }
}

/// An application with an Envoy that speaks a dialect.
struct Sidecar {
    _application: Application,
    envoy: Envoy,
    outbound_port: u16,
    name: String,
    client: reqwest::Client,
}

impl Sidecar {
    async fn start(
        stack: &Stack,
        api: &Api,
        (service, version, name): (&str, &str, &str),
        envoy: EnvoyVersion,
        dialect: Dialect,
    ) -> Self {
        let token = json!({"name": name, "service": service, "reusable": true});
        let token = api
            .post("/meshes/shop/join-tokens", token)
            .await
            .expect(201);
        let token = token.json["secret"].as_str().unwrap().to_owned();
        let application = Application::start(service, version).await;
        let [inbound_port, outbound_port, admin_port] = free_ports();
        let path = format!(
            "/v1/orgs/{}/meshes/shop/bootstrap?proxy={name}&version={version}&bind_address=127.0.0.1&app_address={}&inbound_port={inbound_port}&outbound_port={outbound_port}&admin_port={admin_port}",
            api.org, application.address
        );
        let accept = [("accept", "application/json")];
        let reply = api
            .with_token(&token)
            .raw(Method::GET, &path, &accept, Vec::new())
            .await
            .expect(200);
        let mut bootstrap = reply.json;
        dialect.edit(&mut bootstrap);
        // JSON is YAML.
        let text = bootstrap.to_string();
        let envoy = Envoy::start(envoy, stack.directory.path(), name, &text, admin_port).await;
        Self {
            _application: application,
            envoy,
            outbound_port,
            name: name.to_owned(),
            client: reqwest::Client::new(),
        }
    }

    async fn ready(&self, api: &Api) {
        let what = format!("proxy {} is ready", self.name);
        until(&what, Duration::from_secs(30), async || {
            let list = api.get("/meshes/shop/proxies?limit=500").await.expect(200);
            let items = list.json["items"].as_array().cloned().unwrap_or_default();
            items
                .iter()
                .any(|item| item["name"] == *self.name && item["state"] == "ready")
        })
        .await;
    }

    async fn call(&self) -> u16 {
        self.answer().await.0
    }

    /// The status and the version that answered; nothing but 0 when nobody did.
    async fn answer(&self) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}/", self.outbound_port);
        let Ok(reply) = self.client.get(url).header("host", "payments").send().await else {
            return (0, String::new());
        };
        let status = reply.status().as_u16();
        let body: Value = reply.json().await.unwrap_or_default();
        (
            status,
            body["version"].as_str().unwrap_or_default().to_owned(),
        )
    }

    async fn until_called(&self, status: u16) {
        let what = format!("{} is answered with {status}", self.name);
        until(&what, Duration::from_secs(20), async || {
            self.call().await == status
        })
        .await;
    }

    fn traffic(&self) -> Traffic {
        let url = format!("http://127.0.0.1:{}/", self.outbound_port);
        Traffic::start(&url, "payments", 3, Duration::from_millis(5), "/version")
    }

    /// What it refused of what it was sent.
    async fn rejected(&self) -> Vec<String> {
        let stats = self.envoy.admin("/stats?filter=update_rejected").await;
        let lines = stats.lines().filter(|line| !line.ends_with(": 0"));
        lines.map(str::to_owned).collect()
    }
}

async fn shop(stack: &Stack) -> Api {
    let spec = json!({"access_default": "allow"});
    stack
        .mesh("acme", "shop", spec, &["frontend", "payments"])
        .await
}

/// All is well: calls are answered, a change arrives and is taken back, nothing was refused.
async fn works(api: &Api, sidecars: &[Sidecar], callers: usize) {
    for sidecar in sidecars {
        sidecar.ready(api).await;
    }
    let rule = "/meshes/shop/services/payments/access-rules/stop";
    for caller in &sidecars[..callers] {
        caller.until_called(200).await;
    }
    let deny = json!({"action": "deny", "from": [{"service": "frontend"}]});
    let _ = api.put(rule, deny).await.expect(201);
    for caller in &sidecars[..callers] {
        caller.until_called(403).await;
    }
    let _ = api.delete(rule).await.expect(204);
    for caller in &sidecars[..callers] {
        caller.until_called(200).await;
    }
    for sidecar in sidecars {
        sidecar.ready(api).await;
        assert_eq!(sidecar.rejected().await, Vec::<String>::new());
    }
}

/// The server dies and comes back under load: no request notices, and nothing is sent again.
async fn survives_a_restart(stack: &mut Stack, api: &Api, sidecars: &[Sidecar], callers: usize) {
    let traffics: Vec<_> = sidecars[..callers].iter().map(Sidecar::traffic).collect();
    stack.server.kill().await;
    stack.server.start_again().await;
    for sidecar in sidecars {
        until("it has come back", Duration::from_secs(30), async || {
            sidecar.envoy.stat("control_plane.connected_state").await == 1
        })
        .await;
        sidecar.ready(api).await;
    }
    // Long enough for anything that would come unasked.
    let back = Instant::now();
    until("some seconds", Duration::from_secs(30), async || {
        back.elapsed() > Duration::from_secs(4)
    })
    .await;
    let sent = stack.server.sent().await;
    assert!(sent.values().all(|n| *n == 0), "resent: {sent:?}");
    for traffic in traffics {
        let outcomes = traffic.stop().await;
        let failed = Outcome::failed(&outcomes);
        assert!(
            failed.is_empty(),
            "{} failed: {:?}",
            failed.len(),
            failed[0]
        );
        assert!(outcomes.len() > 100, "{}", outcomes.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xds_x26_sotw_envoys_in_whole_states_are_served_and_a_restart_resends_nothing() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let mut sidecars = Vec::new();
    for (who, envoy) in [
        (("frontend", "v1", "frontend-1"), EnvoyVersion::Newest),
        (("frontend", "v1", "frontend-2"), EnvoyVersion::Oldest),
        (("payments", "v1", "payments-1"), EnvoyVersion::Oldest),
        (("payments", "v1", "payments-2"), EnvoyVersion::Newest),
    ] {
        sidecars.push(Sidecar::start(&stack, &api, who, envoy, Dialect::Sotw).await);
    }
    works(&api, &sidecars, 2).await;
    survives_a_restart(&mut stack, &api, &sidecars, 2).await;
    works(&api, &sidecars, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xds_x02_clusters_and_listeners_in_streams_of_their_own() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let mut sidecars = Vec::new();
    for (who, envoy, api_type) in [
        (
            ("frontend", "v1", "frontend-1"),
            EnvoyVersion::Newest,
            "DELTA_GRPC",
        ),
        (
            ("frontend", "v1", "frontend-2"),
            EnvoyVersion::Oldest,
            "GRPC",
        ),
        (
            ("payments", "v1", "payments-1"),
            EnvoyVersion::Oldest,
            "DELTA_GRPC",
        ),
        (
            ("payments", "v1", "payments-2"),
            EnvoyVersion::Newest,
            "GRPC",
        ),
    ] {
        let dialect = Dialect::Apart(api_type);
        sidecars.push(Sidecar::start(&stack, &api, who, envoy, dialect).await);
    }
    works(&api, &sidecars, 2).await;
    survives_a_restart(&mut stack, &api, &sidecars, 2).await;
}

/// Points the route from one version to the other and back, so many times, under load. Each flip makes a cluster and
/// takes one away.
async fn flip(count: u32, name: &str) {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let route = async |version: &str| {
        let body = json!({"priority": 100, "backends": [{"version": version}]});
        let path = "/meshes/shop/services/payments/routes/all";
        let reply = api.put(path, body).await;
        assert!(reply.status == 200 || reply.status == 201, "{}", reply.text);
    };
    route("v1").await;
    let mut sidecars = Vec::new();
    for (who, envoy, dialect) in [
        (
            ("frontend", "v1", "frontend-1"),
            EnvoyVersion::Newest,
            Dialect::Delta,
        ),
        (
            ("frontend", "v1", "frontend-2"),
            EnvoyVersion::Oldest,
            Dialect::Sotw,
        ),
        (
            ("payments", "v1", "payments-1"),
            EnvoyVersion::Oldest,
            Dialect::Delta,
        ),
        (
            ("payments", "v2", "payments-2"),
            EnvoyVersion::Newest,
            Dialect::Sotw,
        ),
    ] {
        sidecars.push(Sidecar::start(&stack, &api, who, envoy, dialect).await);
    }
    for sidecar in &sidecars {
        sidecar.ready(&api).await;
    }
    for caller in &sidecars[..2] {
        caller.until_called(200).await;
    }
    let traffics: Vec<_> = sidecars[..2].iter().map(Sidecar::traffic).collect();
    let began = Instant::now();
    for n in 0..count {
        let version = ["v2", "v1"][usize::from(n % 2 == 1)];
        route(version).await;
        for caller in &sidecars[..2] {
            until("the flip arrives", Duration::from_secs(30), async || {
                caller.answer().await.1 == version
            })
            .await;
        }
    }
    let took = began.elapsed();
    let mut requests = 0;
    let mut failures = Vec::new();
    for traffic in traffics {
        let outcomes = traffic.stop().await;
        requests += outcomes.len();
        failures.extend(Outcome::failed(&outcomes).into_iter().cloned());
    }
    evidence(
        name,
        0,
        json!({"flips": count, "requests": requests, "failed_requests": failures.len(), "took_s": took.as_secs_f64()}),
    );
    assert!(
        failures.is_empty(),
        "{} of {requests} failed: {:?}",
        failures.len(),
        failures[0]
    );
    assert!(requests > 10 * count as usize, "{requests}");
    for sidecar in &sidecars {
        assert_eq!(sidecar.rejected().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xds_x30_x33_a_hundred_route_flips_lose_no_request() {
    flip(100, "route_flips_short").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `make test-long`"]
async fn xds_x30_x33_a_thousand_route_flips_lose_no_request() {
    flip(1_000, "route_flips").await;
}
