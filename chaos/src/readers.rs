//! Somebody of each organisation who reads lists, and minds what is in them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use heddle_tests::Api;
use reqwest::Method;
use tokio::task::JoinSet;

use crate::calls::Calls;
use crate::taint::Taint;

const EVERY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(20);
/// Before a second attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// They go on until this is dropped.
pub(crate) struct Readers {
    /// Every attempt.
    pub(crate) calls: Arc<Calls>,
    /// Every read, with a second attempt where the first one failed.
    pub(crate) reads: Arc<Calls>,
    _tasks: JoinSet<()>,
}

impl Readers {
    /// Begins, one for each of these.
    pub(crate) fn start(readers: Vec<(Api, Arc<Taint>)>) -> Self {
        let (calls, reads) = (Arc::new(Calls::default()), Arc::new(Calls::default()));
        let mut tasks = JoinSet::new();
        for (api, taint) in readers {
            let reader = Reader {
                api,
                taint,
                calls: Arc::clone(&calls),
                reads: Arc::clone(&reads),
            };
            tasks.spawn(reader.read());
        }
        Self {
            calls,
            reads,
            _tasks: tasks,
        }
    }
}

/// One of them.
struct Reader {
    api: Api,
    taint: Arc<Taint>,
    calls: Arc<Calls>,
    reads: Arc<Calls>,
}

impl Reader {
    async fn read(self) {
        let below = [
            "/meshes",
            "/meshes/fleet/services?limit=50",
            "/meshes/fleet/services/echo",
            "/meshes/fleet/proxies?limit=20",
            "/audit-log?limit=20",
        ];
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for below in below.iter().cycle() {
            tick.tick().await;
            let path = format!("/v1/orgs/{}{below}", self.api.org);
            let began = Instant::now();
            let mut status = self.once(&path).await;
            if status != 200 {
                tokio::time::sleep(PAUSE).await;
                status = self.once(&path).await;
            }
            self.reads.note(began, status, status == 200);
        }
    }

    /// One attempt.
    async fn once(&self, path: &str) -> u16 {
        let sent = Instant::now();
        let answer = self.api.try_raw(Method::GET, path, &[], Vec::new());
        let status = match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(reply)) => {
                self.taint
                    .look(reply.text.as_bytes(), || format!("GET {path}"));
                reply.status
            }
            _ => 0,
        };
        self.calls.note(sent, status, status == 200);
        status
    }
}
