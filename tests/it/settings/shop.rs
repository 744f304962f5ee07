//! The mesh that the settings are tried in: two callers, and a service with two workloads.

use heddle_tests::{Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, until};
use serde_json::{Value, json};

use super::SOON;

pub(super) struct Shop {
    // Before the stack: whoever talks to the server ends first.
    pub(super) frontend: Workload,
    pub(super) reports: Workload,
    pub(super) one: Workload,
    pub(super) two: Workload,
    pub(super) api: Api,
    pub(super) stack: Stack,
}

impl Shop {
    pub(super) async fn open() -> Self {
        let stack = Stack::start(ServerOptions::default()).await;
        let services = ["frontend", "reports", "payments"];
        let api = stack
            .mesh("acme", "shop", mesh(&json!({})), &services)
            .await;
        let put = async |path: &str, body: Value| {
            let _ = api
                .put(&format!("/meshes/shop{path}"), body)
                .await
                .expect(201);
        };
        put("/profiles/std", json!({"settings": {}})).await;
        // Only calls below `/r` are let in, by anybody: no rule says anything about health checks.
        let rule = json!({"action": "allow", "to": [{"paths": [{"prefix": "/r"}]}]});
        put("/services/payments/access-rules/calls", rule).await;
        let route = json!({"priority": 1, "match": [{"path": {"prefix": "/r"}}], "backends": [{"service": "payments"}]});
        put("/services/payments/routes/r", route).await;
        let start = async |service: &'static str, proxy: &'static str, envoy| {
            let spec = WorkloadSpec::of_shop(service, proxy, envoy);
            Workload::start(&stack, &api, &spec).await
        };
        let frontend = start("frontend", "frontend-1", EnvoyVersion::Newest).await;
        let reports = start("reports", "reports-1", EnvoyVersion::Oldest).await;
        let one = start("payments", "payments-1", EnvoyVersion::Newest).await;
        let two = start("payments", "payments-2", EnvoyVersion::Oldest).await;
        for workload in [&frontend, &reports, &one, &two] {
            workload.ready(&api, "shop").await;
        }
        let shop = Self {
            frontend,
            reports,
            one,
            two,
            api,
            stack,
        };
        // From here on the service names its profile.
        shop.hush().await;
        for caller in [&shop.frontend, &shop.reports] {
            until("both workloads answer", SOON, async || {
                let before = (
                    shop.one.application.requests(),
                    shop.two.application.requests(),
                );
                let _ = caller.call("payments", "/r").await;
                let _ = caller.call("payments", "/r").await;
                shop.one.application.requests() > before.0
                    && shop.two.application.requests() > before.1
            })
            .await;
        }
        shop
    }

    /// What a level says; what it said before is gone.
    pub(super) async fn say(&self, level: &str, settings: Value) {
        let ports = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
        let (path, body) = match level {
            "mesh" => ("", mesh(&settings)),
            "profile" => ("/profiles/std", json!({"settings": settings})),
            "service" => (
                "/services/payments",
                json!({"ports": ports, "profile": "std", "defaults": settings}),
            ),
            "route" => (
                "/services/payments/routes/r",
                json!({"priority": 1, "match": [{"path": {"prefix": "/r"}}], "backends": [{"service": "payments"}], "settings": settings}),
            ),
            "upstream" => (
                "/services/frontend",
                json!({"ports": ports, "upstreams": [{"service": "payments", "override": settings}]}),
            ),
            other => panic!("no level {other}"),
        };
        let _ = self
            .api
            .put(&format!("/meshes/shop{path}"), body)
            .await
            .expect(200);
        let mut fields = Vec::new();
        leaves("", &settings, &mut fields);
        self.win(level, &fields).await;
    }

    /// This level is the one that won these fields: for calls of `frontend`, and for others unless it is the exception that
    /// `frontend` makes.
    pub(super) async fn win(&self, level: &str, fields: &[(String, Value)]) {
        if fields.is_empty() {
            return;
        }
        for caller in ["frontend", "reports"] {
            let path = "/meshes/shop/services/payments/routes/r/effective";
            let table = self.api.get(&format!("{path}?caller={caller}")).await;
            let table = table.expect(200).json;
            for (field, value) in fields {
                let items = table["items"].as_array().unwrap();
                let item = items.iter().find(|item| item["field"] == *field).unwrap();
                let won = item["from"]["level"] == level;
                let meant = level != "upstream" || caller == "frontend";
                assert_eq!(won, meant, "{level}, calls of {caller}: {item}");
                assert!(!won || item["value"] == *value, "{level}: {item}");
            }
        }
    }

    /// Nobody says anything.
    pub(super) async fn hush(&self) {
        for level in ["upstream", "route", "service", "profile", "mesh"] {
            self.say(level, json!({})).await;
        }
    }

    pub(super) fn payments(&self) -> [&Workload; 2] {
        [&self.one, &self.two]
    }

    /// The last lines about calls that failed, for whoever reads why a test did.
    pub(super) fn failures(&self) -> Vec<Value> {
        let workloads = [&self.frontend, &self.one, &self.two];
        let last = |workload: &Workload| {
            let lines = workload.envoy.access_log();
            let failed = lines.into_iter().rev();
            failed
                .filter(|line| line["response_code"] == 503)
                .take(2)
                .collect::<Vec<_>>()
        };
        workloads.into_iter().flat_map(last).collect()
    }

    pub(super) fn requests(&self) -> u64 {
        self.payments()
            .map(|w| w.application.requests())
            .iter()
            .sum()
    }

    /// So many calls at once; how many were answered with 503.
    pub(super) async fn at_once(&self, caller: &Workload, calls: usize) -> usize {
        let answers = (0..calls).map(|_| caller.call("payments", "/r"));
        let answers = all_at_once(answers.collect()).await;
        answers.into_iter().filter(|status| *status == 503).count()
    }
}

/// The fields of a value that are no objects, as `effective` names them.
fn leaves(at: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if at.is_empty() { "" } else { "." };
                leaves(&format!("{at}{dot}{name}"), value, found);
            }
        }
        _ => found.push((at.to_owned(), value.clone())),
    }
}

async fn all_at_once<F: Future<Output = (u16, Value)>>(calls: Vec<F>) -> Vec<u16> {
    let mut calls: Vec<_> = calls.into_iter().map(|call| Some(Box::pin(call))).collect();
    let mut statuses = Vec::new();
    std::future::poll_fn(move |context| {
        for slot in &mut calls {
            if let Some(call) = slot
                && let std::task::Poll::Ready((status, _)) = call.as_mut().poll(context)
            {
                statuses.push(status);
                *slot = None;
            }
        }
        match calls.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(std::mem::take(&mut statuses)),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

fn mesh(defaults: &Value) -> Value {
    json!({"access_default": "deny", "defaults": defaults})
}
