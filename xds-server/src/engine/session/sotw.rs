//! The state-of-the-world protocol: the same engine, spoken in whole states.
//!
//! A client names everything that it wants in every message, and says what it has in one version for all of it. That
//! version is a digest of the names and versions of the set, so any replica recognises it. What a stream sends is
//! decided as in the incremental protocol; here stands what differs: how a request is understood, and that a response
//! of clusters or listeners is what the client has *and* what changes, because what it leaves out is deleted (X24).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::kind::Kind;
use super::super::resource::Resource;
use super::known::Known;
use super::subscriber::{Desired, Session};
use super::track::{Track, mentions};
use super::{CloseReason, Event, Kept, Rejection, StateRequest};

/// What a state-of-the-world stream knows of one type beyond what an incremental one does.
#[derive(Debug)]
pub(super) struct Whole {
    /// Responses hold the whole set.
    pub(super) full: bool,
    /// What the client has, as it was sent. Not its own resources: they hold keys.
    pub(super) holds: BTreeMap<Arc<str>, Arc<Resource>>,
    /// The version of an earlier stream that has not been compared yet.
    pub(super) claimed: Option<String>,
    /// The client has a set of an earlier stream that is not known here. What would be left out of a response might be
    /// in use, so nothing is, until a whole set is acknowledged.
    pub(super) foreign: bool,
    /// It has named something, so that an empty list means nothing any more (X17).
    explicit: bool,
    /// The nonce of the latest response.
    pub(super) nonce: String,
}

impl Whole {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            full: kind.comes_whole(),
            holds: BTreeMap::new(),
            claimed: None,
            foreign: false,
            explicit: false,
            nonce: String::new(),
        }
    }

    pub(super) const fn is_foreign(&self) -> bool {
        self.full && self.foreign
    }

    /// What the client goes on with while it refuses a version of this name.
    pub(super) fn kept(&self, name: &str) -> Kept {
        match self.holds.get(name) {
            _ if !self.full || self.foreign => Kept::Unknown,
            Some(resource) => Kept::This(resource.clone()),
            None => Kept::Nothing,
        }
    }
}

/// The version of a set: equal for equal sets, whatever their order. The versions of the subscriber's own resources
/// follow, because no other replica could guess them.
fn version<'a>(
    resources: impl Iterator<Item = &'a Arc<Resource>>,
    own: impl Iterator<Item = Arc<str>>,
) -> String {
    let sum = resources.fold(0_u128, |sum, r| sum.wrapping_add(r.digest));
    let mut text = format!("{sum:032x}");
    for version in own {
        text.push('/');
        text.push_str(&version);
    }
    text
}

impl Session {
    /// Takes a message of the state-of-the-world protocol in.
    ///
    /// # Errors
    /// The client asks for more than it may: close the stream.
    pub fn on_state_request(&mut self, request: &StateRequest) -> Result<Vec<Event>, CloseReason> {
        let mut texts = request.names.iter().chain([&request.version]);
        if request.names.len() > self.limits.names_per_request {
            return Err(CloseReason::TooManyNames);
        }
        if texts.any(|text| text.len() > self.limits.name_len) {
            return Err(CloseReason::NameTooLong);
        }
        let mut events = Vec::new();
        let Some(kind) = self.served(&request.type_url) else {
            events.push(Event::UnknownType(request.type_url.clone()));
            return Ok(events);
        };
        let error = request.error.as_deref();
        let track = self.track_mut(kind);
        let first = !std::mem::replace(&mut track.requested, true);
        let latest = track.whole.as_ref().map_or("", |whole| &whole.nonce);
        let stale = !first && !request.nonce.is_empty() && request.nonce != latest;
        // While a response is under way, what a stale request names counts and is not answered before the ACK (X08).
        // Without one, it is about something long settled.
        if stale && track.in_flight.is_none() {
            return Ok(events);
        }
        self.on_answer(kind, &request.nonce, error, &mut events);
        if first {
            self.claim(kind, request);
        }
        self.on_names(kind, &request.names, first);
        if self.track(kind).names.len() > self.limits.names_per_type {
            return Err(CloseReason::TooManyNames);
        }
        self.want_own(kind, &mut events);
        self.track_mut(kind).awaited.clear();
        Ok(events)
    }

