//! A small HTTP/1.1 client for loopback: readiness, the demo's objects and its trickle of requests.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps connections open between requests.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The status and the beginning of the body, for an error message.
    pub(crate) fn summary(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        format!(
            "{}: {}",
            self.status,
            text.chars().take(600).collect::<String>()
        )
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("read JSON from {}", self.summary()))
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        Self {
            pool: Pool::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends a request as it is, with ten seconds for everything.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let what = format!("{} {}", request.method(), request.uri());
        let exchange = async {
            let response = self.pool.request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok(Answer { status, body })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("{what}: no answer within {} s", PATIENCE.as_secs()))?
            .with_context(|| what)
    }

    /// GET without credentials.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn get(&self, url: &str) -> anyhow::Result<Answer> {
        let request = Request::get(url)
            .body(Full::default())
            .context("build a request")?;
        self.send(request).await
    }

    /// A request with a bearer token and, perhaps, a JSON body.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &str,
        token: &str,
        accept: &str,
        body: Option<&serde_json::Value>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(ACCEPT, accept);
        let body = match body {
            Some(value) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Full::from(Bytes::from(value.to_string()))
            }
            None => Full::default(),
        };
        self.send(request.body(body).context("build a request")?)
            .await
    }
}
