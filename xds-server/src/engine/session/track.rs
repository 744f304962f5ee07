//! What a session knows of one type: the subscription, what the client has, what it is owed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::super::resource::Resource;
use super::super::view::NameSet;
use super::known::{Holdings, Known};
use super::sotw::Whole;
use super::{Kept, Rejection};

/// The response that is not answered yet; at most one for each type (X34).
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) nonce: String,
    pub(super) resources: Vec<Arc<Resource>>,
    pub(super) removed: Vec<Arc<str>>,
    pub(super) sent: Instant,
    /// The epoch that the client is at once it accepts this, when nothing else of the type was waiting.
    pub(super) covers: Option<u64>,
    /// Only takes away what nothing uses any more.
    pub(super) cleanup: bool,
}

/// Whether the client has some version of every name there is: found out once for the same names and the same holdings.
#[derive(Debug)]
pub(super) struct Complete {
    /// The names of both layers of the view.
    pub(super) names: [NameSet; 2],
    /// [`Holdings::turns`].
    pub(super) turns: u64,
    pub(super) holds: bool,
}

/// A removal that waits until nothing routes there any more (X33).
#[derive(Debug)]
pub(super) struct HeldRemoval {
    /// The epoch in which the name went away.
    pub(super) epoch: u64,
    /// When to send it; set once listeners and routes of that epoch are acknowledged.
    pub(super) due: Option<Instant>,
}

/// The state of one type on one stream.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) requested: bool,
    pub(super) wildcard: bool,
    pub(super) names: BTreeSet<Arc<str>>,
    pub(super) known: Holdings,
    /// Whether the client has everything, as it was found out last.
    pub(super) complete: Option<Complete>,
    /// Names that get an answer whatever the client has (X18, X20, X21, X31).
    pub(super) owed: BTreeSet<Arc<str>>,
    /// Names to be owed as soon as the client asks for this type at all (X31).
    pub(super) awaited: BTreeSet<Arc<str>>,
    /// Names for which the client may be behind.
    pub(super) dirty: BTreeSet<Arc<str>>,
    /// A response is due even if it is empty (X28).
    pub(super) answer: bool,
    pub(super) in_flight: Option<InFlight>,
    /// Parts of a refused response, each to be sent alone to find the offender (X13).
    pub(super) probation: VecDeque<Vec<Arc<Resource>>>,
    pub(super) quarantine: BTreeMap<Arc<str>, Rejection>,
    pub(super) held: BTreeMap<Arc<str>, HeldRemoval>,
    /// Since when a name waits for clusters (X32).
    pub(super) blocked: BTreeMap<Arc<str>, Instant>,
    /// The newest epoch of which the client has everything.
    pub(super) clean_epoch: u64,
    /// The newest revision of which the client has everything of this type.
    pub(super) synced: Option<u64>,
    /// When the oldest change in `dirty` was published.
    pub(super) changed_at: Option<Instant>,
    /// Only in the state-of-the-world protocol.
    pub(super) whole: Option<Box<Whole>>,
}

impl Track {
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// The client has dropped this name and is told nothing of it any more.
    pub(super) fn forget(&mut self, name: &str) {
        self.known.remove(name);
        self.owed.remove(name);
        self.dirty.remove(name);
        self.held.remove(name);
        self.blocked.remove(name);
        self.quarantine.remove(name);
        if let Some(whole) = &mut self.whole {
            whole.holds.remove(name);
        }
    }

    /// The client is not told that this name is gone, and what it has of it is of no interest any more.
    pub(super) fn forget_content(&mut self, name: &str) {
        self.known.remove(name);
        if let Some(whole) = &mut self.whole {
            whole.holds.remove(name);
        }
    }

    /// Forgets every name that is not subscribed to.
    pub(super) fn forget_uncovered(&mut self) {
        let gone: Vec<_> = [
            self.known.names().cloned().collect::<Vec<_>>(),
            self.owed.iter().cloned().collect(),
            self.dirty.iter().cloned().collect(),
            self.quarantine.keys().cloned().collect(),
        ]
        .concat();
        for name in gone {
            if !self.covers(&name) {
                self.forget(&name);
            }
        }
    }

    /// A set that was emptied keeps room for its next entries. Thousands of idle streams have no use for that.
    pub(super) fn give_back_room(&mut self) {
        for set in [&mut self.owed, &mut self.dirty] {
            if set.is_empty() {
                *set = BTreeSet::new();
            }
        }
        if self.blocked.is_empty() {
            self.blocked = BTreeMap::new();
        }
    }

