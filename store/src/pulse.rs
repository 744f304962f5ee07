//! Whether the database answers, seen on a connection that does nothing else: one that holds its breath ends no statement of others
//! with an error, and whoever waits for one would wait for as long.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;

use crate::store::Store;

/// How the database was when it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It answers.
    Answers,
    /// It lets nobody in, or ends connections: calls fail by themselves, and soon.
    Refuses,
    /// It does not say anything: calls that are under way hang.
    Silent,
}

/// What was seen last; nothing was while nobody looks.
pub(crate) struct Seen {
    pulse: watch::Sender<Pulse>,
    /// When it was silent last.
    silent: Mutex<Option<Instant>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            pulse: watch::Sender::new(Pulse::Answers),
            silent: Mutex::default(),
        }
    }
}

impl Seen {
    fn see(&self, pulse: Pulse) {
        if pulse == Pulse::Silent {
            let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            *silent = Some(Instant::now());
        }
        self.pulse.send_replace(pulse);
    }

    /// Whether a connection of this age is from before a silence: the way that it took may be gone without a word, and then whoever
    /// used it would wait for as long as a machine tries to send.
    pub(crate) fn outlived(&self, age: Duration) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.is_some_and(|silent| silent.elapsed() < age)
    }
}

impl Store {
    /// How the database was when [`Store::feel`] last looked.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        *self.seen().pulse.borrow()
    }

    /// Returns when the database does not say anything.
    pub async fn silent(&self) {
        let mut seen = self.seen().pulse.subscribe();
        // The sender lives as long as the store.
        let _ = seen.wait_for(|pulse| *pulse == Pulse::Silent).await;
    }

    /// Looks for ever, so often that silence is known after the time that a call waits for a connection; `see` is told what was
    /// seen each time.
    pub async fn feel(&self, mut see: impl FnMut(Pulse)) {
        let wait = self.pool().options().get_acquire_timeout();
        let mut connection = None;
        loop {
            let answer = tokio::time::timeout(wait.mul_f64(0.7), self.beat(&mut connection));
            let pulse = match answer.await {
                Ok(Ok(())) => Pulse::Answers,
                Ok(Err(_)) => Pulse::Refuses,
                Err(_) => Pulse::Silent,
            };
            if pulse != Pulse::Answers {
                // What was asked on it may still be answered.
                connection = None;
            }
            self.seen().see(pulse);
            see(pulse);
            tokio::time::sleep(wait.mul_f64(0.1).min(LONGEST)).await;
        }
    }

    async fn beat(&self, connection: &mut Option<PgConnection>) -> Result<(), sqlx::Error> {
        let one = match connection {
            Some(one) => one,
            None => {
                let options = self.pool().connect_options();
                // Beside the pool, and told apart from it.
                let options = options.as_ref().clone().application_name("heddle-pulse");
                connection.insert(PgConnection::connect_with(&options).await?)
            }
        };
        one.ping().await
    }
}

/// Between two looks.
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_silence_is_not_used_again() {
        let seen = Seen::default();
        let (old, new) = (Duration::from_secs(3_600), Duration::ZERO);
        seen.see(Pulse::Refuses);
        assert!(!seen.outlived(old));
        seen.see(Pulse::Silent);
        seen.see(Pulse::Answers);
        assert!(seen.outlived(old) && !seen.outlived(new));
    }
}
