//! What is written after a backup, as it is written: PostgreSQL's log, received by its own program and synced piece by piece.
//!
//! The slot keeps what has not been received, so a follower that was away goes on where it was; it is made before the follower
//! connects, and `--synchronous` tells the server what is on disk here.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::connection::Connection;
use super::tools::{self, Tools};
use super::wal;
use crate::up::files::private_dir;
use crate::up::output::complain;
use crate::up::process::describe;
use crate::up::wait;

/// How long the first piece may take.
const FIRST: Duration = Duration::from_secs(60);

/// A running `pg_receivewal`. Dropping it asks it to end; it dies with this process at the latest.
pub(super) struct Following {
    child: tokio::process::Child,
}

impl Drop for Following {
    fn drop(&mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
    }
}

impl Following {
    /// Makes the slot if need be, and returns once something is being received.
    pub(super) async fn start(
        tools: &Tools,
        connection: &Connection,
        to: &Path,
        slot: &str,
    ) -> anyhow::Result<Self> {
        private_dir(to)?;
        let make = tools.client("pg_receivewal", connection).args([
            "--create-slot",
            "--if-not-exists",
            "--slot",
            slot,
        ]);
        tools::run(&make)
            .await
            .context("make the replication slot")?;
        let mut spec = tools
            .client("pg_receivewal", connection)
            .args(["--slot", slot, "--synchronous", "--status-interval=1"])
            .args(["--directory"])
            .args([to]);
        spec.dies_with = Signal::SIGINT;
        let mut command = spec.command()?;
        let child = command.stdout(Stdio::null()).spawn();
        let mut this = Self {
            child: child.context("start pg_receivewal")?,
        };
        wait::until("something is received", FIRST, async || {
            if let Some(status) = this.child.try_wait().context("wait for pg_receivewal")? {
                bail!("pg_receivewal {}", describe(status));
            }
            Ok(wal::is_begun(to)?.then_some(()))
        })
        .await?;
        complain(&format!("following what is written, to {}", to.display()));
        Ok(this)
    }

    /// Goes on until it fails. While the database is away, it tries again every five seconds.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let status = self.child.wait().await.context("wait for pg_receivewal")?;
        bail!("pg_receivewal {}", describe(status))
    }
}
