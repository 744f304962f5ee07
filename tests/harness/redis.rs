//! A private Redis, run by the test itself so that it can be killed and kept dead. Nothing of it outlives the process.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::process::Command;

use crate::ports::free_port;
use crate::process::Child;
use crate::tls::write_tls;
use crate::until::{until, until_some};

/// What it wants to hear.
const PASSWORD: &str = "not-for-logs";

/// A running Redis in a directory of its own.
pub struct Redis {
    directory: TempDir,
    port: u16,
    tls: bool,
    child: Option<Child>,
}

impl Redis {
    /// Starts one that wants a password.
    pub async fn start() -> Self {
        let mut redis = Self::planned();
        redis.start_again().await;
        redis
    }

    /// One that can only be reached by TLS.
    pub async fn start_with_tls() -> Self {
        let mut redis = Self::planned();
        redis.tls = true;
        write_tls(redis.directory.path(), "redis", 1);
        redis.start_again().await;
        redis
    }

    /// One that is not there yet.
    #[must_use]
    pub fn planned() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("heddle-redis-")
            .tempdir()
            .expect("a directory");
        Self {
            directory,
            port: free_port(),
            tls: false,
            child: None,
        }
    }

    /// Where it is, with its password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same through something that listens on another port.
    #[must_use]
    pub fn url_at(&self, port: u16) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://:{PASSWORD}@127.0.0.1:{port}")
    }

    /// What must not be seen anywhere.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// What its certificate is verified with, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> Vec<u8> {
        std::fs::read(self.directory.path().join("redis-ca.pem")).expect("it speaks TLS")
    }

    /// Starts it (again) with nothing in it, and waits until it answers.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let directory = self.directory.path();
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--daemonize", "no"])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--requirepass", PASSWORD])
            .arg("--dir")
            .arg(directory);
        let port = self.port.to_string();
        if self.tls {
            let file = |name: &str| directory.join(name);
            command.args(["--port", "0", "--tls-port", &port]);
            command.args(["--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(file("redis.pem"));
            command.arg("--tls-key-file").arg(file("redis.key"));
            command.arg("--tls-ca-cert-file").arg(file("redis-ca.pem"));
        } else {
            command.args(["--port", &port]);
        }
        self.child = Some(Child::start(&mut command, &self.log()));
        let what = format!("Redis answers: {}", self.log().display());
        until(&what, Duration::from_secs(10), async || {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            // As often as it was started.
            self.child.as_mut().is_some_and(|child| !child.has_ended())
                && log.contains(&format!("{}:M", self.pid()))
                && log.contains("Ready to accept connections")
        })
        .await;
        if !self.tls {
            let _ = self.inspect().await;
        }
    }

    fn log(&self) -> std::path::PathBuf {
        Path::new(self.directory.path()).join("redis.log")
    }

    fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("it runs");
        child.pid().expect("it runs")
    }

    /// Kills it at once, with everything in it.
    pub async fn kill(&mut self) {
        self.child.as_mut().expect("it runs").kill().await;
        self.child = None;
    }

    /// Has it do something, whatever it says to that.
    pub async fn command(&self, words: &[&str]) {
        let mut connection = self.inspect().await;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let _said: Result<(), _> = command.query_async(&mut connection).await;
    }

    /// Stops it where it is: connections stay open, and nobody gets an answer.
    pub fn freeze(&self) {
        let child = self.child.as_ref().expect("it runs");
        child.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        let child = self.child.as_ref().expect("it runs");
        child.signal(Signal::SIGCONT);
    }

    /// A connection of the test's own, without TLS.
    pub async fn inspect(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("a URL");
        until_some("Redis lets one in", Duration::from_secs(10), async || {
            client.get_multiplexed_async_connection().await.ok()
        })
        .await
    }
}
