//! The trickle of requests that makes the demo's mesh do something: five a second to the frontend.

use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::up::http_client::Client;

const EVERY: Duration = Duration::from_millis(200);

/// The trickle while it runs.
pub(crate) struct Load {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts it. Must run inside a `LocalSet`.
    pub(crate) fn start(http: Client, url: String) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::task::spawn_local(trickle(http, url, stop.clone()));
        Self { stop, task }
    }

    /// Lets the request under way finish and sends no more.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the trickle of requests failed");
        }
    }
}

/// What was counted since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    ok: u64,
    failed: u64,
    /// The last outcome; `None` within: no answer at all.
    last: Option<Option<StatusCode>>,
}

impl Tally {
    /// Counts an outcome. Returns a line for the log when it differs from the one before.
    fn count(&mut self, outcome: Option<StatusCode>) -> Option<String> {
        match outcome {
            Some(StatusCode::OK) => self.ok += 1,
            _ => self.failed += 1,
        }
        let before = self.last.replace(outcome);
        let says = |outcome: Option<StatusCode>| {
            outcome.map_or_else(|| "nothing".to_owned(), |status| status.to_string())
        };
        let Self { ok, failed, .. } = self;
        (before != Some(outcome)).then(|| {
            format!(
                "the frontend answers {} (so far {ok} ok, {failed} not)",
                says(outcome)
            )
        })
    }
}

async fn trickle(http: Client, url: String, stop: CancellationToken) {
    let mut tally = Tally::default();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let outcome = http.get(&url).await.ok().map(|answer| answer.status);
        if let Some(line) = tally.count(outcome) {
            tracing::info!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_told() {
        let mut tally = Tally::default();
        assert!(tally.count(Some(StatusCode::OK)).is_some());
        assert_eq!(tally.count(Some(StatusCode::OK)), None);
        let line = tally.count(Some(StatusCode::FORBIDDEN)).unwrap();
        assert!(
            line.contains("403") && line.contains("2 ok, 1 not"),
            "{line}"
        );
        assert!(tally.count(None).unwrap().contains("nothing"));
        assert_eq!(tally.count(None), None);
    }
}
