//! A private identity provider, run by the test itself: a real one, and a browser that people sign in to it with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::ports::free_port;
use crate::process::{Child, repository};
use crate::tls::write_tls;
use crate::until::until;

/// The client that it knows.
const CLIENT: &str = "heddle";
/// What that shows.
const SECRET: &str = "not-for-logs-either";

/// A provider in a directory of its own. Whoever names an account is it.
pub struct IdentityProvider {
    directory: TempDir,
    port: u16,
    child: Option<Child>,
}

impl IdentityProvider {
    /// One that is not there yet.
    ///
    /// # Panics
    /// There is no room for its certificate.
    #[must_use]
    pub fn planned() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("heddle-provider-")
            .tempdir()
            .expect("a directory");
        write_tls(directory.path(), "provider", 1);
        Self {
            directory,
            port: free_port(),
            child: None,
        }
    }

    /// What a server is told, to call it.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let authority = self.authority().to_string_lossy().into_owned();
        [
            ("HEDDLE_EGRESS_ALLOW", "127.0.0.1/32".to_owned()),
            ("HEDDLE_EGRESS_CA", authority),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The file with the authority that its certificate is by.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("provider-ca.pem")
    }

    /// What it calls itself.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// What must not be seen anywhere.
    #[must_use]
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// A connection to it.
    #[must_use]
    pub fn connection(&self, name: &str) -> Value {
        json!({"name": name, "display_name": "Acme Workforce", "issuer": self.issuer(), "client_id": CLIENT, "client_secret": SECRET})
    }

    /// Starts it for a client that is sent back to these addresses, and waits until it listens.
    ///
    /// # Panics
    /// What it needs is not installed, or it ends.
    pub async fn start(&mut self, redirect_uris: &[&str]) {
        let packages = repository().join(".tools/oidc");
        assert!(
            packages.join("node_modules").exists(),
            "no {}: run `scripts/setup --test` first",
            packages.display()
        );
        let file = |name: &str| self.directory.path().join(name);
        let clients =
            json!([{"client_id": CLIENT, "client_secret": SECRET, "redirect_uris": redirect_uris}]);
        let mut command = Command::new("node");
        command
            .arg(repository().join("tests/oidc/provider.mjs"))
            .arg(packages)
            .arg(self.port.to_string())
            .args([file("provider.pem"), file("provider.key")])
            .arg(clients.to_string());
        let mut child = Child::start(&mut command, &file("provider.log"));
        until(
            "the provider listens",
            Duration::from_secs(60),
            async || {
                assert!(!child.has_ended(), "it ended:\n{}", child.output());
                child.output().contains("listening")
            },
        )
        .await;
        self.child = Some(child);
    }

    /// Kills it; it stays dead.
    ///
    /// # Panics
    /// It does not run.
    pub async fn kill(&mut self) {
        self.child.take().expect("it runs").kill().await;
    }
}

/// A browser with cookies, which belongs to one person.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    /// By name and path.
    cookies: BTreeMap<(String, String), String>,
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// One that was nowhere yet.
    ///
    /// # Panics
    /// There is no client.
    #[must_use]
    pub fn new() -> Self {
        let client = Client::builder()
            .redirect(Policy::none())
            .danger_accept_invalid_certs(true)
            .build();
        Self {
            client: client.expect("a client"),
            cookies: BTreeMap::new(),
        }
    }

    async fn visit(&mut self, url: &Url, form: Option<&[(&str, &str)]>) -> Response {
        let path = url.path();
        let sent = self
            .cookies
            .iter()
            .filter(|((_, at), _)| path.starts_with(at.as_str()));
        let sent: Vec<String> = sent
            .map(|((name, _), value)| format!("{name}={value}"))
            .collect();
        let request = match form {
            None => self.client.get(url.clone()),
            Some(form) => {
                let body: Vec<String> = form
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let kind = "application/x-www-form-urlencoded";
                self.client
                    .post(url.clone())
                    .header("content-type", kind)
                    .body(body.join("&"))
            }
        };
        let response = request.header(COOKIE, sent.join("; ")).send().await;
        let response = response.expect("the provider answers");
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("text");
            let mut parts = cookie.split(';').map(str::trim);
            let (name, value) = parts
                .next()
                .and_then(|x| x.split_once('='))
                .expect("a cookie");
            let at = parts
                .find_map(|part| part.strip_prefix("path="))
                .unwrap_or("/");
            let key = (name.to_owned(), at.to_owned());
            if value.is_empty() {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        response
    }

    /// Goes where a sign-in leads, says who it is when it is asked, agrees to everything, and stops at the address that it is sent back to: the query
    /// of it.
    ///
    /// # Panics
    /// It is not sent back.
    pub async fn sign_in(&mut self, url: &str, account: &str) -> BTreeMap<String, String> {
        let home: Url = url.parse().expect("a URL");
        let mut at = home.clone();
        for _ in 0..20 {
            if at.origin() != home.origin() {
                return at.query_pairs().into_owned().collect();
            }
            let response = self.visit(&at, None).await;
            let response = if response.status().is_redirection() {
                response
            } else {
                let page = response.text().await.expect("a page");
                let prompt = if page.contains("value=\"login\"") {
                    vec![("prompt", "login"), ("login", account), ("password", "x")]
                } else if page.contains("value=\"consent\"") {
                    vec![("prompt", "consent")]
                } else {
                    panic!("{at} asks for something else:\n{page}");
                };
                self.visit(&at, Some(&prompt)).await
            };
            let to = response.headers().get(LOCATION).expect("it leads on");
            at = at.join(to.to_str().expect("text")).expect("a URL");
        }
        panic!("it leads in circles: {at}");
    }

    /// Goes where a sign-in leads, and thinks better of it.
    ///
    /// # Panics
    /// It is not sent back.
    pub async fn decline(&mut self, url: &str) -> BTreeMap<String, String> {
        let mut at: Url = url.parse().expect("a URL");
        let home = at.origin();
        while at.origin() == home {
            let response = self.visit(&at, None).await;
            at = match response.headers().get(LOCATION) {
                Some(to) => at.join(to.to_str().expect("text")).expect("a URL"),
                None => format!("{at}/abort").parse().expect("a URL"),
            };
        }
        at.query_pairs().into_owned().collect()
    }
}
