//! One change after the other that every proxy of a mesh has to hear of: a service's time limit, which says the how-manieth
//! it is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use heddle_tests::Api;
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time limit is longer than any call takes.
const BASE_MS: u64 = 10_000;

/// One that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stroke {
    pub(crate) number: u64,
    pub(crate) revision: u64,
    pub(crate) sent: Instant,
}

/// What strokes are made of.
struct Shared {
    api: Api,
    path: String,
    labels: serde_json::Value,
    strokes: Mutex<VecDeque<Stroke>>,
    paused: watch::Sender<bool>,
}

/// It goes on until it is dropped.
pub(crate) struct Beat {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Beat {
    /// Begins, for the service `echo` of a mesh, of an organisation.
    pub(crate) fn start(api: Api, mesh: &str, mark: &str) -> Self {
        let shared = Arc::new(Shared {
            api,
            path: format!("/meshes/{mesh}/services/echo"),
            labels: json!({"mark": mark}),
            strokes: Mutex::default(),
            paused: watch::Sender::new(false),
        });
        let task = tokio::spawn(strike(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// No more strokes, or more again. One that is under way may still come.
    pub(crate) fn pause(&self, paused: bool) {
        self.shared.paused.send_replace(paused);
    }

    /// The first one that was sent after a moment.
    pub(crate) fn after(&self, moment: Instant) -> Option<Stroke> {
        let strokes = self.shared.strokes.lock();
        let strokes = strokes.unwrap_or_else(PoisonError::into_inner);
        strokes.iter().find(|stroke| stroke.sent > moment).copied()
    }

    /// Which stroke a proxy has, by its routes as an Envoy shows them.
    pub(crate) fn read(routes: &str) -> Option<u64> {
        let seconds = routes.split("\"timeout\": \"").skip(1);
        let limits = seconds.filter_map(|rest| rest.split_once("s\"")?.0.parse::<f64>().ok());
        let numbers = limits.map(|seconds| (seconds * 1e3).round());
        let most = numbers.fold(0.0, f64::max);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "milliseconds of some seconds"
        )]
        let most = most as u64;
        most.checked_sub(BASE_MS)
    }
}

async fn strike(shared: Arc<Shared>) {
    let mut paused = shared.paused.subscribe();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 1_u64.. {
        // The sender lives as long as this does.
        drop(paused.wait_for(|paused| !paused).await);
        tick.tick().await;
        let body = json!({
            "ports": [{"name": "http", "port": 8080, "protocol": "http"}],
            "labels": shared.labels,
            "defaults": {"timeout": format!("{}ms", BASE_MS + number)},
        });
        let api = &shared.api;
        loop {
            let sent = Instant::now();
            let path = format!("/v1/orgs/{}{}", api.org, shared.path);
            let headers = [("content-type", "application/json")];
            let body = body.to_string().into_bytes();
            let attempt = api.try_raw(Method::PUT, &path, &headers, body);
            if let Ok(Ok(reply)) = tokio::time::timeout(PATIENCE, attempt).await
                && let Some(revision) = reply.json["meta"]["revision"].as_u64()
            {
                let stroke = Stroke {
                    number,
                    revision,
                    sent,
                };
                let strokes = shared.strokes.lock();
                let mut strokes = strokes.unwrap_or_else(PoisonError::into_inner);
                strokes.push_back(stroke);
                if strokes.len() > 4_096 {
                    strokes.pop_front();
                }
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stroke_is_read_from_routes() {
        let routes = r#"{"timeout": "10.002s"}, {"timeout": "10.017s"}, {"timeout": "0s"}"#;
        assert_eq!(Beat::read(routes), Some(17));
        assert_eq!(Beat::read(r#"{"timeout": "3s"}"#), None);
    }
}
