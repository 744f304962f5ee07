//! One question at a time to a whole fleet: when did each proxy receive the change that was just made?

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::wire::Kind;

/// Measures from one moment to the first response of a type with content, proxy by proxy.
#[derive(Debug)]
pub(crate) struct Probe {
    base: Instant,
    /// Number of the question in the upper bits, type in the lowest three; 0 while nothing is asked.
    question: AtomicU64,
    started: AtomicU64,
    received: AtomicUsize,
    receipts: Mutex<Vec<Duration>>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            base: Instant::now(),
            question: AtomicU64::new(0),
            started: AtomicU64::new(0),
            received: AtomicUsize::new(0),
            receipts: Mutex::default(),
        }
    }
}

impl Probe {
    fn nanos(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// From now on, first responses of this type count.
    pub(crate) fn ask(&self, kind: Kind) {
        self.receipts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clear();
        self.received.store(0, Ordering::SeqCst);
        self.started.store(self.nanos(), Ordering::SeqCst);
        let number = (self.question.load(Ordering::SeqCst) >> 4) + 1;
        self.question
            .store((number << 4) | 8 | kind as u64, Ordering::SeqCst);
    }

    /// Moves the beginning to now: for what could not be known before.
    pub(crate) fn restart(&self) {
        self.started.store(self.nanos(), Ordering::SeqCst);
    }

    /// A proxy received something; `answered` is what it last answered.
    pub(crate) fn heard(&self, kind: Kind, answered: &mut u64) {
        let question = self.question.load(Ordering::Relaxed);
        if question & 8 == 0 || question & 7 != kind as u64 || *answered == question {
            return;
        }
        *answered = question;
        let after = self
            .nanos()
            .saturating_sub(self.started.load(Ordering::SeqCst));
        self.receipts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(Duration::from_nanos(after));
        self.received.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn count(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }

    /// Ends the question: all receipts, shortest first.
    pub(crate) fn end(&self) -> Vec<Duration> {
        self.question.fetch_and(!8, Ordering::SeqCst);
        let mut receipts = std::mem::take(
            &mut *self
                .receipts
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        receipts.sort_unstable();
        receipts
    }
}
