//! Following the feed of changes: by a tail, which is what correctness rests on, and at once wherever a hint says that there is something.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use heddle_ephemeral::{Heard, Hint};
use heddle_store::Moved;
use heddle_xds_server::News;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{MeshSource, key};

/// How often the outbox is looked at in any case.
const TAIL: Duration = Duration::from_millis(100);
/// How far looks because of hints are apart: whoever makes up hints costs the database this much at most.
const APART: Duration = Duration::from_millis(20);

const LOOKS: &str = "heddle_feed_looks_total";
const CHANGES: &str = "heddle_feed_changes_total";

/// Why the outbox is looked at.
#[derive(Clone, Copy)]
enum Because {
    Tail,
    Hint,
}

impl Because {
    fn label(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::Hint => "hint",
        }
    }
}

/// Makes every series exist from the start, so that "0" and "not measured" differ.
fn register() {
    metrics::describe_counter!(LOOKS, "Looks at the feed of changes, by what led to them");
    metrics::describe_counter!(
        CHANGES,
        "Revisions found in the feed, by what led to the look"
    );
    for because in [Because::Tail, Because::Hint] {
        metrics::counter!(LOOKS, "because" => because.label()).increment(0);
        metrics::counter!(CHANGES, "because" => because.label()).increment(0);
    }
}

impl MeshSource {
    /// Looks at the outbox once.
    pub(crate) async fn refresh(&self) -> heddle_store::Result<()> {
        self.look(Because::Tail).await
    }

    async fn look(&self, because: Because) -> heddle_store::Result<()> {
        let mut position = self.position.lock().await;
        metrics::counter!(LOOKS, "because" => because.label()).increment(1);
        let feed = tokio::select! {
            feed = self.store.feed(position.clone()) => feed?,
            // What was asked may never be answered, and is asked again on another connection.
            () = self.store.silent() => {
                return Err(heddle_store::Error::Unavailable("it is silent".into()));
            }
        };
        for head in feed.meshes {
            let before = self.learn(head);
            if before.is_none_or(|b| (b.revision, b.deleted) != (head.revision, head.deleted)) {
                metrics::counter!(CHANGES, "because" => because.label()).increment(1);
                self.tell(News::Configuration(key(head.mesh)));
            }
            if before.is_none_or(|b| b.status != head.status) {
                self.tell(News::Proxies(key(head.mesh), head.status));
            }
        }
        *position = Some(feed.next);
        Ok(())
    }

    /// Follows commits until the end: those of this process at once, those of other servers by their hints, everything else by the tail.
    pub(crate) async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        register();
        let mut commits = self.store.committed();
        let mut hints = self.fanout.subscribe();
        let mut tail = tokio::time::interval(TAIL);
        tail.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hinted = false;
        let mut looked = Instant::now();
        let mut failing = false;
        loop {
            let because = tokio::select! {
                () = shutdown.cancelled() => return,
                moved = commits.recv() => {
                    // A commit that was missed is found by the tail, here and elsewhere.
                    if let Ok(moved) = moved {
                        self.tell(News::Configuration(key(moved.mesh)));
                        self.fanout.publish(hint(moved));
                    }
                    continue;
                }
                heard = hints.next() => {
                    hinted = hinted || self.is_news(heard);
                    continue;
                }
                () = tokio::time::sleep_until(looked + APART), if hinted => Because::Hint,
                _ = tail.tick() => Because::Tail,
            };
            hinted = false;
            let result = self.look(because).await;
            looked = Instant::now();
            match &result {
                Err(error) if !failing => {
                    tracing::warn!(%error, "cannot read the feed of changes; trying on");
                }
                Ok(()) if failing => tracing::info!("the feed of changes is back"),
                Err(_) | Ok(()) => {}
            }
            failing = result.is_err();
        }
    }

    /// Whether there may be something to look for. What a hint says is not believed further than that.
    fn is_news(&self, heard: Heard) -> bool {
        let Heard::Hint(hint) = heard else {
            return true;
        };
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&(hint.org, hint.mesh))
            .is_none_or(|known| known.revision < hint.revision)
    }
}

fn hint(moved: Moved) -> Hint {
    Hint {
        org: moved.mesh.org(),
        mesh: moved.mesh.mesh(),
        revision: moved.revision,
    }
}
