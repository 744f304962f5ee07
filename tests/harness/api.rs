//! A client of the REST API.

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// One caller: an address, an organisation and a token.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    base: String,
    /// The organisation's name.
    pub org: String,
    /// The bearer token.
    pub token: String,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its ETag.
    pub etag: Option<String>,
    /// Where what was created is.
    pub location: Option<String>,
    /// For how many seconds to wait.
    pub retry_after: Option<String>,
    /// Its content type.
    pub content_type: String,
    /// All its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body, null when it is not JSON.
    pub json: Value,
    /// Its body.
    pub text: String,
}

impl Reply {
    /// One of its headers, when it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The codes of its violations with their pointers.
    #[must_use]
    pub fn violations(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|e| (text(&e["pointer"]), text(&e["code"])))
            .collect()
    }

    /// Itself, if the status is the expected one.
    ///
    /// # Panics
    /// Another status.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

impl Api {
    /// A caller.
    #[must_use]
    pub fn new(base: &str, org: &str, token: &str) -> Self {
        Self {
            client: Client::new(),
            base: base.to_owned(),
            org: org.to_owned(),
            token: token.to_owned(),
        }
    }

    /// The same with a connection for each request, so that what balances connections balances requests.
    ///
    /// # Panics
    /// There is no such client.
    #[must_use]
    pub fn without_keep_alive(&self) -> Self {
        let builder = Client::builder().pool_max_idle_per_host(0);
        Self {
            client: builder.build().expect("a client"),
            ..self.clone()
        }
    }

    /// The same address and organisation with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The same caller at another organisation's address.
    #[must_use]
    pub fn at_org(&self, org: &str) -> Self {
        Self {
            org: org.to_owned(),
            ..self.clone()
        }
    }

    /// Sends a request below `/v1/orgs/<org>`.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let headers: &[(&str, &str)] = if body.is_some() {
            &[("content-type", "application/json")]
        } else {
            &[]
        };
        let bytes = body
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default();
        self.raw(
            method,
            &format!("/v1/orgs/{}{path}", self.org),
            headers,
            bytes,
        )
        .await
    }

    /// Sends anything, with the token.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Reply {
        let reply = self.try_raw(method, path, headers, body).await;
        reply.expect("the API answers")
    }

    /// Sends anything, with the token, where nobody may be there to answer.
    ///
    /// # Errors
    /// There was no whole answer: whether the request was done is unknown.
    pub async fn try_raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .body(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .map(ToOwned::to_owned)
        };
        let (etag, content_type) = (header("etag"), header("content-type").unwrap_or_default());
        let (location, retry_after) = (header("location"), header("retry-after"));
        let status: StatusCode = response.status();
        let headers = response.headers().clone();
        let text = response.text().await?;
        Ok(Reply {
            status: status.as_u16(),
            etag,
            location,
            retry_after,
            content_type,
            headers,
            json: serde_json::from_str(&text).unwrap_or_default(),
            text,
        })
    }

    /// Sends a request below `/v1/orgs/<org>` with further headers.
    pub async fn with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let mut all = headers.to_vec();
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        let bytes = body
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default();
        self.raw(method, &format!("/v1/orgs/{}{path}", self.org), &all, bytes)
            .await
    }

    /// PATCH, as a merge patch.
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        let headers = [("content-type", "application/merge-patch+json")];
        self.with(Method::PATCH, path, &headers, Some(body)).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, None).await
    }

    /// The status of `/readyz`; none while nobody listens.
    pub async fn ready_status(&self) -> Option<u16> {
        self.status_of("/readyz").await
    }

    /// The status of `/livez`; none while nobody listens.
    pub async fn live_status(&self) -> Option<u16> {
        self.status_of("/livez").await
    }

    async fn status_of(&self, path: &str) -> Option<u16> {
        let response = self
            .client
            .get(format!("{}{path}", self.base))
            .send()
            .await
            .ok()?;
        Some(response.status().as_u16())
    }
}
