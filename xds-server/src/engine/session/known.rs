//! What a client has, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What the client has of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// It acknowledged this version, or came back with it.
    Proven(Arc<str>),
    /// It refused a response with this name: it may have applied it or not (X12).
    Unproven {
        /// Whether it had an earlier version and so has some version.
        holds: bool,
    },
}

impl Known {
    pub(super) const fn holds(&self) -> bool {
        match self {
            Self::Proven(_) => true,
            Self::Unproven { holds } => *holds,
        }
    }
}

/// What the client has of one type.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    map: BTreeMap<Arc<str>, Known>,
    /// Counts whenever some name begins or ceases to be held: a newer version of what was held anyway is no such turn.
    turns: u64,
}

impl Holdings {
    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        self.map.get(name)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        self.get(name).is_some_and(Known::holds)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.map.keys()
    }

    pub(super) const fn turns(&self) -> u64 {
        self.turns
    }

    pub(super) fn insert(&mut self, name: Arc<str>, known: Known) -> Option<Known> {
        let holds = known.holds();
        let before = self.map.insert(name, known);
        let held = before.as_ref().is_some_and(Known::holds);
        self.turns += u64::from(held != holds);
        before
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Known> {
        let before = self.map.remove(name);
        self.turns += u64::from(before.as_ref().is_some_and(Known::holds));
        before
    }
}
