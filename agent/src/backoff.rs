//! Pauses between attempts: doubling, up to a bound that depends on how much time there is, and never in step with others.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// How often something failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    /// How long to wait now. `life` is how long a certificate lives: of a short one no large part may be waited.
    pub(crate) fn next(&mut self, life: Duration) -> Duration {
        let pause = FIRST * 2_u32.saturating_pow(self.0.min(10));
        self.0 += 1;
        let longest = (life / 20).clamp(FIRST, LONGEST);
        pause.min(longest).mul_f64(0.5 + jitter())
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }
}

/// From 0 to 1.
fn jitter() -> f64 {
    let mut bytes = [0; 2];
    // Without randomness everybody waits the same time.
    let _drawn = SystemRandom::new().fill(&mut bytes);
    f64::from(u16::from_be_bytes(bytes)) / 65_536.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let mut backoff = Backoff::default();
        let day = Duration::from_secs(86_400);
        let pauses: Vec<Duration> = (0..100).map(|_| backoff.next(day)).collect();
        assert!(pauses[0] < Duration::from_millis(751));
        assert!(pauses.iter().all(|pause| *pause < LONGEST * 3 / 2));
        let last = &pauses[50..];
        assert!(last.iter().all(|pause| *pause >= LONGEST / 2));
        assert!(last.iter().any(|pause| *pause != last[0]));
        let short = Duration::from_secs(20);
        assert!(backoff.next(short) <= Duration::from_millis(1_500));
        backoff.reset();
        assert!(backoff.next(day) < Duration::from_millis(751));
    }
}
