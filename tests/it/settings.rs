//! Every setting at every level changes what real Envoys do. One mesh and one set of Envoys for all of it.
//!
//! Each walk writes the levels from the lowest to the highest, and each level says the opposite of the one below: what is
//! seen after a write can only come from that level. `frontend` makes exceptions for its calls; `reports` does not, so it
//! shows what holds for everybody else. After each write `effective` names the level that won.

mod access_logs;
mod guardrails;
mod shop;

use std::time::{Duration, Instant};

use heddle_tests::{Workload, until};
use serde_json::{Value, json};

use access_logs::access_logs;
use shop::Shop;

const SOON: Duration = Duration::from_secs(20);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_setting_at_every_level_changes_what_envoys_do() {
    let shop = Shop::open().await;
    timeouts_and_retries(&shop).await;
    outlier_detection(&shop).await;
    circuit_breaking(&shop).await;
    health_checks(&shop).await;
    access_logs(&shop).await;
}
