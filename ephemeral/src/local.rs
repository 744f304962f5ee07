//! Buckets of one process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::bucket::{Ask, Level};

/// How many buckets are remembered; then those that are whole are forgotten.
const REMEMBERED: usize = 100_000;

/// How many servers there are, as far as is known: whoever counts alone lets through its share only.
#[derive(Debug, Clone)]
pub struct Servers(Arc<AtomicU32>);

impl Default for Servers {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }
}

impl Servers {
    /// Notes how many there are, this one included.
    pub fn set(&self, number: u32) {
        self.0.store(number.max(1), Ordering::Relaxed);
    }

    pub(crate) fn number(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// When each bucket is whole again.
#[derive(Debug)]
pub(crate) struct Local {
    began: Instant,
    whole_at: Mutex<HashMap<String, u64>>,
    servers: Servers,
}

impl Local {
    pub(crate) fn new(servers: Servers) -> Self {
        Self {
            began: Instant::now(),
            whole_at: Mutex::default(),
            servers,
        }
    }

    pub(crate) fn take(&self, asks: &[Ask]) -> Vec<Level> {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let servers = self.servers.number();
        let mut all = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, whole_at| *whole_at > now);
        }
        if all.len() >= REMEMBERED {
            all.clear();
        }
        let levels = |taken: bool| -> Vec<Level> {
            let level = |ask: &Ask| {
                let debt = all.get(&ask.key).copied().unwrap_or_default();
                Level::of(ask.rate.shared(servers), debt.saturating_sub(now), taken)
            };
            asks.iter().map(level).collect()
        };
        let seen = levels(false);
        if seen.iter().any(|level| level.wait.is_some()) {
            return seen;
        }
        let taken = levels(true);
        for (ask, level) in asks.iter().zip(&taken) {
            let whole_in = u64::try_from(level.whole_in.as_micros()).unwrap_or(u64::MAX);
            all.insert(ask.key.clone(), now.saturating_add(whole_in));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bucket::Rate;

    fn ask(key: &str, per_second: u32, burst: u32) -> Ask {
        Ask {
            key: key.to_owned(),
            rate: Rate { per_second, burst },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn some_at_once_and_then_as_many_as_time_allows() {
        let local = Local::new(Servers::default());
        let mut taken = 0;
        // A thousand tries a second for ten seconds, where ten a second are allowed and five at once.
        for _ in 0..10_000 {
            let levels = local.take(&[ask("a", 10, 5)]);
            taken += u32::from(levels[0].wait.is_none());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(taken, 5 + 99);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_as_long_as_it_is_told_is_let_through() {
        let local = Local::new(Servers::default());
        for n in 0..100 {
            let wait = local.take(&[ask("a", 7, 1)])[0].wait;
            assert_eq!(wait.is_some(), n > 0, "{n}");
            tokio::time::advance(wait.unwrap_or_default()).await;
            if wait.is_some() {
                assert_eq!(local.take(&[ask("a", 7, 1)])[0].wait, None, "{n}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let local = Local::new(Servers::default());
        for n in 0..REMEMBERED + 10 {
            let _ = local.take(&[ask(&n.to_string(), 1, 1)]);
        }
        assert!(local.whole_at.lock().unwrap().len() <= REMEMBERED);
    }
}
