//! One organisation of the Heddle under load, and what is made in it through the API.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::members::{service, spec};

/// The mesh under load, in every organisation.
pub(crate) const MESH: &str = "load";

/// An organisation with a token of its owner.
#[derive(Debug, Clone)]
pub(crate) struct Org {
    pub(crate) name: String,
    pub(crate) token: String,
    /// URL of the API.
    pub(crate) api: String,
    pub(crate) http: reqwest::Client,
}

impl Org {
    /// One call of the API below the organisation; the answer's body.
    ///
    /// # Errors
    /// Anything but a success.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/v1/orgs/{}{path}", self.api, self.name);
        let mut request = self
            .http
            .request(method.clone(), url)
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
        let path = format!("/meshes/{MESH}{path}");
        self.call(Method::PUT, &path, Some(body)).await
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
        self.put("", &mesh(None)).await?;
        let mut tokens = Vec::with_capacity(services);
        for number in 0..services {
            let name = service(number);
            let spec = spec(number, services, 0);
            self.put(&format!("/services/{name}"), &spec).await?;
            let token = json!({"name": name, "service": name, "reusable": true});
            let path = format!("/meshes/{MESH}/join-tokens");
            let made = self.call(Method::POST, &path, Some(&token)).await?;
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

/// The mesh, with a time limit for all calls in it that do not say otherwise, in seconds.
pub(crate) fn mesh(timeout: Option<usize>) -> Value {
    let mut mesh = json!({"access_default": "allow", "deletion_protection": false});
    if let Some(seconds) = timeout {
        mesh["defaults"] = json!({"timeout": format!("{seconds}s")});
    }
    mesh
}