    pub(super) fn is_quarantined(&self, name: &str, version: Option<&Arc<str>>) -> bool {
        self.quarantine
            .get(name)
            .is_some_and(|rejection| rejection.version.as_ref() == version)
    }

    pub(super) fn on_probation(&self, resource: &Resource) -> bool {
        self.probation
            .iter()
            .flatten()
            .any(|r| r.name == resource.name && r.version == resource.version)
    }

    /// Something of the current view is not acknowledged.
    pub(super) fn is_pending(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|f| !f.cleanup)
            || !self.dirty.is_empty()
            || !self.owed.is_empty()
            || !self.probation.is_empty()
            || !self.quarantine.is_empty()
            || self.answer
            || self.whole.as_ref().is_some_and(|w| w.claimed.is_some())
    }

    /// Whether a response can only hold everything.
    pub(super) fn is_full(&self) -> bool {
        self.whole.as_ref().is_some_and(|whole| whole.full)
    }

    /// Whether what went away can only be left out of a response that says it is not everything: that is, not at all.
    pub(super) fn leaves_out_silently(&self) -> bool {
        self.whole.as_ref().is_some_and(|whole| !whole.full)
    }

    /// Whether the client has a set that is not known here.
    pub(super) fn is_foreign(&self) -> bool {
        self.whole.as_ref().is_some_and(|w| w.is_foreign())
    }

    /// Notes that the client accepted the response in flight.
    pub(super) fn accept(&mut self, response: &InFlight) {
        for resource in &response.resources {
            if self.covers(&resource.name) {
                if self.is_quarantined(&resource.name, Some(&resource.version)) {
                    // It was refused for something else in the same response.
                    self.quarantine.remove(&resource.name);
                }
                let known = Known::Proven(resource.version.clone());
                let before = self.known.insert(resource.name.clone(), known);
                if before.is_none() {
                    // It may have been forgotten while it was under way, unsubscribed and subscribed to again, and be gone
                    // from the view meanwhile: looked at once more.
                    self.dirty.insert(resource.name.clone());
                }
            }
        }
        if let Some(epoch) = response.covers {
            self.clean_epoch = self.clean_epoch.max(epoch);
        }
    }

    /// Notes that the client refused the response in flight, and splits it to find the offender.
    pub(super) fn refuse(&mut self, response: &InFlight, message: &str) {
        let words: Arc<str> = message.into();
        if self.is_foreign() {
            self.refuse_foreign(&response.resources, &words);
            return;
        }
        for resource in &response.resources {
            if self.covers(&resource.name) {
                let holds = self.known.holds(&resource.name);
                let known = Known::Unproven { holds };
                self.known.insert(resource.name.clone(), known);
            }
        }
        let only_removals = response.resources.is_empty();
        for name in response
            .removed
            .iter()
            .filter(|name| self.wildcard || self.names.contains(*name))
        {
            self.known
                .insert(name.clone(), Known::Unproven { holds: false });
            self.dirty.insert(name.clone());
            if only_removals {
                let rejection = Rejection {
                    version: None,
                    resource: None,
                    message: words.clone(),
                    kept: Kept::Unknown,
                };
                self.quarantine.insert(name.clone(), rejection);
            }
        }
        match response.resources.as_slice() {
            [] => {}
            [offender] => {
                if self.covers(&offender.name) {
                    let whole = self.whole.as_ref();
                    let rejection = Rejection {
                        version: Some(offender.version.clone()),
                        resource: Some(offender.clone()),
                        message: words.clone(),
                        kept: whole.map_or(Kept::Unknown, |w| w.kept(&offender.name)),
                    };
                    self.quarantine.insert(offender.name.clone(), rejection);
                }
            }
            several => {
                for part in split(several, message) {
                    self.probation.push_front(part);
                }
            }
        }
    }
}

/// Whether a message has this name in it, and not only as a part of a longer one.
pub(super) fn mentions(message: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/');
    message.match_indices(name).any(|(at, _)| {
        let before = message[..at].chars().next_back();
        let after = message[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Two parts of a refused response. Envoy names most offenders in its message: those go apart from the rest. The
/// message is only a hint, because each part still has to be accepted.
fn split(resources: &[Arc<Resource>], message: &str) -> [Vec<Arc<Resource>>; 2] {
    let (named, rest): (Vec<_>, Vec<_>) = resources
        .iter()
        .cloned()
        .partition(|resource| mentions(message, &resource.name));
    if named.is_empty() || rest.is_empty() {
        let (left, right) = resources.split_at(resources.len() / 2);
        [right.to_vec(), left.to_vec()]
    } else {
        [named, rest]
    }
}
