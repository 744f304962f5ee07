//! The server as a child: `heddled all`, told everything by its environment.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use nix::sys::signal::Signal;
use secrecy::ExposeSecret as _;

use super::data_dir::DataDir;
use super::http_client::Client;
use super::process::{Child, Spec, run_once};
use super::wait;
use crate::config::{Config, Mail, reachable};

const START: Duration = Duration::from_secs(90);

/// How to run `heddled` sub-commands with one configuration.
pub(crate) struct Server {
    config: Config,
    logs: std::path::PathBuf,
}

impl Server {
    pub(crate) fn new(config: Config, data: &DataDir) -> Self {
        Self {
            config,
            logs: data.logs(),
        }
    }

    /// The base of the API's URLs, by loopback if it listens everywhere.
    pub(crate) fn api_url(&self) -> String {
        http_url(self.config.api_listen)
    }

    /// The console's URL.
    pub(crate) fn console_url(&self) -> String {
        format!("{}{}", self.api_url(), crate::console::PATH)
    }

    /// The xDS server's URL as proxies see it.
    pub(crate) fn xds_url(&self) -> String {
        format!("https://{}", self.config.xds_address)
    }

    /// Where mail goes, for people.
    pub(crate) fn mail(&self) -> String {
        match &self.config.mail {
            Mail::Smtp { .. } => "by the mail server that smtp_url names".to_owned(),
            Mail::Folder { path, .. } => format!("{} (files, one for each)", path.display()),
            Mail::Nowhere => "waits".to_owned(),
        }
    }

    /// Runs `heddled migrate`, which alone gets the credentials that own the schema.
    ///
    /// # Errors
    /// The database refuses.
    pub(crate) async fn migrate(&self) -> anyhow::Result<()> {
        let mut spec = self.spec("migrate")?.args(["migrate"]);
        if let Some(url) = &self.config.migrate_database_url {
            spec.env.push((
                "HEDDLE_MIGRATE_DATABASE_URL",
                url.expose_secret().to_owned(),
            ));
        }
        run_once(&spec, None).await.map(|_| ())
    }

    /// Starts it.
    ///
    /// # Errors
    /// Our own executable cannot be found.
    pub(crate) fn start(&self) -> anyhow::Result<Child> {
        let mut spec = self.spec("server")?.args(["all"]);
        spec.stop = vec![(Signal::SIGTERM, Duration::from_secs(10))];
        Ok(Child::start(spec))
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It fails three times, or takes too long.
    pub(crate) async fn ready(&self, child: &Child, http: &Client) -> anyhow::Result<()> {
        let url = format!("{}/readyz", self.api_url());
        wait::until("the server is ready", START, async || {
            child.check(3)?;
            let answer = http.get(&url).await.ok();
            Ok(answer
                .filter(|answer| answer.status == StatusCode::OK)
                .map(|_| ()))
        })
        .await
    }

    /// Runs `heddled admin ... --json` and returns the token that it prints.
    ///
    /// # Errors
    /// It fails, or prints something else.
    pub(crate) async fn admin_token(&self, args: &[&str]) -> anyhow::Result<String> {
        let spec = self
            .spec("admin")?
            .args(["admin"])
            .args(args)
            .args(["--json"]);
        let printed = run_once(&spec, None).await?;
        let printed: serde_json::Value =
            serde_json::from_slice(&printed).context("read what `heddled admin` printed")?;
        let token = printed["token"]
            .as_str()
            .context("`heddled admin` printed no token")?;
        Ok(token.to_owned())
    }

    fn spec(&self, name: &str) -> anyhow::Result<Spec> {
        let executable = std::env::current_exe().context("find our own executable")?;
        let mut spec = Spec::new(name, executable, &self.logs);
        spec.env = self.config.environment();
        Ok(spec)
    }
}

/// The URL of a plain HTTP listener.
pub(crate) fn http_url(listen: SocketAddr) -> String {
    format!("http://{}", reachable(listen))
}