    /// Notes which version the client says it has. Compared when it is first to be sent something: by then there is
    /// a view.
    fn claim(&mut self, kind: Kind, request: &StateRequest) {
        let own: Vec<_> = self.own_names(kind).cloned().collect();
        let track = self.track_mut(kind);
        // A client that has nothing of this type has forgotten what it refused before.
        if request.version.is_empty() {
            track.quarantine.clear();
        }
        let mut parts = request.version.split('/');
        let shared = parts.next().unwrap_or_default();
        for (name, version) in own.iter().zip(parts) {
            if !version.is_empty() && request.names.iter().any(|n| **n == **name || n == "*") {
                let known = Known::Proven(version.into());
                track.known.insert(name.clone(), known);
            }
        }
        let awaited = std::mem::take(&mut track.awaited);
        let named = |name: &Arc<str>| request.names.iter().any(|n| **n == **name);
        track.owed.extend(awaited.into_iter().filter(named));
        let whole = track.whole.get_or_insert_with(|| Whole::new(kind).into());
        whole.claimed = Some(shared.to_owned());
    }

    /// Makes the subscription what the client says it is.
    fn on_names(&mut self, kind: Kind, names: &[String], first: bool) {
        let track = self.track_mut(kind);
        let Some(whole) = &mut track.whole else {
            return;
        };
        let legacy = names.is_empty() && kind.has_legacy_wildcard() && !whole.explicit;
        whole.explicit |= !names.is_empty();
        let wildcard = legacy || names.iter().any(|name| name == "*");
        let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let dropped = track.names.iter().filter(|name| !wanted.contains(&***name));
        let dropped: Vec<Arc<str>> = dropped.cloned().collect();
        let loses = !dropped.is_empty() || (track.wildcard && !wildcard);
        for name in &dropped {
            track.names.remove(name);
        }
        let gains = wildcard && !track.wildcard;
        track.wildcard = wildcard;
        if loses {
            if whole.claimed.as_ref().is_some_and(|c| !c.is_empty()) {
                // What it had of these is gone, so it does not have that set any more.
                whole.claimed = Some("-".to_owned());
            }
            let refused = track.quarantine.len();
            track.forget_uncovered();
            // The whole was refused for something that it does not ask for any more.
            track.answer |= track.is_foreign() && track.quarantine.len() < refused;
        }
        for name in wanted {
            if name == "*" || track.names.contains(name) {
                continue;
            }
            let name: Arc<str> = name.into();
            if !first && !wildcard {
                track.quarantine.remove(&name);
                track.owed.insert(name.clone());
            }
            track.names.insert(name);
        }
        if gains && !first {
            track.answer = kind.comes_whole();
            let all = self.all_names(kind);
            self.track_mut(kind).dirty.extend(all);
        }
    }

    /// Compares the version that the client came back with to that of what it should have: if they are equal, it has
    /// all of that (X26). Any replica comes to the same result (X27).
    pub(super) fn recognise(&mut self, kind: Kind) {
        let track = self.track_mut(kind);
        let claimed = track.whole.as_mut().and_then(|whole| whole.claimed.take());
        let Some(claimed) = claimed else {
            return;
        };
        let set = self.target(kind);
        if !claimed.is_empty() && claimed == version(set.iter(), std::iter::empty()) {
            let track = self.track_mut(kind);
            for resource in &set {
                let version = Known::Proven(resource.version.clone());
                track.known.insert(resource.name.clone(), version);
                if track.is_quarantined(&resource.name, Some(&resource.version)) {
                    track.quarantine.remove(&resource.name);
                }
            }
            track.dirty.extend(track.quarantine.keys().cloned());
            if let Some(whole) = &mut track.whole {
                whole.holds = set.into_iter().map(|r| (r.name.clone(), r)).collect();
            }
            return;
        }
        let all = self.covered(kind);
        let track = self.track_mut(kind);
        let wildcard = track.wildcard;
        track.dirty.extend(all);
        let Some(whole) = &mut track.whole else {
            return;
        };
        whole.foreign = !claimed.is_empty();
        track.answer = whole.full && (wildcard || whole.foreign);
    }

    /// The names of a type that exist and are subscribed to.
    fn covered(&self, kind: Kind) -> Vec<Arc<str>> {
        let track = self.track(kind);
        let all = match track.wildcard {
            true => self.all_names(kind).into_iter().collect(),
            false => track.names.clone(),
        };
        all.into_iter().collect()
    }

    /// What the client has once it has everything: what it should have, without what it refuses.
    fn target(&self, kind: Kind) -> Vec<Arc<Resource>> {
        let track = self.track(kind);
        let mut set = Vec::new();
        for name in self.covered(kind) {
            if self.own_state(kind, &name).is_some() {
                continue;
            }
            if let Desired::This(resource) = self.desired(kind, &name) {
                let refused = track.quarantine.get(&name);
                let refused = refused.filter(|r| r.version.as_ref() == Some(&resource.version));
                match refused.map(|rejection| &rejection.kept) {
                    None | Some(Kept::Unknown) => set.push(resource),
                    Some(Kept::This(kept)) => set.push(kept.clone()),
                    Some(Kept::Nothing) => {}
                }
            }
        }
        set
    }

