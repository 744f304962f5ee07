//! Back-off for guesses: who fails often waits longer and longer, whether the account exists or not.
//!
//! Kept in memory by each process. What is lost in a restart is a few free guesses; a row for each guess would let
//! strangers fill the database.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

/// How many guesses are free.
const FREE: u32 = 5;
/// The longest wait, in seconds.
const LONGEST: i64 = 300;
/// After this long without a guess everything is forgotten.
const FORGET: TimeDelta = TimeDelta::minutes(30);
/// How many accounts are remembered; then those that are not waiting are forgotten.
const ACCOUNTS: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Guesses {
    failed: u32,
    last: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// The guesses of a process.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<[u8; 32], Guesses>>);

impl Throttle {
    /// Takes one guess at an account. It counts as failed from the start, so that many at once do not slip through.
    ///
    /// # Errors
    /// For how long to wait.
    pub(crate) fn begin(&self, account: &[&str], now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ACCOUNTS {
            all.retain(|_, guesses| guesses.until > now);
        }
        if all.len() >= ACCOUNTS {
            all.clear();
        }
        let guesses = all.entry(key(account)).or_insert(Guesses {
            failed: 0,
            last: now,
            until: now,
        });
        if now - guesses.last > FORGET {
            guesses.failed = 0;
        }
        if guesses.until > now {
            return Err(guesses.until - now);
        }
        guesses.failed = guesses.failed.saturating_add(1);
        guesses.last = now;
        if guesses.failed > FREE {
            let exponent = (guesses.failed - FREE).min(16);
            let wait = (1_i64 << exponent).min(LONGEST);
            guesses.until = now + TimeDelta::seconds(wait);
        }
        Ok(())
    }

    /// The guess was right.
    pub(crate) fn succeed(&self, account: &[&str]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&key(account));
    }
}

fn key(account: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in account {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_a10_guesses_become_slow_and_accounts_do_not_share() {
        let throttle = Throttle::default();
        let start: DateTime<Utc> = "2026-05-01T12:00:00Z".parse().unwrap();
        let mut now = start;
        let mut right = 0;
        // A guess every 60 ms: a thousand a minute, for ten minutes.
        while now - start < TimeDelta::minutes(10) {
            right += u32::from(throttle.begin(&["acme", "ada"], now).is_ok());
            now += TimeDelta::milliseconds(60);
        }
        assert!(right <= 16, "{right} guesses in ten minutes");
        assert!(throttle.begin(&["acme", "bea"], now).is_ok());
        assert!(throttle.begin(&["acmea", "da"], now).is_ok());
        now += TimeDelta::minutes(31);
        for _ in 0..FREE {
            assert!(throttle.begin(&["acme", "ada"], now).is_ok());
        }
        throttle.succeed(&["acme", "ada"]);
        assert!(throttle.begin(&["acme", "ada"], now).is_ok());
    }

    #[test]
    fn what_strangers_make_us_remember_is_bounded() {
        let throttle = Throttle::default();
        let now: DateTime<Utc> = "2026-05-01T12:00:00Z".parse().unwrap();
        for n in 0..3 * ACCOUNTS {
            let _ = throttle.begin(&["acme", &n.to_string()], now);
        }
        assert!(throttle.0.lock().unwrap().len() <= ACCOUNTS);
    }
}
