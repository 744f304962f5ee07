//! `heddled up` without the demo: a supervisor whose children can be killed, as the kernel or a person would.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use crate::api::Api;
use crate::ports::free_ports;
use crate::process::{Child, heddled, scratch};
use crate::until::until_some;

/// A running `heddled up`. Dropping it kills the supervisor, and the kernel everything below it.
pub struct Up {
    supervisor: Child,
    ready_file: PathBuf,
    sockets: PathBuf,
    sealing_key: PathBuf,
    api: String,
    directory: TempDir,
}

impl Drop for Up {
    /// Whoever looks for the cause of a failure needs the logs.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
        }
    }
}

impl Up {
    /// Starts PostgreSQL and the server, with further flags.
    pub async fn start(flags: &[&str]) -> Self {
        let directory = scratch("heddle-up-");
        let (data, ready_file) = (
            directory.path().join("data"),
            directory.path().join("ready.json"),
        );
        let [api_port, xds_port] = free_ports();
        let mut command = Command::new(heddled());
        command.args(["up", "--stop-with-parent"]);
        command.arg("--data-dir").arg(&data);
        command.arg("--ready-file").arg(&ready_file);
        command.args(["--api-listen", &format!("127.0.0.1:{api_port}")]);
        command.args(["--xds-listen", &format!("127.0.0.1:{xds_port}")]);
        command.args(flags).env_remove("DATABASE_URL");
        let mut supervisor = Child::start(&mut command, &directory.path().join("up.log"));
        let up = "PostgreSQL and the server are up";
        let ready: Value = until_some(up, Duration::from_secs(120), async || {
            assert!(!supervisor.has_ended(), "{}", supervisor.output());
            serde_json::from_slice(&std::fs::read(&ready_file).ok()?).ok()
        })
        .await;
        Self {
            supervisor,
            ready_file,
            sockets: data.join("run"),
            sealing_key: data.join("keys/sealing.key"),
            api: ready["api"].as_str().expect("the API's address").to_owned(),
            directory,
        }
    }

    fn url(&self, user: &str) -> String {
        let host = self.sockets.to_string_lossy().replace('/', "%2F");
        format!("postgres:///heddle?host={host}&user={user}")
    }

    /// Makes an organisation with `heddled admin org create`.
    pub async fn org(&self, name: &str) -> Api {
        let mut command = Command::new(heddled());
        command
            .args(["admin", "org", "create", name, "--json"])
            .env("DATABASE_URL", self.url("heddle_server"))
            .env("HEDDLE_SEALING_KEY_FILE", &self.sealing_key);
        let output = command.output().await.expect("heddled runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let made: Value = serde_json::from_slice(&output.stdout).expect("JSON is printed");
        let token = made["token"].as_str().expect("the token is printed");
        Api::new(&self.api, name, token)
    }

    /// The process id of `server` or `postgres`, while it runs.
    #[must_use]
    pub fn pid(&self, name: &str) -> Option<i32> {
        let ready: Value = serde_json::from_slice(&std::fs::read(&self.ready_file).ok()?).ok()?;
        let pid = i32::try_from(ready["pids"][name].as_i64()?).ok()?;
        // The file says it a moment longer than it is true, and numbers are given out again.
        (parent(pid)? == self.supervisor.pid()?).then_some(pid)
    }

    /// A connection past all row security, if PostgreSQL accepts one.
    pub async fn try_inspect(&self) -> Option<PgConnection> {
        PgConnection::connect(&self.url("heddle_admin")).await.ok()
    }

    /// The log of one of its children.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        let file = self.directory.path().join(format!("data/logs/{name}.log"));
        std::fs::read_to_string(file).unwrap_or_default()
    }

    /// Where everything lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Who started a process, as the kernel says.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_the_name) = stat.rsplit_once(')')?;
    after_the_name.split_whitespace().nth(1)?.parse().ok()
}

/// SIGKILL to a process. False when it was gone already.
#[must_use]
pub fn kill_at_once(pid: i32) -> bool {
    kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok()
}
