//! Everything that a change must pass, in the order in which it fails fastest.

use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;

use crate::output::say;
use crate::repository::Repository;

/// A step: its name, cargo's arguments, and what the environment has in addition.
struct Step {
    name: &'static str,
    cargo: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        cargo: &["fmt", "--all", "--check"],
        environment: &[],
    },
    Step {
        name: "checks",
        cargo: &["run", "--quiet", "--locked", "-p", "xtask", "--", "check"],
        environment: &[],
    },
    Step {
        name: "lints",
        cargo: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        environment: &[],
    },
    Step {
        name: "documentation",
        cargo: &[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--locked",
        ],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Step {
        name: "server",
        cargo: &["build", "--locked", "-p", "heddled"],
        environment: &[],
    },
    Step {
        name: "tests",
        cargo: &["test", "--workspace", "--locked"],
        environment: &[],
    },
];

/// Runs the steps until one fails. Says whether none did.
///
/// # Errors
/// Cargo cannot be run.
pub(crate) fn run(repository: &Repository) -> anyhow::Result<bool> {
    let begun = Instant::now();
    for step in STEPS {
        say(&format!("== {}: cargo {}", step.name, step.cargo.join(" ")));
        let started = Instant::now();
        let status = Command::new(env!("CARGO"))
            .current_dir(repository.root())
            .args(step.cargo)
            .envs(step.environment.iter().copied())
            .status()
            .context("run cargo")?;
        let took = started.elapsed().as_secs_f64();
        if !status.success() {
            say(&format!("== {}: FAILED after {took:.1} s", step.name));
            return Ok(false);
        }
        say(&format!("== {}: ok in {took:.1} s", step.name));
    }
    say(&format!(
        "== all ok in {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    Ok(true)
}
