//! One server tells the others that there is a reason to look at the database.

use tokio::sync::broadcast;

use crate::hint::Hint;

/// How many hints a slow listener may lag behind before it is told that it missed some.
pub(crate) const LAG: usize = 1024;

/// Hints from server to server. They may be lost, come twice, late or in another order, and be made up by somebody else.
pub trait Fanout: Send + Sync {
    /// Tells the other servers, as far as they can be reached. Never waits and never fails.
    fn publish(&self, hint: Hint);

    /// Listens for what other servers tell from now on; what is published here is not among it.
    fn subscribe(&self) -> Hints;
}

/// What a listener is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// By another server.
    Hint(Hint),
    /// It lagged behind, and what it missed is not known.
    Missed,
}

/// A listener. Ids of participants tell its own hints from those of others.
#[derive(Debug)]
pub struct Hints {
    own: Option<u64>,
    receiver: broadcast::Receiver<(u64, Hint)>,
}

impl Hints {
    pub(crate) fn new(own: Option<u64>, receiver: broadcast::Receiver<(u64, Hint)>) -> Self {
        Self { own, receiver }
    }

    /// The next one. Never returns when nobody can tell anything any more. Whoever drops the wait loses nothing.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.receiver.recv().await {
                Ok((from, _)) if Some(from) == self.own => {}
                Ok((_, hint)) => return Heard::Hint(hint),
                Err(broadcast::error::RecvError::Lagged(_)) => return Heard::Missed,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
