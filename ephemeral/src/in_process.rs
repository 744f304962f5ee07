//! For a server that is alone, and for several in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::bucket::{Ask, Buckets, Level};
use crate::fanout::{Fanout, Hints, LAG};
use crate::hint::Hint;
use crate::local::{Local, Servers};

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
    buckets: Local,
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new(Servers::default())
    }
}

impl InProcess {
    /// For a server that counts alone. When there are more than this process knows how to ask, each lets through its share.
    #[must_use]
    pub fn new(servers: Servers) -> Self {
        let all = All {
            joined: AtomicU64::new(1),
            told: broadcast::channel(LAG).0,
            buckets: Local::new(servers),
        };
        Self {
            own: 0,
            all: Arc::new(all),
        }
    }

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

#[async_trait]
impl Buckets for InProcess {
    async fn take(&self, asks: &[Ask]) -> Vec<Level> {
        self.all.buckets.take(asks)
    }
}
