//! `heddled all`, run by the test itself so that it can be killed and kept dead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::api::Api;
use crate::mail::Mail;
use crate::ports::free_ports;
use crate::postgres::Postgres;
use crate::process::{Child, heddled, run};
use crate::tls::{write_private, write_tls};
use crate::until::{until, until_some};

/// What a test may want otherwise.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// `--leaf-lifetime`.
    pub leaf_lifetime: String,
    /// `--endpoint-grace`.
    pub endpoint_grace: String,
    /// `--endpoint-drain`.
    pub endpoint_drain: String,
    /// `--ephemeral-after`.
    pub ephemeral_after: String,
    /// `--database-connections`.
    pub database_connections: u32,
    /// `--database-wait`.
    pub database_wait: String,
    /// Where the database is for this server, when it is not where it is for others.
    pub database_url: Option<String>,
    /// `--log-level`.
    pub log_level: String,
    /// For how many days the certificate of its xDS server is good.
    pub certificate_days: i64,
    /// `--xds-address`, when it is not where the server listens.
    pub xds_address: Option<String>,
    /// `HEDDLE_REDIS_URL`.
    pub redis_url: Option<String>,
    /// `--rate-reads` and `--rate-writes`, when they are not the usual ones.
    pub rates: Option<(u32, u32)>,
    /// `HEDDLE_QUOTAS`, when they are not the usual ones.
    pub quotas: Option<String>,
    /// Where its sealing keys are, as environment variables; none: in a file of its own.
    pub keys: Vec<(String, String)>,
    /// The socket of the process that signs for it; then it has no key.
    pub ca_socket: Option<PathBuf>,
    /// Where mail goes and what it says of this server, as environment variables; none: into files.
    pub mail: Vec<(String, String)>,
    /// What it may call for customers, as environment variables; none: what is public.
    pub egress: Vec<(String, String)>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let text = |s: &str| s.to_owned();
        Self {
            leaf_lifetime: text("24h"),
            endpoint_grace: text("2s"),
            endpoint_drain: text("1s"),
            ephemeral_after: text("10m"),
            database_connections: 20,
            database_wait: text("2s"),
            database_url: None,
            log_level: text("info,heddle_xds_server=debug"),
            certificate_days: 1,
            xds_address: None,
            redis_url: None,
            rates: None,
            quotas: None,
            keys: Vec::new(),
            ca_socket: None,
            mail: Vec::new(),
            egress: Vec::new(),
        }
    }
}

