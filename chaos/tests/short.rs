//! The program itself with a small world and short faults: what it measures under load is for `make chaos`, that it measures is
//! seen here.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The server, built beside this test.
fn heddled() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("heddled");
    assert!(binary.exists(), "run `cargo build -p heddled` first");
    binary
}

#[test]
fn chaos_f01_f03_killed_servers_are_stood() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_heddle-chaos"))
        .args(["--faults", "F-01,F-03", "--scale", "small", "--seed", "7"])
        .args(["--evidence", "chaos-short"])
        .arg("--heddled")
        .arg(heddled())
        .current_dir(repository)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    let file = repository.join("target/evidence/chaos-short.json");
    let evidence: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(evidence["seed"], json!(7));
    let faults = evidence["faults"].as_array().unwrap();
    let numbers: Vec<&Value> = faults.iter().map(|fault| &fault["fault"]).collect();
    assert_eq!(numbers, ["F-01", "F-03"]);
    for fault in faults {
        let oracles = fault["oracles"].as_object().unwrap();
        assert_eq!(oracles.len(), 10, "{fault}");
        assert!(!fault["bars"].as_array().unwrap().is_empty(), "{fault}");
    }
}
