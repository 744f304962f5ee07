//! For a server that is alone, and for several in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use crate::fanout::{Fanout, Hints, LAG};
use crate::hint::Hint;

/// One of the servers of this process.
#[derive(Debug)]
pub struct InProcess {
    own: u64,
    all: Arc<All>,
}

#[derive(Debug)]
struct All {
    joined: AtomicU64,
    told: broadcast::Sender<(u64, Hint)>,
}

impl Default for InProcess {
    fn default() -> Self {
        let all = All {
            joined: AtomicU64::new(1),
            told: broadcast::channel(LAG).0,
        };
        Self {
            own: 0,
            all: Arc::new(all),
        }
    }
}

impl InProcess {
    /// Another server beside this one.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            own: self.all.joined.fetch_add(1, Ordering::Relaxed),
            all: Arc::clone(&self.all),
        }
    }
}

impl Fanout for InProcess {
    fn publish(&self, hint: Hint) {
        // Nobody listening is not an error.
        let _ = self.all.told.send((self.own, hint));
    }

    fn subscribe(&self) -> Hints {
        Hints::new(Some(self.own), self.all.told.subscribe())
    }
}
