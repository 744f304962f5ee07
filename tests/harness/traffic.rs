//! Steady requests, each one counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;

/// One answered (or failed) request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// When it was sent.
    pub sent: Instant,
    /// The status; 0 when there was no answer.
    pub status: u16,
    /// The `version` in the answer.
    pub version: String,
    /// What went wrong, or the body.
    pub detail: String,
}

/// Requests going on in the background.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts `clients` loops of GETs with a `Host`, each waiting `pause` between requests. `version` says where in
    /// the JSON answer the version stands.
    #[must_use]
    pub fn start(
        url: &str,
        host: &str,
        clients: usize,
        pause: Duration,
        version: &'static str,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let tasks = (0..clients)
            .map(|_| {
                let (stop, outcomes, client) =
                    (Arc::clone(&stop), Arc::clone(&outcomes), client.clone());
                let (url, host) = (url.to_owned(), host.to_owned());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let outcome = once(&client, &url, &host, version).await;
                        outcomes
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(outcome);
                        tokio::time::sleep(pause).await;
                    }
                })
            })
            .collect();
        Self {
            stop,
            outcomes,
            tasks,
        }
    }

    /// How many requests have been answered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// What has happened so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Outcome> {
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends the loops and returns every outcome.
    pub async fn stop(self) -> Vec<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("the loop does not panic");
        }
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *outcomes)
    }
}

async fn once(client: &reqwest::Client, url: &str, host: &str, version: &str) -> Outcome {
    let sent = Instant::now();
    let failed = |detail: String| Outcome {
        sent,
        status: 0,
        version: String::new(),
        detail,
    };
    let response = match client.get(url).header("host", host).send().await {
        Ok(response) => response,
        Err(error) => return failed(format!("{error:?}")),
    };
    let status = response.status().as_u16();
    match response.text().await {
        Ok(text) => {
            let json: Value = serde_json::from_str(&text).unwrap_or_default();
            let version = json
                .pointer(version)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            Outcome {
                sent,
                status,
                version,
                detail: text,
            }
        }
        Err(error) => failed(format!("{error:?}")),
    }
}

impl Outcome {
    /// Those that were not answered with 200.
    #[must_use]
    pub fn failed(outcomes: &[Self]) -> Vec<&Self> {
        outcomes.iter().filter(|o| o.status != 200).collect()
    }

    /// How many answers each version gave.
    #[must_use]
    pub fn versions(outcomes: &[Self]) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for outcome in outcomes {
            *counts.entry(outcome.version.clone()).or_insert(0) += 1;
        }
        counts
    }
}
