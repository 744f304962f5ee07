//! Real Envoys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::Command;

use crate::process::{Child, repository};
use crate::until::until;

/// Which Envoy: mostly the ends of the supported range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvoyVersion {
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
    /// One from between, such as `1.38`: `scripts/setup --envoys`.
    Between(&'static str),
}

impl EnvoyVersion {
    /// Both ends.
    pub const BOTH: [Self; 2] = [Self::Newest, Self::Oldest];

    /// So many: of all versions that are installed, one after the other.
    #[must_use]
    pub fn installed(count: usize) -> Vec<Self> {
        let between = ["1.37", "1.38", "1.39"].map(Self::Between);
        let mut all = vec![Self::Newest, Self::Oldest];
        all.extend(
            between
                .into_iter()
                .filter(|version| version.find().is_some()),
        );
        all.iter().copied().cycle().take(count).collect()
    }

    /// Its binary, installed by `scripts/setup`. `HEDDLE_TEST_ENVOY` (such as `1.38`) puts a version from between in the
    /// oldest one's place: `make test-envoys`.
    #[must_use]
    pub fn binary(self) -> PathBuf {
        self.find()
            .unwrap_or_else(|| panic!("no Envoy ({self:?}): run `make setup` first"))
    }

    fn find(self) -> Option<PathBuf> {
        let between = std::env::var_os("HEDDLE_TEST_ENVOY");
        let venv = match (self, between) {
            (Self::Newest, _) => String::from("venv"),
            (Self::Oldest, Some(version)) => format!("venv-{}", version.display()),
            (Self::Oldest, None) => String::from("venv-oldest"),
            (Self::Between(version), _) => format!("venv-{version}"),
        };
        let lib = repository().join(".tools").join(venv).join("lib");
        std::fs::read_dir(lib)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"))
            .find(|path| path.exists())
    }
}

/// A running Envoy. Dropping it kills it.
pub struct Envoy {
    child: Child,
    admin_port: u16,
    client: reqwest::Client,
}

impl Envoy {
    /// Starts one with a bootstrap and waits until its admin interface answers.
    pub async fn start(
        version: EnvoyVersion,
        directory: &Path,
        name: &str,
        bootstrap: &str,
        admin_port: u16,
    ) -> Self {
        Self::start_beside(version, directory, name, bootstrap, None, admin_port).await
    }

    /// The same with an overlay beside the file: `--config-yaml`.
    pub async fn start_beside(
        version: EnvoyVersion,
        directory: &Path,
        name: &str,
        bootstrap: &str,
        overlay: Option<&str>,
        admin_port: u16,
    ) -> Self {
        let file = directory.join(format!("{name}.yaml"));
        std::fs::write(&file, bootstrap).expect("a file can be written");
        let mut command = Command::new(version.binary());
        command.arg("-c").arg(&file).args([
            "--concurrency",
            "1",
            "--use-dynamic-base-id",
            "--log-level",
            "info",
            // Envoy's own is ten minutes, after which connections are cut, whoever uses them. With a second that meets calls
            // under way on a busy machine.
            "--drain-time-s",
            "10",
            "--file-flush-interval-msec",
            "200",
        ]);
        if let Some(overlay) = overlay {
            command.args(["--config-yaml", overlay]);
        }
        let log = directory.join(format!("{name}.log"));
        let mut child = Child::start(&mut command, &log);
        let client = reqwest::Client::new();
        let url = format!("http://127.0.0.1:{admin_port}/server_info");
        until(
            "Envoy's admin interface answers",
            Duration::from_secs(30),
            async || {
                assert!(!child.has_ended(), "Envoy ended:\n{}", child.output());
                client
                    .get(&url)
                    .send()
                    .await
                    .is_ok_and(|r| r.status().is_success())
            },
        )
        .await;
        Self {
            child,
            admin_port,
            client,
        }
    }

    /// The base of its admin interface.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    /// A page of its admin interface.
    pub async fn admin(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.admin_port);
        let response = self
            .client
            .get(url)
            .send()
            .await
            .expect("the admin interface answers");
        response.text().await.expect("the answer is text")
    }

    /// One of its counters or gauges; 0 if it does not exist yet.
    pub async fn stat(&self, name: &str) -> u64 {
        let text = self
            .admin(&format!("/stats?filter=^{}$", name.replace('.', "\\.")))
            .await;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
            .unwrap_or(0)
    }

    /// Its certificates as `/certs` shows them.
    pub async fn certificates(&self) -> Value {
        serde_json::from_str(&self.admin("/certs").await).expect("/certs is JSON")
    }

    /// Its output so far, access log included.
    #[must_use]
    pub fn output(&self) -> String {
        self.child.output()
    }

    /// The lines of its access log, parsed.
    #[must_use]
    pub fn access_log(&self) -> Vec<Value> {
        self.output()
            .lines()
            .filter(|l| l.starts_with('{'))
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect()
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        self.child.kill().await;
    }

    /// Freezes it.
    pub fn freeze(&self) {
        self.child.signal(Signal::SIGSTOP);
    }
}
