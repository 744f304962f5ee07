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

#[test]
fn every_scenario_measures_a_real_server() {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_heddle-bench"))
        .args(["scenario", "cold", "endpoint", "route", "storm", "rest"])
        .args(["--proxies", "12", "--services", "3", "--changes", "2"])
        .args(["--objects", "60", "--meshes", "6", "--writers", "6"])
        .args(["--rounds", "1", "--seconds", "0.3"])
        .arg("--heddled")
        .arg(heddled())
        .arg("--out")
        .arg(out.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cold = figures(out.path(), "s1-cold");
    assert_eq!(
        (&cold["proxies"], &cold["broken_connections"]),
        (&12.into(), &0.into()),
        "{cold}"
    );
    assert!(
        cold["received_kb_per_proxy"].as_f64().unwrap() > 1.0,
        "{cold}"
    );
    for name in ["s2-endpoint", "s3-route"] {
        let change = figures(out.path(), name);
        assert_eq!(change["changes"], 2, "{change}");
        assert!(change["receipt_max_ms"].as_f64().unwrap() > 0.0, "{change}");
    }
    // Each service calls one other, so a workload concerns the four proxies of one service.
    let output = Command::new(env!("CARGO_BIN_EXE_heddle-bench"))
        .args(["scenario", "endpoint", "route", "--scope", "1"])
        .args(["--proxies", "12", "--services", "3", "--changes", "2"])
        .arg("--heddled")
        .arg(heddled())
        .arg("--out")
        .arg(out.path().join("scoped"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for name in ["s2-endpoint", "s3-route"] {
        let change = figures(&out.path().join("scoped"), name);
        assert_eq!(change["pushes_per_change"], 4.0, "{change}");
    }
    let storm = figures(out.path(), "s5-storm");
    assert_eq!(storm["resources_resent"], 0, "{storm}");
    let rest = figures(out.path(), "r1-rest");
    assert_eq!(rest["objects"], 60, "{rest}");
    for work in ["get", "list", "write"] {
        for side in ["", "bare_"] {
            let rate = &rest[format!("{side}{work}_per_s")];
            assert!(rate.as_f64().unwrap() > 0.0, "{rest}");
        }
        assert!(rest[format!("{work}_p99_ratio")].as_f64().unwrap() > 0.0);
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
