//! Calls of the API, each with when it was sent, how long it took and how it ended.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// 0: no whole answer.
    pub(crate) status: u16,
    pub(crate) good: bool,
}

impl Call {
    fn ended(&self) -> Instant {
        self.sent + self.took
    }
}

/// All of one kind.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<Vec<Call>>);

impl Calls {
    pub(crate) fn note(&self, sent: Instant, status: u16, good: bool) {
        let call = Call {
            sent,
            took: sent.elapsed(),
            status,
            good,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(call);
    }

    /// Those that ended after this moment, in the order of their ends.
    pub(crate) fn since(&self, since: Instant) -> Vec<Call> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut some: Vec<Call> = all.iter().copied().filter(|c| c.ended() >= since).collect();
        drop(all);
        some.sort_by_key(Call::ended);
        some
    }

    /// The longest time in which none went well, from this moment until now.
    pub(crate) fn gap(&self, since: Instant) -> Duration {
        let calls = self.since(since);
        let good = calls.iter().filter(|call| call.good).map(Call::ended);
        let ends: Vec<Instant> = std::iter::once(since)
            .chain(good)
            .chain(std::iter::once(Instant::now()))
            .collect();
        let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    /// From the first that failed to the last.
    pub(crate) fn failing(&self, since: Instant) -> Duration {
        let calls = self.since(since);
        let failed: Vec<&Call> = calls.iter().filter(|call| !call.good).collect();
        match (failed.first(), failed.last()) {
            (Some(first), Some(last)) => last.ended().saturating_duration_since(first.ended()),
            _ => Duration::ZERO,
        }
    }

    /// The share of them that failed, in percent.
    pub(crate) fn failed_percent(&self, since: Instant) -> f64 {
        let calls = self.since(since);
        let failed = calls.iter().filter(|call| !call.good).count();
        match calls.len() {
            0 => 0.0,
            all => failed as f64 * 100.0 / all as f64,
        }
    }

    /// Below which so many percent of the times lie of those that went well.
    pub(crate) fn percentile(&self, since: Instant, percent: usize) -> Duration {
        let mut times: Vec<Duration> = self
            .since(since)
            .iter()
            .filter(|call| call.good)
            .map(|call| call.took)
            .collect();
        times.sort_unstable();
        heddle_bench::report::percentile(&times, percent)
    }

    /// The longest that one took which was answered so.
    pub(crate) fn longest(&self, since: Instant, status: u16) -> Duration {
        let calls = self.since(since);
        let such = calls.iter().filter(|call| call.status == status);
        such.map(|call| call.took).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_failures_are_seen() {
        let calls = Calls::default();
        let start = Instant::now() - Duration::from_secs(20);
        let at = |sent: u64, status, good| Call {
            sent: start + Duration::from_secs(sent),
            took: Duration::from_secs(1),
            status,
            good,
        };
        *calls.0.lock().unwrap() = vec![
            at(0, 200, true),
            at(3, 503, false),
            at(7, 0, false),
            at(9, 201, true),
            at(18, 200, true),
        ];
        let since = start + Duration::from_secs(1);
        assert_eq!(calls.gap(since), Duration::from_secs(9));
        assert_eq!(calls.failing(since), Duration::from_secs(4));
        assert!((calls.failed_percent(since) - 40.0).abs() < 1e-9);
        assert_eq!(calls.longest(since, 503), Duration::from_secs(1));
        let later = start + Duration::from_secs(9);
        assert_eq!(calls.failing(later), Duration::ZERO);
    }
}
