//! A Heddle of the benchmark's own: everything embedded, in a directory that goes away.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind as Json;
use envoy_types::pb::google::protobuf::{Struct, Value as JsonValue};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::fleet::Member;
use crate::http::Caller;
use crate::target::Target;

/// The organisation and the mesh under load.
const ORG: &str = "bench";
const MESH: &str = "load";

/// `heddled up` with one organisation.
pub(crate) struct Heddle {
    directory: tempfile::TempDir,
    ready: Value,
    token: String,
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
        let socket = data.join("run").to_string_lossy().replace('/', "%2F");
        let output = Command::new(binary)
            .args(["admin", "org", "create", ORG, "--json"])
            .env(
                "DATABASE_URL",
                format!("postgres:///heddle?host={socket}&user=heddle_server"),
            )
            .output()
            .await?;
        let answer: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let token = answer["token"]
            .as_str()
            .context("the organisation has a token")?
            .to_owned();
        Ok(Self {
            directory,
            ready,
            token,
            http: reqwest::Client::new(),
            supervisor,
        })
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

    /// The organisation.
    pub(crate) fn org(&self) -> &'static str {
        ORG
    }

    /// Where the database is, for the role of the server and for the superuser.
    pub(crate) fn database_urls(&self) -> (String, String) {
        let socket = self.directory.path().join("data/run");
        let socket = socket.to_string_lossy().replace('/', "%2F");
        let url = |user| format!("postgres:///heddle?host={socket}&user={user}");
        (url("heddle_server"), url("heddle_admin"))
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
            token: self.token.clone(),
        })
    }

    /// One call of the API below the organisation; the answer's body.
    ///
    /// # Errors
    /// Anything but a success.
    pub(crate) async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let api = self.ready["api"].as_str().unwrap_or_default();
        let mut request = self
            .http
            .request(method.clone(), format!("{api}/v1/orgs/{ORG}{path}"))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {text}");
        }
        if text.is_empty() {
            Ok(Value::Null)
        } else {
            Ok(serde_json::from_str(&text)?)
        }
    }

    /// PUT below the mesh.
    ///
    /// # Errors
    /// Anything but a success.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(
            reqwest::Method::PUT,
            &format!("/meshes/{MESH}{path}"),
            Some(body),
        )
        .await
    }

    /// Makes a mesh of so many services, each with a reusable join token; the tokens in the order of the services.
    ///
    /// # Errors
    /// The API refuses.
    pub(crate) async fn fill(
        &self,
        services: usize,
        scope: usize,
    ) -> anyhow::Result<Vec<Arc<str>>> {
        let mesh = json!({"access_default": "allow", "deletion_protection": false});
        self.put("", &mesh).await?;
        let mut tokens = Vec::with_capacity(services);
        for number in 0..services {
            let name = service(number);
            let spec = spec(number, services, 0);
            self.put(&format!("/services/{name}"), &spec).await?;
            let token = json!({"name": name, "service": name, "reusable": true});
            let path = format!("/meshes/{MESH}/join-tokens");
            let made = self
                .call(reqwest::Method::POST, &path, Some(&token))
                .await?;
            let secret = made["secret"].as_str();
            tokens.push(secret.with_context(|| format!("a token in {made}"))?.into());
        }
        // Only a service that is there can be called.
        for number in (0..services).filter(|_| scope > 0) {
            let path = format!("/services/{}", service(number));
            self.put(&path, &spec(number, services, scope)).await?;
        }
        Ok(tokens)
    }
}

fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .to_string())
}

/// The n-th of so many services, which calls the next `scope`; 0: it does not say whom.
pub(crate) fn spec(number: usize, services: usize, scope: usize) -> Value {
    let ports = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
    let next = (1..=scope).map(|n| json!({"service": service((number + n) % services)}));
    match scope {
        0 => json!({"ports": ports}),
        _ => json!({"ports": ports, "upstreams": next.collect::<Vec<_>>()}),
    }
}

/// How many of so many proxies know the n-th service.
pub(crate) fn knowing(number: usize, proxies: usize, services: usize, scope: usize) -> usize {
    let calls = |proxy: &usize| {
        let distance = (services + number - proxy % services) % services;
        scope == 0 || (1..=scope).contains(&distance)
    };
    (0..proxies).filter(calls).count()
}

/// The name of the n-th service.
pub(crate) fn service(number: usize) -> String {
    format!("s{number:04}")
}

/// The n-th proxy: services in turn.
pub(crate) fn member(number: usize, tokens: &[Arc<str>]) -> Member {
    let service_number = number % tokens.len();
    let last = u8::try_from(number / tokens.len() % 250).unwrap_or_default();
    let [high, low] = u16::try_from(service_number)
        .unwrap_or_default()
        .to_be_bytes();
    at(
        number,
        tokens,
        &format!("10.{high}.{low}.{}", u16::from(last) + 1),
    )
}

/// The n-th proxy at an address of one's choice: where others would reach it. Nothing is ever sent there.
pub(crate) fn at(number: usize, tokens: &[Arc<str>], address: &str) -> Member {
    let service_number = number % tokens.len();
    let text = |value: &str| Json::StringValue(value.to_owned());
    let ports = object([("http", Json::NumberValue(15006.0))]);
    let heddle = object([
        ("bind_address", text("0.0.0.0")),
        ("advertise_address", text(address)),
        ("app_address", text("127.0.0.1")),
        ("outbound_port", Json::NumberValue(15001.0)),
        ("inbound_ports", Json::StructValue(ports)),
    ]);
    let node = Node {
        id: format!("p{number:05}"),
        cluster: service(service_number),
        metadata: Some(object([("heddle", Json::StructValue(heddle))])),
        ..Node::default()
    };
    Member {
        node: node.encode_to_vec().into(),
        token: Some(tokens[service_number].clone()),
    }
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Struct {
    let fields = fields
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), JsonValue { kind: Some(kind) }));
    Struct {
        fields: fields.collect(),
    }
}
