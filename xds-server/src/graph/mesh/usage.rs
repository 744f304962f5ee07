//! What the proxies of a mesh use: responses, and the time that they are connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Mesh;
use crate::source::Used;

/// What nobody was told of yet.
pub(super) struct Usage {
    /// The responses that streams have sent.
    sent: Arc<AtomicU64>,
    /// How long proxies were connected, added up.
    connected: Duration,
    /// Until when that is added up.
    until: Instant,
}

impl Usage {
    pub(super) fn since(now: Instant) -> Self {
        Self {
            sent: Arc::default(),
            connected: Duration::ZERO,
            until: now,
        }
    }

    /// Where a stream counts its responses.
    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Takes what there is to tell. Whoever is connected now is taken to have been since it was told last; parts of a second wait.
    fn take(&mut self, connected: usize, now: Instant) -> Used {
        let elapsed = now.saturating_duration_since(self.until);
        self.until = now;
        self.connected += elapsed * u32::try_from(connected).unwrap_or(u32::MAX);
        let connected_seconds = self.connected.as_secs();
        self.connected -= Duration::from_secs(connected_seconds);
        Used {
            responses: self.sent.swap(0, Ordering::Relaxed),
            connected_seconds,
        }
    }
}

impl Mesh {
    pub(super) fn tell_usage(&mut self, now: Instant) {
        let used = self.usage.take(self.members.len(), now);
        if used != Used::default() {
            self.parts.source.used(self.key, used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_second_are_not_lost_and_nothing_is_told_twice() {
        let start = Instant::now();
        let mut usage = Usage::since(start);
        usage.sent().fetch_add(3, Ordering::Relaxed);
        let mut told = 0;
        for half in 1..=9 {
            let used = usage.take(3, start + Duration::from_millis(500) * half);
            assert_eq!(used.responses, if half == 1 { 3 } else { 0 });
            told += used.connected_seconds;
        }
        // Three for four seconds and a half.
        assert_eq!((told, usage.connected), (13, Duration::from_millis(500)));
        // Nobody is connected: time passes for nobody.
        assert_eq!(
            usage.take(0, start + Duration::from_secs(60)),
            Used::default()
        );
    }
}
