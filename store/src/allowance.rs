//! What somebody may do so often and no more: a number at once, then one at a time.
//!
//! Kept in memory by each process, like the guesses at passwords, and for the same reason. What differs is that nothing makes
//! up for a use but time: whoever may also be right, as often as they like, gets no further guesses for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// How many are remembered; then those who have all of their uses left are forgotten.
const REMEMBERED: usize = 10_000;

/// How often something may be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// So many at once.
    pub(crate) burst: i32,
    /// One more after each of these.
    pub(crate) every: TimeDelta,
}

/// The uses of a process: by whom, and when all of theirs are left again.
#[derive(Debug, Default)]
pub(crate) struct Allowance(Mutex<HashMap<String, DateTime<Utc>>>);

impl Allowance {
    /// Takes one use.
    ///
    /// # Errors
    /// For how long to wait.
    pub(crate) fn take(&self, who: &str, rate: Rate, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, whole| *whole > now);
        }
        if all.len() >= REMEMBERED {
            all.clear();
        }
        let whole = all.get(who).copied().unwrap_or(now).max(now);
        let over = whole + rate.every - (now + rate.every * rate.burst);
        if over > TimeDelta::zero() {
            return Err(over);
        }
        all.insert(who.to_owned(), whole + rate.every);
        Ok(())
    }

    /// Gives one use back: it was a good one.
    pub(crate) fn give_back(&self, who: &str, rate: Rate) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole) = all.get_mut(who) {
            *whole -= rate.every;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        every: TimeDelta::seconds(10),
    };

    #[test]
    fn sec_a10_some_at_once_and_then_one_at_a_time() {
        let allowance = Allowance::default();
        let start: DateTime<Utc> = "2026-05-01T12:00:00Z".parse().unwrap();
        for _ in 0..3 {
            assert_eq!(allowance.take("ada", RATE, start), Ok(()));
        }
        let wait = allowance.take("ada", RATE, start);
        assert_eq!(wait, Err(TimeDelta::seconds(10)));
        assert_eq!(allowance.take("bea", RATE, start), Ok(()));
        // Four a second for a minute and a half: as many as time allows, however many are tried.
        let mut taken = 0;
        for quarter in 1..=360 {
            let now = start + TimeDelta::milliseconds(250 * quarter);
            taken += i32::from(allowance.take("ada", RATE, now).is_ok());
        }
        assert_eq!(taken, 9);
        // What is given back can be taken again, and no more than that.
        let later = start + TimeDelta::minutes(10);
        for _ in 0..50 {
            assert_eq!(allowance.take("ada", RATE, later), Ok(()));
            allowance.give_back("ada", RATE);
        }
        for _ in 0..3 {
            assert_eq!(allowance.take("ada", RATE, later), Ok(()));
        }
        assert!(allowance.take("ada", RATE, later).is_err());
    }

    #[test]
    fn what_strangers_make_us_remember_is_bounded() {
        let allowance = Allowance::default();
        let now: DateTime<Utc> = "2026-05-01T12:00:00Z".parse().unwrap();
        for n in 0..3 * REMEMBERED {
            let _ = allowance.take(&n.to_string(), RATE, now);
        }
        assert!(allowance.0.lock().unwrap().len() <= REMEMBERED);
    }
}
