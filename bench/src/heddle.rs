//! A Heddle of the benchmark's own: everything embedded, in a directory that goes away.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::http::Caller;
use crate::org::Org;
use crate::target::Target;

/// The organisation under load.
const ORG: &str = "bench";

/// `heddled up` with one organisation.
pub(crate) struct Heddle {
    directory: tempfile::TempDir,
    binary: PathBuf,
    ready: Value,
    pub(crate) org: Org,
    http: reqwest::Client,
    supervisor: Child,
}

impl Heddle {
    /// Starts it on free ports.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub(crate) async fn start(binary: &Path) -> anyhow::Result<Self> {
        // Short, or else the path of PostgreSQL's socket is too long.
        let directory = tempfile::Builder::new().prefix("heddle-bench-").tempdir()?;
        let data = directory.path().join("data");
        let ready_file = directory.path().join("ready.json");
        let log = std::fs::File::create(directory.path().join("up.log"))?;
        let mut supervisor = Command::new(binary)
            // What the server can do is measured, not what a caller may ask of it.
            .envs(
                ["READS", "WRITES", "ORG_READS", "ORG_WRITES"]
                    .map(|of| (format!("HEDDLE_RATE_{of}"), "0")),
            )
            .args([
                "up",
                "--stop-with-parent",
                "--log-level",
                "warn",
                "--data-dir",
            ])
            .arg(&data)
            .arg("--ready-file")
            .arg(&ready_file)
            .args([
                "--api-listen",
                &free_address()?,
                "--xds-listen",
                &free_address()?,
            ])
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let mut ready = Value::Null;
        for _ in 0..600 {
            if let Some(status) = supervisor.try_wait()? {
                let log = std::fs::read_to_string(directory.path().join("up.log"))?;
                bail!("heddled ended with {status}:\n{log}");
            }
            if let Ok(text) = std::fs::read(&ready_file) {
                ready = serde_json::from_slice(&text).unwrap_or_default();
            }
            if ready["api"].is_string() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if !ready["api"].is_string() {
            bail!("heddled is not ready after a minute");
        }
        let http = reqwest::Client::new();
        let org = create_org(binary, directory.path(), &ready, &http, ORG).await?;
        Ok(Self {
            directory,
            binary: binary.to_owned(),
            ready,
            org,
            http,
            supervisor,
        })
    }

    /// Another organisation.
    ///
    /// # Errors
    /// There is one of that name.
    pub(crate) async fn create_org(&self, name: &str) -> anyhow::Result<Org> {
        let directory = self.directory.path();
        create_org(&self.binary, directory, &self.ready, &self.http, name).await
    }

    /// Where files of a benchmark may go; it goes away with the server.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server's process; another one after it was killed.
    pub(crate) fn server_pid(&self) -> Option<u32> {
        self.pid("server")
    }

    /// The database's first process.
    pub(crate) fn postgres_pid(&self) -> Option<u32> {
        self.pid("postgres")
    }

    fn pid(&self, name: &str) -> Option<u32> {
        let text = std::fs::read(self.directory.path().join("ready.json")).ok()?;
        let ready: Value = serde_json::from_slice(&text).ok()?;
        ready["pids"][name].as_u64()?.try_into().ok()
    }

    /// One metric of the server without labels; `None` when it has none of that name.
    ///
    /// # Errors
    /// The server does not answer.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let api = self.ready["api"].as_str().unwrap_or_default();
        let text = self.http.get(format!("{api}/metrics")).send().await?;
        let text = text.error_for_status()?.text().await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?)
    }

    /// Ends it and everything that it started; its directory goes with it.
    ///
    /// # Errors
    /// It does not end within half a minute; it is killed then.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.supervisor.id() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        }
        let ended = tokio::time::timeout(Duration::from_secs(30), self.supervisor.wait()).await;
        ended.context("heddled does not end")??;
        Ok(())
    }

    /// Where proxies go.
    ///
    /// # Errors
    /// The ready file names no address.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        let xds = self.ready["xds"]
            .as_str()
            .context("the ready file names the xDS server")?;
        let address = xds.trim_start_matches("https://").parse()?;
        let ca: PathBuf = self.directory.path().join("data/tls/ca.pem");
        Target::new(address, Some(&ca), None)
    }

    /// Where the database is, for the role of the server and for the superuser.
    pub(crate) fn database_urls(&self) -> (String, String) {
        let url = |user| database_url(self.directory.path(), user);
        (url("heddle_server"), url("heddle_admin"))
    }

    /// Has the database count what is in its tables, as it does by itself within a minute: plans for tables that it takes for empty are not
    /// what an installation meets.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn analyze(&self) -> anyhow::Result<()> {
        use sqlx::{Connection as _, Executor as _};
        let (_, superuser) = self.database_urls();
        let mut connection = sqlx::PgConnection::connect(&superuser).await?;
        connection.execute("analyze").await?;
        connection.close().await?;
        Ok(())
    }

    /// A caller of the API with as little as possible in between.
    ///
    /// # Errors
    /// The ready file names no address.
    pub(crate) fn caller(&self) -> anyhow::Result<Caller> {
        let api = self.ready["api"]
            .as_str()
            .context("the ready file names the API")?;
        Ok(Caller {
            address: api.trim_start_matches("http://").to_owned(),
            token: self.org.token.clone(),
        })
    }
}

async fn create_org(
    binary: &Path,
    directory: &Path,
    ready: &Value,
    http: &reqwest::Client,
    name: &str,
) -> anyhow::Result<Org> {
    let output = Command::new(binary)
        .args(["admin", "org", "create", name, "--json"])
        .env("DATABASE_URL", database_url(directory, "heddle_server"))
        .output()
        .await?;
    let answer: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let token = answer["token"].as_str();
    Ok(Org {
        name: name.to_owned(),
        token: token.context("the organisation has a token")?.to_owned(),
        api: ready["api"].as_str().unwrap_or_default().to_owned(),
        http: http.clone(),
    })
}

fn database_url(directory: &Path, user: &str) -> String {
    let socket = directory.join("data/run");
    let socket = socket.to_string_lossy().replace('/', "%2F");
    format!("postgres:///heddle?host={socket}&user={user}")
}

fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .to_string())
}
