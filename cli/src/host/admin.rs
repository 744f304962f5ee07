//! Envoy's admin interface, asked with a short patience.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// One admin interface.
pub(crate) struct Admin {
    http: reqwest::Client,
    base: String,
}

/// What stood in an answer.
pub(crate) struct Page {
    pub(crate) ok: bool,
    pub(crate) text: String,
}

impl Admin {
    /// At `http://127.0.0.1:15000`, or without the scheme.
    pub(crate) fn at(address: &str) -> Result<Self, String> {
        let address = address.trim_end_matches('/');
        let base = match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}"),
        };
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, base })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// A page; why it cannot be had.
    pub(crate) async fn get(&self, path: &str) -> Result<Page, String> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await;
        let response = response.map_err(|error| bottom(&error))?;
        let ok = response.status().is_success();
        let text = response.text().await.map_err(|error| bottom(&error))?;
        Ok(Page { ok, text })
    }

    pub(crate) async fn json(&self, path: &str) -> Result<Value, String> {
        let page = self.get(path).await?;
        serde_json::from_str(&page.text).map_err(|_| String::from("what answers is no Envoy"))
    }

    /// Counters and gauges whose whole names these are; those that are not there are left out.
    pub(crate) async fn stats(&self, names: &[&str]) -> Result<BTreeMap<String, u64>, String> {
        let wanted = names.join("|").replace('.', "%5C.");
        let page = self.get(&format!("/stats?filter=%5E({wanted})%24")).await?;
        let line = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Ok(page.text.lines().filter_map(line).collect())
    }
}

/// The cause at the bottom says most.
pub(crate) fn bottom(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match error.is_timeout() {
        true => String::from("it does not answer in time"),
        false => cause.to_string(),
    }
}
