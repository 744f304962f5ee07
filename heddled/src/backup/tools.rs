//! PostgreSQL's own programs, as children that end when we do. What they say goes to standard error.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use super::connection::Connection;
use crate::up::process::{Spec, describe};

/// Where they are.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    binaries: PathBuf,
}

impl Tools {
    pub(crate) fn new(binaries: PathBuf) -> Self {
        Self { binaries }
    }

    /// A program that talks to a database.
    pub(super) fn client(&self, name: &str, connection: &Connection) -> Spec {
        connection.to(self.program(name))
    }

    fn program(&self, name: &str) -> Spec {
        Spec::new(name, self.binaries.join(name), Path::new(""))
    }

    /// Reads a base backup again, and holds it against the checksums that were taken when it was made.
    ///
    /// # Errors
    /// It is not whole.
    pub(crate) async fn verify(&self, cluster: &Path) -> anyhow::Result<()> {
        let spec = self
            .program("pg_verifybackup")
            .args(["--quiet"])
            .args([cluster]);
        run(&spec).await.context("the backup is not whole")
    }

    /// The first part of PostgreSQL's version: programs of one work with clusters of the same.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) async fn major(&self) -> anyhow::Result<u32> {
        let spec = self.program("pg_verifybackup").args(["--version"]);
        let output = spec
            .command()?
            .output()
            .await
            .context("run pg_verifybackup")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.split("(PostgreSQL) ").nth(1);
        let digits = version.and_then(|text| text.split(|c: char| !c.is_ascii_digit()).next());
        let major = digits.and_then(|digits| digits.parse().ok());
        major.with_context(|| format!("pg_verifybackup says of its version: {said}"))
    }
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, or fails: what it says stands on standard error.
pub(super) async fn run(spec: &Spec) -> anyhow::Result<()> {
    let mut command = spec.command()?;
    command.stdout(Stdio::null()).kill_on_drop(true);
    let status = command.status().await;
    let status = status.with_context(|| format!("run {}", spec.name))?;
    if !status.success() {
        bail!("{} {}", spec.name, describe(status));
    }
    Ok(())
}
