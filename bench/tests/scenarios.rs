//! The scenarios at a small size against the real server: what they measure is not judged, that they measure is.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The server, built beside this test.
fn heddled() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("heddled");
    assert!(binary.exists(), "run `cargo build -p heddled` first");
    binary
}

fn figures(directory: &std::path::Path, name: &str) -> Value {
    let text = std::fs::read(directory.join(format!("{name}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Runs scenarios with a few proxies and a real Envoy, with these flags; their figures.
fn tiny<const N: usize>(scenarios: [(&str, &str); N], flags: &str) -> [Value; N] {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_heddle-bench"))
        .arg("scenario")
        .args(scenarios.map(|(scenario, _)| scenario))
        .args(["--proxies", "12", "--services", "3"])
        .args(flags.split_whitespace())
        .arg("--heddled")
        .arg(heddled())
        .arg("--out")
        .arg(out.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    scenarios.map(|(_, file)| figures(out.path(), file))
}

fn number(figures: &Value, key: &str) -> f64 {
    let number = figures[key].as_f64();
    number.unwrap_or_else(|| panic!("no {key} in {figures}"))
}

#[test]
fn proxies_connect_hear_of_changes_and_come_back() {
    let [cold, endpoint, route, storm, rest] = tiny(
        [
            ("cold", "s1-cold"),
            ("endpoint", "s2-endpoint"),
            ("route", "s3-route"),
            ("storm", "s5-storm"),
            ("rest", "r1-rest"),
        ],
        "--changes 2 --objects 60 --meshes 6 --writers 6 --rounds 1 --seconds 0.3",
    );
    assert_eq!(
        (&cold["proxies"], &cold["broken_connections"]),
        (&12.into(), &0.into()),
        "{cold}"
    );
    assert!(number(&cold, "received_kb_per_proxy") > 1.0, "{cold}");
    for change in [endpoint, route] {
        assert_eq!(change["changes"], 2, "{change}");
        assert!(number(&change, "receipt_max_ms") > 0.0, "{change}");
    }
    assert_eq!(storm["resources_resent"], 0, "{storm}");
    assert_eq!(rest["objects"], 60, "{rest}");
    for work in ["get", "list", "write"] {
        for figure in ["{}_per_s", "bare_{}_per_s", "{}_p99_ratio"] {
            let figure = figure.replace("{}", work);
            assert!(number(&rest, &figure) > 0.0, "{figure} in {rest}");
        }
    }
}

#[test]
fn a_change_concerns_those_within_whose_scope_it_is() {
    // Each service calls one other, so a workload concerns the four proxies of one service.
    let scoped = tiny(
        [("endpoint", "s2-endpoint"), ("route", "s3-route")],
        "--changes 2 --scope 1",
    );
    for change in scoped {
        assert_eq!(change["pushes_per_change"], 4.0, "{change}");
    }
}

#[test]
fn endpoints_that_change_all_the_time_reach_everybody_who_reads() {
    // Who knows the first service: those of the one that calls it, four of twelve.
    let [churn] = tiny(
        [("churn", "s4-churn")],
        "--scope 1 --churn-per-s 40 --churn-seconds 1",
    );
    assert_eq!(churn["proxies_concerned"], 4, "{churn}");
    assert!(number(&churn, "changes") >= 20.0, "{churn}");
    assert!(number(&churn, "lag_p99_ms") > 0.0, "{churn}");
    assert!(
        number(&churn, "responses_per_change_and_proxy") > 0.0,
        "{churn}"
    );
    assert!(number(&churn, "real_envoys_updates_taken") > 0.0, "{churn}");
    let [slow] = tiny(
        [("slow", "s8-slow")],
        "--slow-percent 5 --churn-per-s 40 --churn-seconds 2",
    );
    // Numbers 0 to 4 of the twelve.
    assert_eq!(slow["slow_proxies"], 5, "{slow}");
    assert_eq!(slow["proxies_concerned"], 7, "{slow}");
    assert!(number(&slow, "lag_p99_once_they_read_ms") > 0.0, "{slow}");
}

#[test]
fn what_concerns_nobody_is_sent_to_nobody() {
    let [policy, no_op, idle] = tiny(
        [
            ("policy", "s3-policy"),
            ("no-op", "s6-no-op"),
            ("idle", "s11-idle"),
        ],
        "--changes 2 --no-op-per-s 50 --no-op-seconds 1 --idle-seconds 1",
    );
    assert_eq!(policy["pushes_per_change"], 12.0, "{policy}");
    assert_eq!(
        (&no_op["writes"], &no_op["pushes"]),
        (&50.into(), &0.into())
    );
    assert_eq!(idle["pushes"], 0, "{idle}");
    assert!(number(&idle, "server_wake_ups_per_s") > 0.0, "{idle}");
}

#[test]
fn tenants_and_crowds_are_measured() {
    let [tenants, max, fan_out] = tiny(
        [
            ("tenants", "s7-tenants"),
            ("max", "s12-max"),
            ("fan-out", "c1-fan-out"),
        ],
        "--orgs 3 --proxies-per-org 2 --noise-per-s 40 --noise-seconds 1 \
         --ramp-to 36 --ramp-step 12 --streams-per-connection 4 --changes 2 --runs 1",
    );
    assert_eq!(
        (&tenants["orgs"], &tenants["proxies"]),
        (&3.into(), &6.into())
    );
    assert!(number(&tenants, "victims_p99_ratio") > 0.0, "{tenants}");
    assert_eq!(max["proxies_carried"], 36, "{max}");
    assert_eq!(max["ended_by"], "ramp_to", "{max}");
    assert!(number(&fan_out, "receipt_p99_ms") > 0.0, "{fan_out}");
}

#[test]
fn workloads_get_certificates() {
    let [certificates] = tiny(
        [("certificates", "s9-certificates")],
        "--callers 4 --each 3 --envoys 0",
    );
    assert_eq!(certificates["certificates"], 36, "{certificates}");
    for figure in ["certificates_per_s", "raw_signatures_per_s", "first_per_s"] {
        assert!(number(&certificates, figure) > 0.0, "{certificates}");
    }
}

#[test]
fn a_load_goes_to_loopback_only() {
    let output = Command::new(env!("CARGO_BIN_EXE_heddle-bench"))
        .args(["xds-load", "--server", "192.0.2.1:18000"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not loopback"));
}
