//! A real Prometheus with the alerts of `deploy/`, to see which of them are raised. A minute of the rules is a second here: what
//! would be raised after ten minutes is raised after ten seconds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use heddle_tests::{Child, free_port, repository};
use serde_json::Value;
use tokio::process::Command;
use tokio::task::JoinHandle;

const RULES: &str = "deploy/prometheus/heddle.rules.yaml";
const LOOK: Duration = Duration::from_millis(500);
const START: Duration = Duration::from_secs(30);

/// From when to when an alert was raised.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Instant,
    to: Option<Instant>,
}

/// It watches until it is dropped.
pub(crate) struct Alarm {
    spans: Arc<Mutex<BTreeMap<String, Vec<Span>>>>,
    task: JoinHandle<()>,
    _prometheus: Child,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Alarm {
    /// Starts it, for servers whose APIs listen on these ports.
    ///
    /// # Errors
    /// It does not come up.
    pub(crate) async fn start(
        prometheus: &Path,
        directory: &Path,
        servers: &[u16],
    ) -> anyhow::Result<Self> {
        let rules = std::fs::read_to_string(repository().join(RULES))?;
        std::fs::write(directory.join("rules.yaml"), faster(&rules))?;
        let targets: Vec<String> = servers
            .iter()
            .map(|port| format!("'127.0.0.1:{port}'"))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: [rules.yaml]\n\
             scrape_configs: [{{job_name: heddle, static_configs: [{{targets: [{}]}}]}}]\n",
            targets.join(", ")
        );
        std::fs::write(directory.join("prometheus.yaml"), config)?;
        let port = free_port();
        let mut command = Command::new(prometheus);
        command
            .arg(format!(
                "--config.file={}",
                directory.join("prometheus.yaml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("prometheus").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .env("GOMAXPROCS", "1");
        let log = directory.join("prometheus.log");
        let mut child = Child::start(&mut command, &log);
        let url = format!("http://127.0.0.1:{port}");
        let client = reqwest::Client::new();
        let began = Instant::now();
        loop {
            let ready = client.get(format!("{url}/-/ready")).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            ensure!(
                !child.has_ended() && began.elapsed() < START,
                "{}",
                child.output()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let spans: Arc<Mutex<BTreeMap<String, Vec<Span>>>> = Arc::default();
        let task = tokio::spawn(watch(
            client,
            format!("{url}/api/v1/alerts"),
            Arc::clone(&spans),
        ));
        Ok(Self {
            spans,
            task,
            _prometheus: child,
        })
    }

    fn spans(&self, name: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.get(name).cloned().unwrap_or_default()
    }

    /// How long after this moment an alert was raised.
    pub(crate) fn raised(&self, name: &str, since: Instant) -> Option<Duration> {
        let spans = self.spans(name);
        let span = spans.iter().find(|span| span.from >= since)?;
        Some(span.from - since)
    }

    /// Whether it is raised now.
    pub(crate) fn is_raised(&self, name: &str) -> bool {
        self.spans(name)
            .last()
            .is_some_and(|span| span.to.is_none())
    }

    /// All that were raised after this moment.
    pub(crate) fn all_raised(&self, since: Instant) -> Vec<String> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let raised = spans
            .iter()
            .filter(|(_, s)| s.iter().any(|span| span.from >= since));
        raised.map(|(name, _)| name.clone()).collect()
    }
}

async fn watch(
    client: reqwest::Client,
    url: String,
    spans: Arc<Mutex<BTreeMap<String, Vec<Span>>>>,
) {
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        let Ok(raised) = firing(&client, &url).await else {
            continue;
        };
        let now = Instant::now();
        let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &raised {
            let of = spans.entry(name.clone()).or_default();
            if of.last().is_none_or(|span| span.to.is_some()) {
                of.push(Span {
                    from: now,
                    to: None,
                });
            }
        }
        for (name, of) in spans.iter_mut() {
            if let Some(last) = of.last_mut()
                && last.to.is_none()
                && !raised.contains(name)
            {
                last.to = Some(now);
            }
        }
    }
}

async fn firing(client: &reqwest::Client, url: &str) -> anyhow::Result<Vec<String>> {
    let answer: Value = client.get(url).send().await?.json().await?;
    let alerts = answer["data"]["alerts"].as_array().context("alerts")?;
    let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
    let names = firing.filter_map(|alert| alert["labels"]["alertname"].as_str());
    Ok(names.map(ToOwned::to_owned).collect())
}

/// Rules whose minutes are seconds: what stands after `for:`, and windows.
fn faster(rules: &str) -> String {
    let mut out = String::with_capacity(rules.len());
    let mut rest = rules;
    while let Some(at) = [rest.find("for: "), rest.find('[')]
        .into_iter()
        .flatten()
        .min()
    {
        let begins = at + if rest[at..].starts_with('[') { 1 } else { 5 };
        out.push_str(&rest[..begins]);
        rest = &rest[begins..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().unwrap_or_default();
        let seconds = match rest[digits..].chars().next() {
            Some('m') if digits > 0 => number,
            Some('h') if digits > 0 => number * 60,
            _ => continue,
        };
        out.push_str(&format!("{seconds}s"));
        rest = &rest[digits + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn minutes_become_seconds() {
        let rules =
            "expr: rate(x[5m]) > 7 * 24\n for: 10m\n labels: {a: b}\n expr: y[1h]\n for: 1h\n [x]";
        let faster = super::faster(rules);
        let expected = "expr: rate(x[5s]) > 7 * 24\n for: 10s\n labels: {a: b}\n expr: y[60s]\n for: 60s\n [x]";
        assert_eq!(faster, expected);
    }
}
