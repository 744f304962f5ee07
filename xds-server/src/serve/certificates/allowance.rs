//! How many certificates a proxy may ask for: each costs a row that stays and a signature, and a proxy needs two in a lifetime (D03).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use heddle_model::id::ProxyId;

/// How many at once, and how long until there is another one: enough for a process that is started again and again.
const AT_ONCE: u32 = 10;
const EVERY: Duration = Duration::from_secs(2);
/// From how many on those are dropped that have waited long enough to have everything again.
const MANY: usize = 10_000;

/// What each proxy has left.
#[derive(Default)]
pub(super) struct Allowance(Mutex<Book>);

#[derive(Default)]
struct Book {
    /// The moment at which a proxy has everything again.
    full: BTreeMap<ProxyId, Instant>,
    /// How many were left when it was last cleared: it is cleared when there are twice as many, so that clearing costs nothing by the head.
    left: usize,
}

impl Allowance {
    /// Takes one, if there is one.
    pub(super) fn takes(&self, proxy: ProxyId) -> bool {
        self.takes_at(proxy, tokio::time::Instant::now().into_std())
    }

    fn takes_at(&self, proxy: ProxyId, now: Instant) -> bool {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if book.full.len() >= MANY.max(book.left * 2) {
            book.full.retain(|_, full| *full > now);
            book.left = book.full.len();
        }
        let full = book.full.entry(proxy).or_insert(now);
        let next = (*full).max(now) + EVERY;
        if next > now + EVERY * AT_ONCE {
            return false;
        }
        *full = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_d03_a_proxy_that_asks_all_the_time_is_held_back_and_no_other() {
        let allowance = Allowance::default();
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
        assert_eq!(allowance.0.lock().unwrap().full.len(), 1, "it is cleared");
    }
}
