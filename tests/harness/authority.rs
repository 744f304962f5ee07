//! `heddled ca`: the process with the sealing key, run by the test itself so that it can be killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::postgres::Postgres;
use crate::process::{Child, heddled};
use crate::until::until;

/// The process with the sealing key.
pub struct Authority {
    socket: PathBuf,
    database_url: String,
    keys: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Authority {
    /// Starts it on a socket, with its keys as environment variables.
    pub async fn start(socket: &Path, postgres: &Postgres, keys: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut authority = Self {
            socket: socket.to_owned(),
            database_url: postgres.ca_url(),
            keys: keys.iter().map(owned).collect(),
            log: socket.with_extension("log"),
            child: None,
        };
        authority.start_again().await;
        authority
    }

    /// Starts it (again) and waits until somebody can talk to it.
    ///
    /// # Panics
    /// It runs already, or ends.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = Command::new(heddled());
        command
            .arg("ca")
            .env("DATABASE_URL", &self.database_url)
            .env("HEDDLE_CA_SOCKET", &self.socket)
            .env_remove("HEDDLE_MIGRATE_DATABASE_URL")
            .envs(self.keys.iter().map(|(name, value)| (name, value)));
        let mut child = Child::start(&mut command, &self.log);
        until("the CA serves", Duration::from_secs(30), async || {
            assert!(!child.has_ended(), "the CA ended:\n{}", child.output());
            tokio::net::UnixStream::connect(&self.socket).await.is_ok()
        })
        .await;
        self.child = Some(child);
    }

    /// Kills it with SIGKILL; it stays dead.
    ///
    /// # Panics
    /// It does not run.
    pub async fn kill(&mut self) {
        self.child.take().expect("it runs").kill().await;
    }

    /// Its process id.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("it was started");
        child.pid().expect("it runs")
    }
}
