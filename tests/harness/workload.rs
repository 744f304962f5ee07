//! A whole stack, and workloads in it: an application with its Envoy.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::{Api, Reply};
use crate::application::Application;
use crate::envoy::{Envoy, EnvoyVersion};
use crate::ports::free_ports;
use crate::postgres::Postgres;
use crate::process::scratch;
use crate::server::{Server, ServerOptions};
use crate::until::until;

/// PostgreSQL and the server. Fields drop in this order: clients of the database before the database.
pub struct Stack {
    /// The server.
    pub server: Server,
    /// The database.
    pub postgres: Postgres,
    /// Where everything lies.
    pub directory: TempDir,
}

impl Drop for Stack {
    /// Whoever looks for the cause of a failure needs the logs.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
        }
    }
}

impl Stack {
    /// Starts both.
    pub async fn start(options: ServerOptions) -> Self {
        let directory = scratch("heddle-it-");
        let postgres = Postgres::start(directory.path()).await;
        let server = Server::start(directory.path(), &postgres, options).await;
        Self {
            server,
            postgres,
            directory,
        }
    }

    /// Makes an organisation with one mesh and services with one HTTP port each.
    pub async fn mesh(&self, org: &str, mesh: &str, spec: Value, services: &[&str]) -> Api {
        let api = self.server.org(org).await;
        let _ = api.put(&format!("/meshes/{mesh}"), spec).await.expect(201);
        for service in services {
            let body = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
            let _ = api
                .put(&format!("/meshes/{mesh}/services/{service}"), body)
                .await
                .expect(201);
        }
        api
    }
}

/// Which workload to start.
#[derive(Debug, Clone)]
pub struct WorkloadSpec<'a> {
    /// The mesh.
    pub mesh: &'a str,
    /// The service.
    pub service: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The proxy's name.
    pub proxy: &'a str,
    /// Which Envoy.
    pub envoy: EnvoyVersion,
}

impl<'a> WorkloadSpec<'a> {
    /// One of version `v1` in the mesh `shop`.
    #[must_use]
    pub const fn of_shop(service: &'a str, proxy: &'a str, envoy: EnvoyVersion) -> Self {
        Self {
            mesh: "shop",
            service,
            version: "v1",
            proxy,
            envoy,
        }
    }
}

/// An application with its Envoy.
pub struct Workload {
    /// The application.
    pub application: Application,
    /// Its Envoy.
    pub envoy: Envoy,
    /// Where other proxies reach it.
    pub inbound_port: u16,
    /// Where the application sends its calls.
    pub outbound_port: u16,
    /// The proxy's name.
    pub name: String,
    /// The join token.
    pub token: String,
    client: reqwest::Client,
}

impl Workload {
    /// Makes a reusable join token, fetches the bootstrap with it and starts application and Envoy.
    pub async fn start(stack: &Stack, api: &Api, spec: &WorkloadSpec<'_>) -> Self {
        let token = join_token(api, spec.mesh, spec.service, spec.proxy).await;
        let application = Application::start(spec.service, spec.version).await;
        Self::join(stack, api, spec, application, token).await
    }

    /// Joins with a token that exists already.
    pub async fn join(
        stack: &Stack,
        api: &Api,
        spec: &WorkloadSpec<'_>,
        application: Application,
        token: String,
    ) -> Self {
        Self::join_in(stack.directory.path(), api, spec, application, token).await
    }

    /// The same without a stack; files of its own go to this directory.
    pub async fn join_in(
        directory: &Path,
        api: &Api,
        spec: &WorkloadSpec<'_>,
        application: Application,
        token: String,
    ) -> Self {
        let [inbound_port, outbound_port, admin_port] = free_ports();
        let as_proxy = api.with_token(&token);
        let path = format!(
            "/meshes/{}/bootstrap?proxy={}&version={}&bind_address=127.0.0.1&app_address={}&inbound_port={inbound_port}&outbound_port={outbound_port}&admin_port={admin_port}",
            spec.mesh, spec.proxy, spec.version, application.address
        );
        let bootstrap = as_proxy
            .raw(
                Method::GET,
                &format!("/v1/orgs/{}{path}", api.org),
                &[("accept", "application/yaml")],
                Vec::new(),
            )
            .await
            .expect(200);
        let envoy = Envoy::start(
            spec.envoy,
            directory,
            spec.proxy,
            &bootstrap.text,
            admin_port,
        )
        .await;
        let client = reqwest::Client::new();
        Self {
            application,
            envoy,
            inbound_port,
            outbound_port,
            name: spec.proxy.to_owned(),
            token,
            client,
        }
    }

    /// Waits until the API says that this proxy is ready.
    pub async fn ready(&self, api: &Api, mesh: &str) {
        until(
            &format!("proxy {} is ready", self.name),
            Duration::from_secs(30),
            async || proxy_state(api, mesh, &self.name).await == "ready",
        )
        .await;
    }

    /// Calls another service as this workload's application would.
    pub async fn call(&self, host: &str, path: &str) -> (u16, Value) {
        self.call_with(host, path, &[]).await
    }

    /// The same with further headers.
    pub async fn call_with(
        &self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let url = format!("http://127.0.0.1:{}{path}", self.outbound_port);
        let mut request = self.client.get(url).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                (status, response.json().await.unwrap_or_default())
            }
            Err(error) => (0, json!({"error": error.to_string()})),
        }
    }
}

/// The state of a proxy in the API.
async fn proxy_state(api: &Api, mesh: &str, name: &str) -> String {
    let list: Reply = api
        .get(&format!("/meshes/{mesh}/proxies?limit=500"))
        .await
        .expect(200);
    let items = list.json["items"].as_array().cloned().unwrap_or_default();
    let found = items.iter().find(|item| item["name"] == name);
    found
        .and_then(|item| item["state"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// A reusable join token.
async fn join_token(api: &Api, mesh: &str, service: &str, name: &str) -> String {
    let body = json!({"name": name, "service": service, "reusable": true});
    let reply = api
        .post(&format!("/meshes/{mesh}/join-tokens"), body)
        .await
        .expect(201);
    reply.json["secret"]
        .as_str()
        .expect("the secret is in the answer")
        .to_owned()
}
