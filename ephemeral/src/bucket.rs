//! Token buckets: so many at once, and so many a second on average.

use std::time::Duration;

use async_trait::async_trait;

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many a second on average; at least one.
    pub per_second: u32,
    /// So many at once; at least one.
    pub burst: u32,
}

impl Rate {
    /// One takes this long to grow back, in microseconds.
    pub(crate) fn every(self) -> u64 {
        (1_000_000 / u64::from(self.per_second.max(1))).max(1)
    }

    /// An empty bucket is whole again after this, in microseconds.
    pub(crate) fn whole(self) -> u64 {
        self.every() * u64::from(self.burst.max(1))
    }

    /// What each of several has, when nobody can count for all of them: together at most one more each than this.
    #[must_use]
    pub fn shared(self, by: u32) -> Self {
        let share = |all: u32| all.div_ceil(by.max(1)).max(1);
        Self {
            per_second: share(self.per_second),
            burst: share(self.burst),
        }
    }
}

/// One bucket that something is to be taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which one: plain words without secrets, the same at every server.
    pub key: String,
    /// What it holds.
    pub rate: Rate,
}

/// How a bucket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// What is in force: less than was asked for where several servers count each for itself.
    pub rate: Rate,
    /// How many are left.
    pub remaining: u32,
    /// When it is whole again.
    pub whole_in: Duration,
    /// It was empty: there is one again after this. Nothing was taken then, from any bucket.
    pub wait: Option<Duration>,
}

impl Level {
    /// From the debt that there was, in microseconds, and whether something was taken.
    pub(crate) fn of(rate: Rate, debt: u64, taken: bool) -> Self {
        let (every, whole) = (rate.every(), rate.whole());
        let debt = debt.min(whole);
        let after = if taken { debt + every } else { debt };
        let left = whole.saturating_sub(after) / every;
        Self {
            rate,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            whole_in: Duration::from_micros(after),
            wait: (debt + every > whole).then(|| Duration::from_micros(debt + every - whole)),
        }
    }
}

/// Buckets that may be lost: then they are whole again.
#[async_trait]
pub trait Buckets: Send + Sync {
    /// Takes one from each bucket, or none from any when one of them is empty. Answers within a fraction of a second, whatever it takes
    /// to get at what other servers count; never fails, and never says yes to everything.
    async fn take(&self, asks: &[Ask]) -> Vec<Level>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 3,
    };

    #[test]
    fn a_level_follows_from_the_debt() {
        let ms = Duration::from_millis;
        let level = |debt, taken| {
            let level = Level::of(RATE, debt, taken);
            (level.remaining, level.whole_in, level.wait)
        };
        assert_eq!(level(0, true), (2, ms(100), None));
        assert_eq!(level(200_000, true), (0, ms(300), None));
        assert_eq!(level(200_000, false), (1, ms(200), None));
        assert_eq!(
            level(200_001, false),
            (
                0,
                Duration::from_micros(200_001),
                Some(Duration::from_micros(1))
            )
        );
        assert_eq!(level(300_000, false), (0, ms(300), Some(ms(100))));
        // A clock that was set back, or a bucket that held more before, locks nobody out.
        assert_eq!(level(u64::MAX, false), (0, ms(300), Some(ms(100))));
    }

    #[test]
    fn shares_add_up_to_the_whole_and_nobody_gets_nothing() {
        let all = Rate {
            per_second: 1000,
            burst: 10_000,
        };
        assert_eq!(all.shared(0), all);
        assert_eq!(all.shared(1), all);
        assert_eq!(
            all.shared(3),
            Rate {
                per_second: 334,
                burst: 3334
            }
        );
        assert_eq!(
            RATE.shared(100),
            Rate {
                per_second: 1,
                burst: 1
            }
        );
    }
}