    /// What a response holds that changes this, and what counts as changed by it.
    pub(super) fn compose(
        &self,
        kind: Kind,
        changed: Vec<Arc<Resource>>,
        removed: &[Arc<str>],
    ) -> Composed {
        let Some(whole) = &self.track(kind).whole else {
            return Composed {
                resources: changed.clone(),
                changed,
                version: String::new(),
            };
        };
        if whole.is_foreign() {
            let set = self.target(kind);
            let version = version(set.iter(), std::iter::empty());
            return Composed {
                changed: set.clone(),
                resources: set,
                version,
            };
        }
        let mut set = whole.holds.clone();
        for resource in &changed {
            set.insert(resource.name.clone(), resource.clone());
        }
        for name in removed {
            set.remove(name);
        }
        let is_own = |name: &Arc<str>| self.own_state(kind, name).is_some();
        let shared = set.values().filter(|resource| !is_own(&resource.name));
        let version = version(shared, self.own_versions(kind, &changed));
        let resources = match whole.full {
            true => set.into_values().collect(),
            false => changed.clone(),
        };
        Composed {
            resources,
            changed,
            version,
        }
    }

    /// The versions of the subscriber's own resources that the client has after a response; empty for none.
    fn own_versions<'a>(
        &'a self,
        kind: Kind,
        changed: &'a [Arc<Resource>],
    ) -> impl Iterator<Item = Arc<str>> + 'a {
        let track = self.track(kind);
        self.own_names(kind).map(move |name| {
            let sent = changed.iter().find(|resource| resource.name == *name);
            match (sent, track.known.get(name)) {
                (Some(resource), _) => resource.version.clone(),
                (None, Some(Known::Proven(version))) => version.clone(),
                (None, _) => Arc::from(""),
            }
        })
    }

    fn own_names(&self, kind: Kind) -> impl Iterator<Item = &Arc<str>> {
        let of_kind = move |key: &&(Kind, Arc<str>)| key.0 == kind;
        self.own.keys().filter(of_kind).map(|(_, name)| name)
    }

    /// Remembers what the client has accepted.
    pub(super) fn hold(&mut self, kind: Kind, changed: &[Arc<Resource>], removed: &[Arc<str>]) {
        let own = &self.own;
        let track = &mut self.tracks[kind.index()];
        let (wildcard, names) = (track.wildcard, &track.names);
        let Some(whole) = &mut track.whole else {
            return;
        };
        whole.foreign = false;
        for resource in changed {
            let covered = wildcard || names.contains(&resource.name);
            if covered && !own.contains_key(&(kind, resource.name.clone())) {
                whole.holds.insert(resource.name.clone(), resource.clone());
            }
        }
        for name in removed {
            whole.holds.remove(name);
        }
    }
}

/// A response and its bookkeeping.
pub(super) struct Composed {
    /// What is written.
    pub(super) resources: Vec<Arc<Resource>>,
    /// Those of it that the client did not have like that.
    pub(super) changed: Vec<Arc<Resource>>,
    /// The version of what the client has afterwards; empty in the incremental protocol.
    pub(super) version: String,
}

impl Track {
    /// Notes a refusal by a client that may have something else of everything that was in the response. Which part is
    /// good cannot be found out by leaving parts out, because that would delete what it has. Those that its message
    /// names are refused, or all; none is sent before something changes.
    pub(super) fn refuse_foreign(&mut self, resources: &[Arc<Resource>], words: &Arc<str>) {
        let named: Vec<_> = resources
            .iter()
            .filter(|r| mentions(words, &r.name))
            .collect();
        let refused = if named.is_empty() {
            resources.iter().collect()
        } else {
            named
        };
        for resource in resources {
            if self.covers(&resource.name) {
                // It may have this one, an earlier one or none; nothing may rest on that.
                let known = Known::Unproven { holds: false };
                self.known.insert(resource.name.clone(), known);
            }
        }
        // What spoiled it is not asked for any more: without that, it is another set.
        self.answer |= !refused.is_empty() && !refused.iter().any(|r| self.covers(&r.name));
        for resource in refused {
            if self.covers(&resource.name) {
                let rejection = Rejection {
                    version: Some(resource.version.clone()),
                    resource: Some(resource.clone()),
                    message: words.clone(),
                    kept: Kept::Unknown,
                };
                self.quarantine.insert(resource.name.clone(), rejection);
            }
        }
    }
}
