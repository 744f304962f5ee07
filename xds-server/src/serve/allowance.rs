//! How often a proxy may do something that costs (D03).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use heddle_model::id::ProxyId;

/// From how many on those are dropped that have waited long enough to have everything again.
const MANY: usize = 10_000;

/// What each proxy has left.
pub(super) struct Allowance {
    /// How many at once.
    at_once: u32,
    /// How long until there is another one.
    every: Duration,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// The moment at which a proxy has everything again.
    full: BTreeMap<ProxyId, Instant>,
    /// How many were left when it was last cleared: it is cleared when there are twice as many, so that clearing costs nothing by the head.
    left: usize,
}

impl Allowance {
    pub(super) fn new(at_once: u32, every: Duration) -> Self {
        Self {
            at_once,
            every,
            book: Mutex::default(),
        }
    }

    /// Takes one, if there is one.
    pub(super) fn takes(&self, proxy: ProxyId) -> bool {
        self.takes_at(proxy, tokio::time::Instant::now().into_std())
    }

    fn takes_at(&self, proxy: ProxyId, now: Instant) -> bool {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.full.len() >= MANY.max(book.left * 2) {
            book.full.retain(|_, full| *full > now);
            book.left = book.full.len();
        }
        let full = book.full.entry(proxy).or_insert(now);
        let next = (*full).max(now) + self.every;
        if next > now + self.every * self.at_once {
            return false;
        }
        *full = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    #[test]
    fn sec_d03_a_proxy_that_asks_all_the_time_is_held_back_and_no_other() {
        let allowance = Allowance::new(10, EVERY);
        let proxy = |n| ProxyId::from_uuid(uuid::Uuid::from_u128(n));
        let start = tokio::time::Instant::now().into_std();
        let taken = (0..100).filter(|_| allowance.takes_at(proxy(1), start));
        assert_eq!(taken.count(), 10);
        assert!(allowance.takes_at(proxy(2), start));
        let later = start + EVERY;
        assert!(allowance.takes_at(proxy(1), later));
        assert!(!allowance.takes_at(proxy(1), later));
        for n in 0..20_000 {
            assert!(allowance.takes_at(proxy(n), start + EVERY * 20));
        }
        for n in 20_000..60_000 {
            assert!(allowance.takes_at(proxy(n), start + EVERY * 60));
        }
        assert!(allowance.takes_at(proxy(1), start + EVERY * 120));
        assert_eq!(
            allowance.book.lock().unwrap().full.len(),
            1,
            "it is cleared"
        );
    }
}