/// The server and everything needed to start it again.
pub struct Server {
    directory: PathBuf,
    options: ServerOptions,
    server_url: String,
    admin_url: String,
    api_port: u16,
    xds_port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts it with a fresh xDS certificate authority and sealing key in `directory`.
    pub async fn start(directory: &Path, postgres: &Postgres, options: ServerOptions) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        write_tls(directory, "xds", options.certificate_days);
        let key: String = (0..64)
            .map(|i| char::from(b"0123456789abcdef"[(i * 7 + 3) % 16]))
            .collect();
        write_private(&directory.join("sealing.key"), &key);
        let [api_port, xds_port] = free_ports();
        let mut server = Self {
            directory: directory.to_owned(),
            options,
            server_url: postgres.server_url(),
            admin_url: postgres.admin_url(),
            api_port,
            xds_port,
            child: None,
        };
        let _ = server.migrate().await;
        server.start_again().await;
        server
    }

    /// Another server beside this one: the same database, keys and settings, and ports of its own.
    pub async fn beside(&self) -> Self {
        self.replica("beside", self.options.clone()).await
    }

    /// Another one beside this one, with settings of its own, in a directory of this name.
    pub async fn replica(&self, name: &str, options: ServerOptions) -> Self {
        let directory = self.directory.join(name);
        std::fs::create_dir(&directory).expect("a directory");
        for file in ["xds.pem", "xds.key", "xds-ca.pem", "sealing.key"] {
            std::fs::copy(self.directory.join(file), directory.join(file)).expect("a copy");
        }
        let [api_port, xds_port] = free_ports();
        let mut server = Self {
            directory,
            options,
            server_url: self.server_url.clone(),
            admin_url: self.admin_url.clone(),
            api_port,
            xds_port,
            child: None,
        };
        server.start_again().await;
        server
    }

    /// Stops it where it is, as a machine does that is out of breath.
    pub fn freeze(&self) {
        let child = self.child.as_ref().expect("it runs");
        child.signal(nix::sys::signal::Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        let child = self.child.as_ref().expect("it runs");
        child.signal(nix::sys::signal::Signal::SIGCONT);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(heddled());
        command
            .env("DATABASE_URL", &self.server_url)
            .env_remove("HEDDLE_MIGRATE_DATABASE_URL")
            .envs(self.keys());
        if self.options.mail.is_empty() {
            command.env("HEDDLE_MAIL_DIR", self.mail_dir());
        }
        let more = self.options.mail.iter().chain(&self.options.egress);
        command.envs(more.map(|(name, value)| (name, value)));
        command
    }

    /// The folder in which its mails are files, unless it was told otherwise.
    #[must_use]
    pub fn mail_dir(&self) -> PathBuf {
        self.directory.join("mail")
    }

    /// The mails that it has written so far, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        Mail::in_folder(&self.mail_dir())
    }

    /// Waits for the newest mail to somebody, that many having come before.
    pub async fn mail_to(&self, email: &str, before: usize) -> Mail {
        let what = format!("there is mail to {email}");
        until_some(&what, Duration::from_secs(20), async || {
            let mut mails = self.mails();
            mails.retain(|mail| mail.to == email);
            mails.into_iter().nth(before)
        })
        .await
    }

    /// What it needs to sign.
    fn keys(&self) -> Vec<(String, String)> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        if let Some(socket) = &self.options.ca_socket {
            return vec![("HEDDLE_CA_SOCKET".to_owned(), path(socket))];
        }
        if self.options.keys.is_empty() {
            let file = path(&self.directory.join("sealing.key"));
            return vec![("HEDDLE_SEALING_KEY_FILE".to_owned(), file)];
        }
        self.options.keys.clone()
    }

    /// Gives it other sealing keys, from the next start on.
    pub fn set_keys(&mut self, keys: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.options.keys = keys.iter().map(owned).collect();
    }

    /// Gives it another database, from the next start on.
    pub fn set_database(&mut self, postgres: &Postgres) {
        self.server_url = postgres.server_url();
        self.admin_url = postgres.admin_url();
    }

    /// Where its mail goes, from the next start on; none: into files.
    pub fn set_mail(&mut self, mail: Vec<(String, String)>) {
        self.options.mail = mail;
    }

    /// Brings the schema up to date with `heddled migrate`, as the role that owns it; what it says.
    ///
    /// # Panics
    /// It fails.
    pub async fn migrate(&self) -> String {
        let mut command = self.command();
        command
            .arg("migrate")
            .env("HEDDLE_MIGRATE_DATABASE_URL", &self.admin_url);
        run(&mut command).await
    }

    /// Starts it (again) and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.launch();
        self.ready().await;
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) {
        let api = self.caller("-", "");
        let child = self.child.as_mut().expect("it was launched");
        until("the server is ready", Duration::from_secs(60), async || {
            assert!(!child.has_ended(), "the server ended:\n{}", child.output());
            api.try_ready().await
        })
        .await;
    }

    /// Starts it (again), whether it gets ready or not.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let file = |name: &str| self.directory.join(name);
        let mut command = self.command();
        command.envs((self.options.database_url.iter()).map(|url| ("DATABASE_URL", url)));
        command.envs((self.options.redis_url.iter()).map(|url| ("HEDDLE_REDIS_URL", url.as_str())));
        command.envs((self.options.quotas.iter()).map(|quotas| ("HEDDLE_QUOTAS", quotas)));
        if let Some((reads, writes)) = self.options.rates {
            command.env("HEDDLE_RATE_READS", reads.to_string());
            command.env("HEDDLE_RATE_WRITES", writes.to_string());
        }
        command
            .arg("all")
            .args(["--log-level", &self.options.log_level])
            .args(["--api-listen", &format!("127.0.0.1:{}", self.api_port)])
            .args(["--xds-listen", &format!("127.0.0.1:{}", self.xds_port)])
            .args(["--leaf-lifetime", &self.options.leaf_lifetime])
            .args(["--endpoint-grace", &self.options.endpoint_grace])
            .args(["--endpoint-drain", &self.options.endpoint_drain])
            .args(["--ephemeral-after", &self.options.ephemeral_after])
            .args([
                "--database-connections",
                &self.options.database_connections.to_string(),
            ])
            .args(["--database-wait", &self.options.database_wait])
            .args(
                (self.options.xds_address.iter())
                    .flat_map(|address| ["--xds-address", address.as_str()]),
            )
            .arg("--xds-tls-cert")
            .arg(file("xds.pem"))
            .arg("--xds-tls-key")
            .arg(file("xds.key"))
            .arg("--xds-ca")
            .arg(file("xds-ca.pem"));
        self.child = Some(Child::start(&mut command, &file("server.log")));
    }

    /// Whether it was started and has neither ended nor been stopped.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| !child.has_ended())
    }

    /// Has nothing more to do with one that has ended by itself.
    pub fn forget(&mut self) {
        self.child = None;
    }

    /// Kills it with SIGKILL; it stays dead.
    pub async fn kill(&mut self) {
        self.child.take().expect("it runs").kill().await;
    }

    /// Ends it with SIGTERM and waits for a clean end.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.signal(nix::sys::signal::Signal::SIGTERM);
        let status = child.wait(Duration::from_secs(20)).await;
        assert!(status.success(), "{status}:\n{}", child.output());
    }

    /// Its process id.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("the server was started");
        child.pid().expect("the server runs")
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("server.log")).unwrap_or_default()
    }

    /// The base of its API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }

    /// The port of its API.
    #[must_use]
    pub fn api_port(&self) -> u16 {
        self.api_port
    }

    /// The port of its xDS server.
    #[must_use]
    pub fn xds_port(&self) -> u16 {
        self.xds_port
    }

    /// The certificate authority of its xDS server, PEM.
    #[must_use]
    pub fn xds_ca_pem(&self) -> String {
        std::fs::read_to_string(self.directory.join("xds-ca.pem")).expect("written at the start")
    }

    /// Puts another certificate of its xDS server into its files, by another authority and good for two days instead of one. It
    /// looks at them by itself now and then, and at once when it is told to.
    ///
    /// # Panics
    /// The files cannot be written.
    pub fn renew_certificate(&self) {
        write_tls(&self.directory, "xds", 2);
    }

    /// Where the key of its xDS server's certificate is.
    #[must_use]
    pub fn xds_key(&self) -> PathBuf {
        self.directory.join("xds.key")
    }

    /// Tells it that its files have changed.
    pub fn hang_up(&self) {
        let child = self.child.as_ref().expect("it runs");
        child.signal(nix::sys::signal::Signal::SIGHUP);
    }

    /// A caller with this token.
    #[must_use]
    pub fn caller(&self, org: &str, token: &str) -> Api {
        Api::new(&self.url(), org, token)
    }

    /// Makes an organisation with `heddled admin org create`.
    pub async fn org(&self, name: &str) -> Api {
        let answer = self.admin(&["org", "create", name, "--json"]).await;
        self.caller(
            name,
            answer["token"].as_str().expect("the token is printed"),
        )
    }

    /// Makes a token with `heddled admin token create`.
    pub async fn token(&self, org: &str, role: &str) -> Api {
        let name = format!("test-{role}");
        let answer = self
            .admin(&[
                "token", "create", "--org", org, "--role", role, "--name", &name, "--json",
            ])
            .await;
        self.caller(org, answer["token"].as_str().expect("the token is printed"))
    }

    /// Runs `heddled admin`.
    pub async fn admin(&self, args: &[&str]) -> serde_json::Value {
        let text = self.admin_text(args).await;
        serde_json::from_str(&text).expect("JSON on standard output")
    }

    /// Runs `heddled admin` with the server's sealing key; what it prints.
    pub async fn admin_text(&self, args: &[&str]) -> String {
        let output = self.admin_output(args).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "heddled admin {args:?}: {errors}");
        String::from_utf8(output.stdout).expect("text on standard output")
    }

    /// Runs `heddled admin` with the server's sealing key, however it ends.
    pub async fn admin_output(&self, args: &[&str]) -> std::process::Output {
        self.command()
            .arg("admin")
            .args(args)
            .output()
            .await
            .expect("heddled runs")
    }

    /// Runs `heddled admin` with the server's sealing key and the role that owns the schema.
    pub async fn admin_as_owner(&self, args: &[&str]) -> serde_json::Value {
        let mut command = self.command();
        command
            .arg("admin")
            .args(args)
            .env("HEDDLE_MIGRATE_DATABASE_URL", &self.admin_url);
        let output = command.output().await.expect("heddled runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "heddled admin {args:?}: {errors}");
        serde_json::from_slice(&output.stdout).expect("JSON on standard output")
    }

    /// Its Prometheus metrics: `name{labels}` to value.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let reply = self
            .caller("-", "")
            .raw(reqwest::Method::GET, "/metrics", &[], Vec::new())
            .await
            .expect(200);
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        reply
            .text
            .lines()
            .filter(|l| !l.starts_with('#'))
            .filter_map(line)
            .collect()
    }

    /// How many resources it has sent since it started, by type.
    pub async fn sent(&self) -> BTreeMap<String, u64> {
        let metrics = self.metrics().await;
        let kinds = ["cds", "eds", "lds", "rds", "sds"];
        let value = |kind: &str| {
            let key = format!("heddle_xds_resources_sent_total{{type=\"{kind}\"}}");
            let value = *metrics
                .get(&key)
                .unwrap_or_else(|| panic!("{key} is not exported"));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small count"
            )]
            let count = value as u64;
            (kind.to_owned(), count)
        };
        kinds.into_iter().map(value).collect()
    }
}

impl Api {
    async fn try_ready(&self) -> bool {
        self.ready_status().await == Some(200)
    }
}
