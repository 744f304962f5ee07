//! Whose a join token is, by its digest: asked of the database once, because it never changes.
//!
//! Nothing here lets anybody in. Whether a token is revoked, expired or used up is read in the transaction that binds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Held;

/// How many are kept; then all are dropped and asked for anew.
const MOST: usize = 50_000;

/// By the digest of the token.
#[derive(Debug, Default)]
pub(super) struct Holders(Mutex<HashMap<Vec<u8>, Known>>);

#[derive(Debug)]
struct Known {
    held: Arc<Held>,
    /// When it was last found to be good.
    good_at: Option<Instant>,
}

impl Holders {
    pub(super) fn get(&self, digest: &[u8]) -> Option<Arc<Held>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(digest).map(|known| known.held.clone())
    }

    pub(super) fn put(&self, digest: Vec<u8>, held: Arc<Held>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        let good_at = None;
        all.entry(digest).or_insert(Known { held, good_at });
    }

    /// Whether it was found to be good within this time.
    pub(super) fn was_good(&self, digest: &[u8], within: Duration) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let good_at = all.get(digest).and_then(|known| known.good_at);
        good_at.is_some_and(|at| at.elapsed() < within)
    }

    pub(super) fn is_good(&self, digest: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(digest) {
            known.good_at = Some(Instant::now());
        }
    }
}
