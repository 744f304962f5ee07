//! Every setting at every level changes what real Envoys do. One mesh and one set of Envoys for all of it.
//!
//! Each walk writes the levels from the lowest to the highest, and each level says the opposite of the one below: what is
//! seen after a write can only come from that level. `frontend` makes exceptions for its calls; `reports` does not, so it
//! shows what holds for everybody else. After each write `effective` names the level that won.

mod guardrails;

use std::time::{Duration, Instant};

use heddle_tests::{
    Api, Collector, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, until, until_some,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

struct Shop {
    // Before the stack: whoever talks to the server ends first.
    frontend: Workload,
    reports: Workload,
    one: Workload,
    two: Workload,
    api: Api,
    stack: Stack,
}

impl Shop {
    async fn open() -> Self {
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
            let spec = WorkloadSpec {
                mesh: "shop",
                service,
                version: "v1",
                proxy,
                envoy,
            };
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
    async fn say(&self, level: &str, settings: Value) {
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
    async fn win(&self, level: &str, fields: &[(String, Value)]) {
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
    async fn hush(&self) {
        for level in ["upstream", "route", "service", "profile", "mesh"] {
            self.say(level, json!({})).await;
        }
    }

    fn payments(&self) -> [&Workload; 2] {
        [&self.one, &self.two]
    }

    /// The last lines about calls that failed, for whoever reads why a test did.
    fn failures(&self) -> Vec<Value> {
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

    fn requests(&self) -> u64 {
        self.payments()
            .map(|w| w.application.requests())
            .iter()
            .sum()
    }

    /// So many calls at once; how many were answered with 503.
    async fn at_once(&self, caller: &Workload, calls: usize) -> usize {
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

/// A short timeout and a long one, more attempts and fewer, in turn.
async fn timeouts_and_retries(shop: &Shop) {
    let walk = [
        ("mesh", true, 1),
        ("profile", false, 0),
        ("service", true, 2),
        ("route", false, 0),
        ("upstream", true, 1),
    ];
    for (level, short, attempts) in walk {
        let timeout = if short { "400ms" } else { "30s" };
        let retries = json!({"attempts": attempts, "on": ["gateway_error"]});
        shop.say(level, json!({"timeout": timeout, "retries": retries}))
            .await;
        let expected = if short { 504 } else { 200 };
        for workload in shop.payments() {
            workload.application.think(1500);
        }
        until(&format!("{level}: {timeout}"), SOON, async || {
            shop.frontend.call("payments", "/r").await.0 == expected
        })
        .await;
        if short {
            for workload in shop.payments() {
                workload.application.think(20_000);
            }
        }
        let started = Instant::now();
        assert_eq!(
            shop.frontend.call("payments", "/r").await.0,
            expected,
            "{level}"
        );
        let took = started.elapsed();
        if short {
            // Envoy counts from when its event loop woke up, which may be a little before the call came.
            assert!(took >= Duration::from_millis(350), "{level}: {took:?}");
            assert!(took < Duration::from_secs(20), "{level}: {took:?}");
        }
        for workload in shop.payments() {
            workload.application.think(0);
            workload.application.answer_with(503);
        }
        let tries = async |caller: &Workload| {
            let before = shop.requests();
            // Retries wait before they are made: within a short timeout they may not all come to pass.
            let (status, _) = caller.call("payments", "/r").await;
            (status == 503).then(|| shop.requests() - before)
        };
        until(&format!("{level}: {attempts} retries"), SOON, async || {
            tries(&shop.frontend).await == Some(attempts + 1)
        })
        .await;
        if level == "upstream" {
            let what = "the route's holds for others";
            until(what, SOON, async || tries(&shop.reports).await == Some(1)).await;
        }
        for workload in shop.payments() {
            workload.application.answer_with(200);
        }
    }
    shop.hush().await;
}

/// The second workload fails: it is ejected, or it is not, in turn.
async fn outlier_detection(shop: &Shop) {
    shop.two.application.answer_with(503);
    let on =
        json!({"consecutive_gateway_errors": 1, "base_ejection": "5m", "max_ejected_percent": 100});
    let walk = [
        ("mesh", on, true),
        ("profile", json!({"consecutive_gateway_errors": 0}), false),
        ("service", json!({"consecutive_5xx": 1}), true),
        ("upstream", json!({"consecutive_5xx": 0}), false),
    ];
    let ejected = "cluster.heddle/payments/http.outlier_detection.ejections_active";
    for (level, settings, ejects) in walk {
        shop.say(
            level,
            json!({"outlier_detection": settings, "retries": {"attempts": 0}}),
        )
        .await;
        if ejects {
            until(&format!("{level}: it is ejected"), SOON, async || {
                let _ = shop.frontend.call("payments", "/r").await;
                shop.frontend.envoy.stat(ejected).await == 1
            })
            .await;
            let before = shop.two.application.requests();
            for _ in 0..20 {
                assert_eq!(shop.frontend.call("payments", "/r").await.0, 200, "{level}");
            }
            assert_eq!(shop.two.application.requests(), before, "{level}");
        } else {
            // It fails again and again, and is not left alone for that.
            for _ in 0..3 {
                until(&format!("{level}: it gets calls"), SOON, async || {
                    shop.frontend.call("payments", "/r").await.0 == 503
                })
                .await;
            }
        }
    }
    until("others have it ejected", SOON, async || {
        let _ = shop.reports.call("payments", "/r").await;
        shop.reports.envoy.stat(ejected).await == 1
    })
    .await;
    shop.two.application.answer_with(200);
    shop.hush().await;
}

/// One request at a time, or many, in turn.
async fn circuit_breaking(shop: &Shop) {
    for workload in shop.payments() {
        workload.application.think(300);
    }
    // Envoy's own word for a call that met a bound; its counters for that differ between versions.
    let overflows = || {
        let lines = shop.frontend.envoy.access_log();
        let met = |line: &&Value| line["response_flags"] == "UO";
        lines.iter().filter(met).count()
    };
    for (level, narrow) in [
        ("mesh", true),
        ("profile", false),
        ("service", true),
        ("upstream", false),
    ] {
        let most = if narrow { 1 } else { 1000 };
        let settings =
            json!({"circuit_breaking": {"max_requests": most}, "retries": {"attempts": 0}});
        shop.say(level, settings).await;
        if narrow {
            let before = overflows();
            until(&format!("{level}: the circuit opens"), SOON, async || {
                shop.at_once(&shop.frontend, 6).await > 0
            })
            .await;
            until(&format!("{level}: Envoy says so"), SOON, async || {
                overflows() > before
            })
            .await;
        } else {
            until(&format!("{level}: it stays closed"), SOON, async || {
                shop.at_once(&shop.frontend, 6).await == 0
            })
            .await;
        }
    }
    until("it opens for others", SOON, async || {
        shop.at_once(&shop.reports, 6).await > 0
    })
    .await;
    for workload in shop.payments() {
        workload.application.think(0);
    }
    shop.hush().await;
}

/// The second workload says that it is ill: it is avoided, or nobody asks, in turn.
async fn health_checks(shop: &Shop) {
    shop.two.application.health(503);
    let on = json!({"check": "http", "path": "/healthz", "interval": "200ms", "unhealthy_threshold": 1, "healthy_threshold": 1});
    let walk = [
        ("mesh", on, true),
        ("profile", json!({"check": "none"}), false),
        ("service", json!({"check": "http"}), true),
    ];
    let healthy = "cluster.heddle/payments/http.membership_healthy";
    for (level, settings, avoided) in walk {
        shop.say(level, json!({"health_check": settings})).await;
        if avoided {
            // Not at the first sight of one: a cluster that is new counts up to two before it counts down.
            until(&format!("{level}: it is unhealthy"), SOON, async || {
                let before = shop.two.application.requests();
                for _ in 0..20 {
                    let (status, _) = shop.frontend.call("payments", "/r").await;
                    assert_eq!(status, 200, "{level}: {:#?}", shop.failures());
                }
                let calls = shop.two.application.requests() - before;
                calls == 0 && shop.frontend.envoy.stat(healthy).await == 1
            })
            .await;
            assert!(shop.two.application.checks() > 0, "its own proxy asks it");
        } else {
            until(&format!("{level}: it gets calls"), SOON, async || {
                let before = shop.two.application.requests();
                let _ = shop.frontend.call("payments", "/r").await;
                shop.two.application.requests() > before
            })
            .await;
        }
    }
    shop.two.application.health(200);
    until("it is healthy again", SOON, async || {
        shop.frontend.envoy.stat(healthy).await == 2
    })
    .await;
    for workload in shop.payments() {
        let checked = |line: &Value| line["path"].as_str().is_some_and(|p| p.contains("health"));
        let lines = workload.envoy.access_log();
        assert!(!lines.iter().any(checked), "a check is not a request");
    }
    shop.hush().await;
}

/// Each level writes into another sink. A call has a path of its own, so its line can be told from others.
async fn access_logs(shop: &Shop) {
    let collector = Collector::start().await;
    let file = shop.stack.directory.path().join("access.json");
    let to = |sink: Value| json!({"access_log": {"to": [sink]}});
    // Connections that exist end with what they began with: each write moves a bound too, so that callers make new ones.
    let with_new_connections = |mut settings: Value, most: u32| {
        settings["circuit_breaking"] = json!({"max_connections": most});
        settings
    };
    let mut counter = 0;
    let mut call = async |prefix: &str| {
        counter += 1;
        let path = format!("/r/{prefix}-{counter}");
        let _ = shop.reports.call("payments", &path).await;
        path
    };

    let settings = to(json!({"file": {"path": file.to_str().unwrap()}}));
    shop.say("mesh", with_new_connections(settings, 1001)).await;
    let line: Value = until_some("mesh: a line in the file", SOON, async || {
        let path = call("file").await;
        let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let earlier = |line: &Value| line["service"] == "payments" && line["path"] != path.as_str();
        lines
            .filter(earlier)
            .find(|line| line["direction"] == "inbound")
    })
    .await;
    assert_eq!(
        (&line["method"], &line["response_code"]),
        (&json!("GET"), &json!(200))
    );
    assert!(
        line["downstream_peer_uri_san"]
            .as_str()
            .unwrap()
            .ends_with("/service/reports")
    );

    let settings = to(json!({"otlp": {"host": "127.0.0.1", "port": collector.port}}));
    shop.say("profile", with_new_connections(settings, 1002))
        .await;
    let record = until_some("profile: a record at the collector", SOON, async || {
        let _ = call("otlp").await;
        collector.records().into_iter().next()
    })
    .await;
    assert_eq!(record.resource["service.name"], "payments");
    assert_eq!(record.attributes["direction"], "inbound");
    assert!(record.attributes["path"].starts_with("/r/"), "{record:?}");
    assert_eq!(record.attributes["response_code"], "200");

    // Of what the service receives nothing, of what it calls everything, on standard output.
    let settings =
        json!({"access_log": {"inbound": "none", "outbound": "all", "to": [{"stdout": {}}]}});
    shop.say("service", with_new_connections(settings, 1003))
        .await;
    until(
        "service: calls that succeed are written down too",
        SOON,
        async || {
            // On a connection of its own: it may have existed before.
            let url = format!("http://127.0.0.1:{}/r/out", shop.one.outbound_port);
            let request = reqwest::Client::new().get(url).header("host", "payments");
            let _ = request.send().await;
            let lines = shop.one.envoy.access_log();
            let ours = |line: &&Value| line["direction"] == "outbound" && line["path"] == "/r/out";
            lines
                .iter()
                .filter(ours)
                .any(|line| line["response_code"] == 200)
        },
    )
    .await;
    let quiet = async || {
        let path = call("quiet").await;
        let seen = |workload: &Workload| {
            let lines = workload.envoy.access_log();
            lines.iter().any(|line| line["path"] == path.as_str())
        };
        let known = |record: &heddle_tests::LogRecord| record.attributes["path"] == path;
        !shop.payments().into_iter().any(seen) && !collector.records().iter().any(known)
    };
    until("service: requests that arrive are not", SOON, quiet).await;
    shop.hush().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_setting_at_every_level_changes_what_envoys_do() {
    let shop = Shop::open().await;
    timeouts_and_retries(&shop).await;
    outlier_detection(&shop).await;
    circuit_breaking(&shop).await;
    health_checks(&shop).await;
    access_logs(&shop).await;
}
