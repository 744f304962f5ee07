//! Requests through real Envoys, so many a second, each one counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use heddle_bench::report::percentile;
use tokio::task::JoinSet;

/// Loops for each Envoy.
const CLIENTS: u32 = 2;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// So many failures are kept in words.
const KEPT: usize = 5;

/// What became of them since the last look.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcomes {
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    /// The first of those that failed.
    pub(crate) failures: Vec<String>,
    times: Vec<Duration>,
}

impl Outcomes {
    /// Below which 99 of a hundred answers lie.
    pub(crate) fn p99(&mut self) -> Duration {
        self.times.sort_unstable();
        percentile(&self.times, 99)
    }
}

/// Goes on until it is dropped.
pub(crate) struct Traffic {
    outcomes: Arc<Mutex<Outcomes>>,
    _clients: JoinSet<()>,
}

impl Traffic {
    /// Begins: to the service `echo`, through each of these ports.
    pub(crate) fn start(ports: &[u16], a_second: u32) -> Self {
        let outcomes: Arc<Mutex<Outcomes>> = Arc::default();
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for port in ports {
            for _ in 0..CLIENTS {
                let every = Duration::from_secs(CLIENTS.into()) / a_second;
                let outcomes = Arc::clone(&outcomes);
                let url = format!("http://127.0.0.1:{port}/");
                clients.spawn(client(url, every, outcomes, began));
            }
        }
        Self {
            outcomes,
            _clients: clients,
        }
    }

    /// What became of them since this was last asked.
    pub(crate) fn take(&self) -> Outcomes {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *outcomes)
    }
}

async fn client(url: String, every: Duration, all: Arc<Mutex<Outcomes>>, began: Instant) {
    let client = reqwest::Client::new();
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let sent = Instant::now();
        let failed = once(&client, &url).await.err();
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.answered += 1;
        all.times.push(sent.elapsed());
        if let Some(why) = failed {
            all.failed += 1;
            if all.failures.len() < KEPT {
                let at = (sent - began).as_secs_f64();
                all.failures.push(format!("{url} at {at:.1} s: {why}"));
            }
        }
    }
}

async fn once(client: &reqwest::Client, url: &str) -> Result<(), String> {
    let request = client.get(url).header("host", "echo").timeout(PATIENCE);
    let response = request.send().await.map_err(|e| format!("{e:?}"))?;
    let status = response.status().as_u16();
    let text = response.text().await.map_err(|e| format!("{e:?}"))?;
    match status {
        200 => Ok(()),
        _ => Err(format!("{status} {text}")),
    }
}
