//! What a long test measured, kept for whoever asks: `target/evidence/<name>.json`.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

/// Writes one evidence file: the commit, the seed (0 where nothing is random) and the figures, units in their keys.
///
/// # Panics
/// The file cannot be written.
pub fn evidence(name: &str, seed: u64, figures: Value) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let commit = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(&repository)
        .output();
    let commit = commit
        .map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
        .unwrap_or_default();
    let mut all = Map::new();
    all.insert(String::from("commit"), json!(commit));
    all.insert(String::from("seed"), json!(seed));
    if let Value::Object(figures) = figures {
        all.extend(figures);
    }
    let directory = repository.join("target/evidence");
    std::fs::create_dir_all(&directory).expect("the target directory can be written");
    let text = format!("{:#}\n", Value::Object(all));
    std::fs::write(directory.join(format!("{name}.json")), text)
        .expect("the target directory can be written");
}

/// A seed that differs from run to run.
#[must_use]
pub fn seed() -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0)
}
