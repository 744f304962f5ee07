//! How long a connection goes on: until it is old, its peer is gone or nobody who is known, or the server stops (X46, X47).

use std::time::{Duration, Instant};

use super::Options;

/// How long a connection that is told to go may take for its last words.
const GOODBYE: Duration = Duration::from_secs(10);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// To see whether something came since the last time.
    Look,
    /// To see whether anybody who is known has asked for something.
    Question,
    /// To tell the peer that this is the end.
    Part,
    /// To go without a word.
    Gone,
}

/// The times of one connection.
#[derive(Debug)]
pub(super) struct Life {
    every: Duration,
    wait: Duration,
    look: Instant,
    /// Until it is known whose it is.
    question: Option<Instant>,
    end: Instant,
    /// The peer was asked whether it is there.
    asked: bool,
    /// It was told that this is the end.
    parting: bool,
}

impl Life {
    pub(super) fn new(now: Instant, options: &Options, age: Duration) -> Self {
        Self {
            every: options.ping_every,
            wait: options.ping_wait,
            look: now + options.ping_every,
            question: Some(now + options.stranger_deadline),
            end: now + age,
            asked: false,
            parting: false,
        }
    }

    /// It ends then, if not before.
    pub(super) fn end_by(&mut self, at: Instant) {
        if !self.parting {
            self.end = self.end.min(at);
        }
    }

    /// When something is due.
    pub(super) fn next(&self) -> Instant {
        match self.parting {
            // Who does not read the goodbye is not waited for, whether it is there or not.
            true => self.end,
            false => self
                .question
                .into_iter()
                .fold(self.end.min(self.look), Instant::min),
        }
    }

    /// What is due now, if anything is.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        if self.end <= now {
            let last = std::mem::replace(&mut self.parting, true);
            self.end = now + GOODBYE;
            return Some(if last { Due::Gone } else { Due::Part });
        }
        if self.parting {
            return None;
        }
        if self.question.is_some_and(|at| at <= now) {
            return Some(Due::Question);
        }
        (self.look <= now).then_some(Due::Look)
    }

    /// It is somebody's who is known.
    pub(super) const fn known(&mut self) {
        self.question = None;
    }

    /// Something came since the last look, or nothing did. Returns whether the peer is to be asked; nothing when it was, and is gone.
    pub(super) fn looked(&mut self, now: Instant, heard: bool) -> Option<bool> {
        let asks = !heard;
        if asks && self.asked {
            return None;
        }
        self.asked = asks;
        self.look = now + if asks { self.wait } else { self.every };
        Some(asks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn life(now: Instant) -> Life {
        Life::new(now, &Options::default(), HOUR)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn who_says_nothing_is_asked_and_who_does_not_answer_is_gone() {
        let now = Instant::now();
        let mut life = life(now);
        life.known();
        assert_eq!((life.next(), life.due(now)), (now + seconds(30), None));
        let now = life.next();
        assert_eq!(life.due(now), Some(Due::Look));
        assert_eq!(life.looked(now, true), Some(false));
        let now = now + seconds(30);
        assert_eq!((life.next(), life.due(now)), (now, Some(Due::Look)));
        assert_eq!(life.looked(now, false), Some(true));
        // It answers.
        let now = now + seconds(10);
        assert_eq!((life.next(), life.due(now)), (now, Some(Due::Look)));
        assert_eq!(life.looked(now, true), Some(false));
        let now = now + seconds(30);
        assert_eq!(life.looked(now, false), Some(true));
        assert_eq!(life.looked(now + seconds(10), false), None);
    }

    #[test]
    fn an_old_connection_is_told_and_then_not_waited_for() {
        let now = Instant::now();
        let mut life = life(now);
        life.end_by(now + 2 * HOUR);
        life.end_by(now + seconds(5));
        assert_eq!(life.next(), now + seconds(5));
        let now = now + seconds(5);
        assert_eq!(life.due(now), Some(Due::Part));
        life.end_by(now);
        assert_eq!((life.next(), life.due(now)), (now + GOODBYE, None));
        assert_eq!(life.due(now + GOODBYE), Some(Due::Gone));
    }

    #[test]
    fn nobody_keeps_a_connection_for_long() {
        let now = Instant::now();
        let (mut stranger, mut known) = (life(now), life(now));
        let now = now + seconds(60);
        for life in [&mut stranger, &mut known] {
            life.looked(now, true);
            assert_eq!((life.next(), life.due(now)), (now, Some(Due::Question)));
        }
        stranger.end_by(now);
        assert_eq!((stranger.next(), stranger.due(now)), (now, Some(Due::Part)));
        known.known();
        assert_eq!((known.next(), known.due(now)), (now + seconds(30), None));
    }
}
