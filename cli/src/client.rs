//! A thin client: JSON out, JSON in, problems as failures. It knows addresses and nothing of what is there.

use std::time::Duration;

use heddle_model::code::Code;
use reqwest::header::HeaderValue;
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it is worth to wait, all in all, until there may be another request.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// From the root, escaped.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

impl Request {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    #[must_use]
    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn query_if(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn header_if(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    #[must_use]
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// One answer that is no problem.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) etag: Option<String>,
}

impl Reply {
    /// The body.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.text).map_err(|_| {
            Failure::error("the server did not answer with JSON")
                .hint("is this address the API of Heddle?")
        })
    }
}

/// A server and the credential that it is shown.
pub(crate) struct Client {
    http: reqwest::Client,
    server: String,
    /// The organisation in paths.
    org: String,
    token: Option<SecretString>,
}

impl Client {
    pub(crate) fn new(
        server: &str,
        org: &str,
        token: Option<SecretString>,
    ) -> Result<Self, Failure> {
        let server = server.trim_end_matches('/');
        if !(server.starts_with("http://") || server.starts_with("https://")) {
            let what = format!("`{server}` is not the address of a server");
            return Err(Failure::usage(what).hint("such as https://heddle.example.com"));
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("heddle/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry the credential elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::error(format!("set up the client: {error}")))?;
        Ok(Self {
            http,
            server: server.to_owned(),
            org: org.to_owned(),
            token,
        })
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// An address below the organisation.
    pub(crate) fn org(&self, path: &str) -> String {
        format!("/v1/orgs/{}{path}", crate::kinds::segment(&self.org))
    }

    /// Sends a request and takes any answer that is no error.
    pub(crate) async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let response = self.open(request, PATIENCE).await?;
        let etag = response.headers().get("etag");
        let etag = etag
            .and_then(|tag| tag.to_str().ok())
            .map(ToOwned::to_owned);
        let text = response.text().await;
        let text = text.map_err(|error| self.unreachable(&error))?;
        Ok(Reply { text, etag })
    }

    /// Sends a request; an answer that is no error is read by whoever asked, as it comes, for at most so long. Whoever sends too many
    /// is told when the next one may come, and nothing was done: then it is sent again.
    pub(crate) async fn open(
        &self,
        request: Request,
        patience: Duration,
    ) -> Result<Response, Failure> {
        let mut waited = Duration::ZERO;
        loop {
            let (failure, after) = match self.once(request.clone(), patience).await? {
                Ok(response) => return Ok(response),
                Err(refused) => refused,
            };
            let too_many = failure.code() == Some(Code::TooManyRequests.as_str());
            match after {
                Some(after) if too_many && waited + after <= MOST_WAIT => {
                    waited += after;
                    tokio::time::sleep(after).await;
                }
                _ => return Err(failure),
            }
        }
    }

    /// The answer, or a refusal and after which time it may be different.
    async fn once(
        &self,
        request: Request,
        patience: Duration,
    ) -> Result<Result<Response, (Failure, Option<Duration>)>, Failure> {
        let method = request.method.clone();
        let mut url = format!("{}{}", self.server, request.path);
        if !request.query.is_empty() {
            let query = serde_urlencoded::to_string(&request.query);
            let query = query.map_err(|_| Failure::usage("a parameter cannot be sent"))?;
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&query);
        }
        let mut builder = self.http.request(request.method, url).timeout(patience);
        for (name, value) in &request.headers {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Failure::usage(format!("`{name}` cannot hold that text")))?;
            builder = builder.header(*name, value);
        }
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token.expose_secret());
        }
        if let Some(body) = &request.body {
            let kind = match method == Method::PATCH {
                true => "application/merge-patch+json",
                false => "application/json",
            };
            builder = builder.header("content-type", kind).body(body.to_string());
        }
        let response = builder
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Ok(response));
        }
        let after = response.headers().get("retry-after");
        let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
        let after = after.map(Duration::from_secs);
        let text = response
            .text()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let body = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
        Ok(Err((self.refused(status, body), after)))
    }

    fn refused(&self, status: StatusCode, body: Value) -> Failure {
        if body["code"].is_null() {
            let what = format!("{} answered with {status}", self.server);
            let exit = if status == StatusCode::NOT_FOUND {
                Exit::NotFound
            } else {
                Exit::Error
            };
            return Failure::new(exit, what).hint("is this address the API of Heddle?");
        }
        if self.token.is_none() && status == StatusCode::UNAUTHORIZED {
            return Failure::new(Exit::Auth, "you are not signed in")
                .hint("sign in with `heddle login`, or set HEDDLE_TOKEN");
        }
        Failure::problem(status.as_u16(), body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        // The cause at the bottom says most; the address is said once.
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let exit = if error.is_timeout() {
            Exit::Timeout
        } else {
            Exit::Error
        };
        Failure::new(exit, format!("{} cannot be reached: {cause}", self.server))
            .hint("check the address (`heddle context list`) and the network")
    }

    pub(crate) async fn get(&self, path: String) -> Result<Value, Failure> {
        self.send(Request::new(Method::GET, path)).await?.json()
    }

    /// Every item of a list, page by page, at most so many.
    pub(crate) async fn list(&self, request: Request, most: usize) -> Result<Vec<Value>, Failure> {
        Ok(self.list_with(request, most).await?.1)
    }

    /// The same with what the last page says beside its items.
    pub(crate) async fn list_with(
        &self,
        request: Request,
        most: usize,
    ) -> Result<(Value, Vec<Value>), Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let left = most - items.len();
            let page = request.clone().query("limit", left.min(500).to_string());
            let page = page.query_if("cursor", cursor.as_deref());
            let mut page = self.send(page).await?.json()?;
            if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
                items.extend(found);
            }
            cursor = page["next_cursor"].as_str().map(ToOwned::to_owned);
            if cursor.is_none() || items.len() >= most {
                return Ok((page, items));
            }
        }
    }
}
