//! Times of many tasks at once: a fixed number of buckets, so that hours of them cost no memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each doubling; a time is known to within a sixteenth of itself.
const PARTS: usize = 16;
/// Doublings from a microsecond: up to an hour.
const DOUBLINGS: usize = 32;

/// A histogram of times, in microseconds.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Vec<AtomicU64>,
    count: AtomicU64,
    longest: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..PARTS * DOUBLINGS).map(|_| AtomicU64::new(0));
        Self {
            buckets: buckets.collect(),
            count: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        }
    }
}

fn bucket(micros: u64) -> usize {
    let parts = PARTS as u64;
    if micros < parts {
        return usize::try_from(micros).unwrap_or_default();
    }
    let shift = u64::from(micros.ilog2()) - u64::from(parts.ilog2());
    let within = (micros >> shift) - parts;
    let index = (shift + 1) * parts + within;
    usize::try_from(index)
        .unwrap_or(usize::MAX)
        .min(PARTS * DOUBLINGS - 1)
}

/// The longest time in a bucket.
fn upper(bucket: usize) -> Duration {
    let parts = PARTS as u64;
    let bucket = bucket as u64;
    let micros = if bucket < parts {
        bucket
    } else {
        let shift = bucket / parts - 1;
        ((bucket % parts + parts + 1) << shift) - 1
    };
    Duration::from_micros(micros)
}

impl Histogram {
    pub(crate) fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)].fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(micros, Ordering::Relaxed);
        // Last: who waits for a number of times finds them all.
        self.count.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The time below which `percent` of all lie, to within a sixteenth.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let longest = Duration::from_micros(self.longest.load(Ordering::Relaxed));
        let mut below = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            below += bucket.load(Ordering::Relaxed);
            if below >= rank {
                return upper(index).min(longest);
            }
        }
        longest
    }

    /// Forgets everything; nobody may be adding meanwhile.
    pub(crate) fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
        self.longest.store(0, Ordering::Relaxed);
        self.count.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_in_it_and_no_more() {
        for micros in (0..5_000).chain([1 << 20, (1 << 20) + 1, 3_599_999_999]) {
            let time = Duration::from_micros(micros);
            let upper = upper(bucket(micros));
            assert!(upper >= time, "{micros}: {upper:?}");
            assert!(upper <= time + time / 16, "{micros}: {upper:?}");
        }
    }

    #[test]
    fn percentiles_are_near_measured_values() {
        let histogram = Histogram::default();
        assert_eq!(histogram.percentile(99), Duration::ZERO);
        for millis in 1..=1_000 {
            histogram.add(Duration::from_millis(millis));
        }
        let near = |percent, millis: u64| {
            let time = Duration::from_millis(millis);
            let found = histogram.percentile(percent);
            assert!(found >= time && found <= time + time / 16, "{found:?}");
        };
        near(50, 500);
        near(99, 990);
        assert_eq!(histogram.percentile(100), Duration::from_secs(1));
        histogram.clear();
        assert_eq!(histogram.count(), 0);
    }
}
