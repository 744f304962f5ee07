//! Two organisations, each with a mark in all that is its own: none may show where the other looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use memchr::memmem::Finder;

/// What one organisation may see, and must not.
pub(crate) struct Taint {
    own: Finder<'static>,
    foreign: Finder<'static>,
    seen: AtomicU64,
    leaks: Mutex<Vec<String>>,
}

impl Taint {
    pub(crate) fn new(own: &str, foreign: &str) -> Self {
        Self {
            own: Finder::new(own).into_owned(),
            foreign: Finder::new(foreign).into_owned(),
            seen: AtomicU64::new(0),
            leaks: Mutex::default(),
        }
    }

    /// Looks at something that the organisation was told.
    pub(crate) fn look(&self, told: &[u8], about: impl FnOnce() -> String) {
        if self.own.find(told).is_some() {
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
        if self.foreign.find(told).is_some() {
            let mut leaks = self.leaks.lock().unwrap_or_else(PoisonError::into_inner);
            leaks.push(about());
        }
    }

    /// How often it saw its own mark: what is looked for would be found.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Where the other one's mark was.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let leaks = self.leaks.lock().unwrap_or_else(PoisonError::into_inner);
        leaks.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_mark_is_found_anywhere() {
        let taint = Taint::new("mine", "theirs");
        taint.look(b"this is mine", || unreachable!());
        taint.look(b"\0\xfftheirs\0", || String::from("a message"));
        assert_eq!(
            (taint.seen(), taint.leaks()),
            (1, vec![String::from("a message")])
        );
    }
}
