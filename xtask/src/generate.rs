//! Everything that is generated and checked in. `cargo xtask check` and the tests fail when one is not current.

use std::process::Command;

use anyhow::Context as _;

use crate::output::say;
use crate::repository::Repository;
use crate::{conformance, migrations};

/// Writes all of it. Says whether that worked.
///
/// # Errors
/// A locked migration was edited, a test carries an unknown number, or a file cannot be read or written.
pub(crate) fn run(repository: &Repository) -> anyhow::Result<bool> {
    write(repository, migrations::LOCK, &migrations::lock(repository)?)?;
    write(
        repository,
        conformance::TABLE,
        &conformance::table(repository)?,
    )?;
    // The document belongs to the API's crate, which this one must not depend on: its own test writes it.
    let status = Command::new(env!("CARGO"))
        .current_dir(repository.root())
        .args(["test", "--quiet", "-p", "heddle-api", "--test", "openapi"])
        .env("HEDDLE_GENERATE", "1")
        .status()
        .context("run the test that writes the API document")?;
    Ok(status.success())
}

fn write(repository: &Repository, file: &str, text: &str) -> anyhow::Result<()> {
    let changed = repository.write(file, text)?;
    let outcome = if changed { "written" } else { "is current" };
    say(&format!("{file} {outcome}"));
    Ok(())
}
