//! What answers that stay open have in common: whom they wait for, how many there may be, and when they end.

mod pulse;
mod recheck;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use heddle_store::{MeshRef, Store};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::extract::Query;
use crate::problem::Problem;

use heddle_store::live::Heads;
pub(crate) use recheck::{EVERY, Now, Recheck, reaching};
pub(crate) use slots::Slot;

/// How a time to wait is written: whole seconds.
pub(crate) const WAIT: &str = "^(0|[1-9][0-9]{0,4})s$";

/// What open answers need. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    pulse: Arc<pulse::Pulse>,
    slots: Arc<slots::Slots>,
    stopping: CancellationToken,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// For one server. Every open answer ends when it stops.
    #[must_use]
    pub fn new(store: Store, stopping: CancellationToken) -> Self {
        Self {
            pulse: Arc::new(pulse::Pulse::new(store, stopping.clone())),
            slots: Arc::default(),
            stopping,
        }
    }

    /// Room for one more open answer of this holder of an organisation.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn slot(&self, org: Uuid, holder: Uuid) -> Result<Slot, Problem> {
        slots::Slots::take(&self.slots, org, holder)
    }

    /// Where the news of a mesh end, whenever that changes. No connection to the database is held meanwhile.
    pub(crate) fn watch(&self, mesh: MeshRef, now: Heads) -> watch::Receiver<Option<Heads>> {
        pulse::Pulse::watch(&self.pulse, mesh, now)
    }

    /// The server stops.
    pub(crate) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }
}

/// Takes out `wait`: how long an answer may stay open. More than `most` is taken as that.
pub(crate) fn wait(query: &mut Query, most: Duration) -> Result<Option<Duration>, Problem> {
    let Some(text) = query.take("wait") else {
        return Ok(None);
    };
    let seconds = text.strip_suffix('s').and_then(|s| s.parse::<u64>().ok());
    let bad = || Problem::parameter("wait", "`wait`: whole seconds, such as `30s`");
    let wait = Duration::from_secs(seconds.ok_or_else(bad)?);
    Ok(Some(wait.min(most)))
}

/// A body that is written by somebody else, as fast as the client reads and not faster.
pub(crate) fn body(lines: mpsc::Receiver<Bytes>) -> Body {
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), lines))
    });
    Body::from_stream(lines)
}
