//! What a stream is in both protocols: who subscribes to what, what it may have, what it has answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::super::kind::{KINDS, Kind};
use super::super::resource::Resource;
use super::super::view::View;
use super::known::Known;
use super::sotw::Whole;
use super::track::{Complete, Track};
use super::{Event, Limits, Own, Progress, Protocol, Rejection};

/// How far a resource of this subscriber alone has come.
#[derive(Debug)]
pub(super) enum OwnState {
    Idle,
    /// Asked for by [`Event::Wanted`].
    Wanted,
    Held,
    Issued(Arc<Resource>),
}

/// What the client should have of one name.
pub(super) enum Desired {
    /// Nothing: it does not exist.
    Absent,
    /// It exists but is not here yet.
    Later,
    /// It has it, and its content is not here.
    Held,
    This(Arc<Resource>),
}

/// One stream.
#[derive(Debug)]
pub struct Session {
    pub(super) limits: Limits,
    /// The one type that this stream is about, when it is not about all.
    pub(super) only: Option<Kind>,
    pub(super) started: Instant,
    pub(super) view: Option<Arc<View>>,
    pub(super) tracks: [Track; KINDS],
    pub(super) own: BTreeMap<(Kind, Arc<str>), OwnState>,
    pub(super) responses: u64,
    /// Counts the views that this session was given.
    pub(super) epoch: u64,
    pub(super) synced: Option<u64>,
}

impl Session {
    /// A stream that has just begun. `own` names the resources that this subscriber alone has. Nothing is answered
    /// before the first [`Session::set_view`] (X50).
    #[must_use]
    pub fn new<'a>(
        protocol: Protocol,
        now: Instant,
        limits: Limits,
        own: impl IntoIterator<Item = (Kind, &'a str)>,
    ) -> Self {
        let own = own
            .into_iter()
            .map(|(kind, name)| ((kind, Arc::from(name)), OwnState::Idle));
        let mut tracks: [Track; KINDS] = Default::default();
        if protocol == Protocol::Sotw {
            for kind in Kind::ALL {
                tracks[kind.index()].whole = Some(Whole::new(kind).into());
            }
        }
        Self {
            limits,
            only: None,
            started: now,
            view: None,
            tracks,
            own: own.collect(),
            responses: 0,
            epoch: 0,
            synced: None,
        }
    }

    /// The same, about one type only: the others are as unknown as any.
    #[must_use]
    pub fn only(mut self, kind: Option<Kind>) -> Self {
        self.only = kind;
        self
    }

    /// The type that a request is about. The services of one type may leave it out.
    pub(super) fn served(&self, type_url: &str) -> Option<Kind> {
        match self.only {
            Some(kind) if type_url.is_empty() => Some(kind),
            only => Kind::from_type_url(type_url).filter(|k| only.is_none_or(|only| only == *k)),
        }
    }

    pub(super) const fn track(&self, kind: Kind) -> &Track {
        &self.tracks[kind.index()]
    }

    pub(super) const fn track_mut(&mut self, kind: Kind) -> &mut Track {
        &mut self.tracks[kind.index()]
    }

    /// ACK or NACK. A nonce that is not the one in flight answers nothing, but the subscription in its message
    /// counts all the same (X08, X09).
    pub(super) fn on_answer(
        &mut self,
        kind: Kind,
        nonce: &str,
        error: Option<&str>,
        events: &mut Vec<Event>,
    ) {
        let track = self.track_mut(kind);
        let Some(response) = track.in_flight.take_if(|f| f.nonce == nonce) else {
            return;
        };
        match error {
            None => {
                track.accept(&response);
                self.hold(kind, &response.resources, &response.removed);
                events.push(Event::Acked(kind));
            }
            Some(message) => {
                track.refuse(&response, message);
                events.push(Event::Nacked {
                    kind,
                    resources: response.resources,
                    message: message.to_owned(),
                });
            }
        }
    }

    /// Asks for the subscriber's own resources once they are subscribed to, and again when the client wants the
    /// content of one of which only the version is known here.
    pub(super) fn want_own(&mut self, kind: Kind, events: &mut Vec<Event>) {
        let track = &mut self.tracks[kind.index()];
        for ((own_kind, name), state) in &mut self.own {
            if *own_kind != kind || !track.covers(name) {
                continue;
            }
            let owed = track.owed.contains(name);
            let held = match (&state, track.known.get(name)) {
                (OwnState::Idle, Some(Known::Proven(version))) if !owed => Some(version.clone()),
                (OwnState::Idle, _) => None,
                (OwnState::Held, _) if owed => None,
                _ => continue,
            };
            *state = OwnState::Wanted;
            track.dirty.insert(name.clone());
            events.push(Event::Wanted {
                kind,
                name: name.clone(),
                held,
            });
        }
    }

    pub(super) fn all_names(&self, kind: Kind) -> Vec<Arc<str>> {
        let view = self.view.iter().flat_map(|view| view.names(kind).cloned());
        let own = self
            .own
            .keys()
            .filter(|(k, _)| *k == kind)
            .map(|(_, name)| name.clone());
        view.chain(own).collect()
    }

    /// Shows what the client may have from now on.
    pub fn set_view(&mut self, view: &Arc<View>) {
        self.epoch += 1;
        let old = self.view.replace(view.clone());
        let steps: Option<Vec<_>> = old
            .as_ref()
            .and_then(|old| view.since(old))
            .map(Iterator::collect);
        for kind in Kind::ALL {
            let track = self.track_mut(kind);
            if !track.requested {
                continue;
            }
            let mut look_at = |name: &Arc<str>| {
                if track.covers(name) {
                    track.dirty.insert(name.clone());
                    if old.is_some() {
                        track.changed_at.get_or_insert(view.published);
                    }
                }
            };
            match &steps {
                Some(steps) => {
                    let changed = steps.iter().flat_map(|step| step.names(kind));
                    changed.for_each(&mut look_at);
                }
                None => {
                    view.names(kind).for_each(&mut look_at);
                    let before = old.iter().flat_map(|old| old.names(kind));
                    before.for_each(look_at);
                }
            }
        }
    }

    /// Gives or replaces a resource of this subscriber alone. A name that was not announced is ignored.
    pub fn set_own(&mut self, kind: Kind, name: &str, own: Own) {
        let key = (kind, Arc::from(name));
        let Some(state) = self.own.get_mut(&key) else {
            return;
        };
        *state = match own {
            Own::Held => OwnState::Held,
            Own::Issued(resource) => OwnState::Issued(resource),
        };
        let track = self.track_mut(kind);
        if track.requested && track.covers(name) {
            track.dirty.insert(key.1);
        }
    }

    /// How far this is, if it is a resource of this subscriber alone. There are few.
    pub(super) fn own_state(&self, kind: Kind, name: &str) -> Option<&OwnState> {
        let mut own = self.own.iter();
        let found = own.find(|((of, own), _)| *of == kind && **own == *name);
        found.map(|(_, state)| state)
    }

    pub(super) fn desired(&self, kind: Kind, name: &Arc<str>) -> Desired {
        if let Some(state) = self.own_state(kind, name) {
            return match state {
                OwnState::Idle | OwnState::Wanted => Desired::Later,
                OwnState::Held => Desired::Held,
                OwnState::Issued(resource) => Desired::This(resource.clone()),
            };
        }
        let resource = self.view.as_ref().and_then(|view| view.get(kind, name));
        resource.map_or(Desired::Absent, |resource| Desired::This(resource.clone()))
    }

    /// The version of a resource that the client has acknowledged, or came back with.
    #[must_use]
    pub fn proven(&self, kind: Kind, name: &str) -> Option<&Arc<str>> {
        match self.track(kind).known.get(name)? {
            Known::Proven(version) => Some(version),
            Known::Unproven { .. } => None,
        }
    }

    /// Types with something that the client has not acknowledged.
    pub fn pending_types(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .into_iter()
            .filter(|kind| self.track(*kind).is_pending())
    }

    /// How far the client is with one type.
    #[must_use]
    pub fn progress(&self, kind: Kind) -> Progress {
        Progress {
            holds: self.holds_all(kind),
            ..self.stage(kind)
        }
    }

    /// The same without what takes a look at every name.
    pub(super) fn stage(&self, kind: Kind) -> Progress {
        let track = self.track(kind);
        let view = self.view.as_ref();
        let always = match kind {
            Kind::Cluster => true,
            // A client for which there is none may have others than these.
            Kind::Listener => view.is_none_or(|view| view.names(kind).next().is_some()),
            _ => false,
        };
        Progress {
            asked: track.requested,
            needed: always || view.is_some_and(|view| view.expects(kind)),
            holds: false,
            synced: track.synced,
        }
    }

    /// The newest revision of which the client has acknowledged everything.
    #[must_use]
    pub const fn synced_revision(&self) -> Option<u64> {
        self.synced
    }

    /// Whether the client has some version of every resource of this type that it should have, and at least one.
    #[must_use]
    pub fn holds_all(&self, kind: Kind) -> bool {
        let track = self.track(kind);
        let (Some(view), true) = (&self.view, track.requested) else {
            return false;
        };
        match self.known_complete(kind, view) {
            Some(holds) => holds,
            None => self.look_at_every_name(kind, view),
        }
    }

    /// What was found out before, if nothing has changed since that matters to it.
    fn known_complete(&self, kind: Kind, view: &View) -> Option<bool> {
        let track = self.track(kind);
        let complete = track.complete.as_ref()?;
        let same = complete.turns == track.known.turns() && view.has_names(kind, &complete.names);
        same.then_some(complete.holds)
    }

    fn look_at_every_name(&self, kind: Kind, view: &View) -> bool {
        let known = &self.track(kind).known;
        let own = self.own.keys().filter(|(k, _)| *k == kind);
        let own = own.map(|(_, name)| name);
        let mut names = view.names(kind).chain(own).peekable();
        names.peek().is_some() && names.all(|name| known.holds(name))
    }

    /// Finds out, once for all who ask until something changes, whether the client has everything of a type.
    pub(super) fn note_complete(&mut self, kind: Kind) {
        let Some(view) = self.view.as_ref().filter(|_| self.track(kind).requested) else {
            return;
        };
        if self.known_complete(kind, view).is_none() {
            let complete = Complete {
                names: view.name_sets(kind),
                turns: self.track(kind).known.turns(),
                holds: self.look_at_every_name(kind, view),
            };
            self.track_mut(kind).complete = Some(complete);
        }
    }

    /// A name as the view writes it, so that thousands of subscribers share the text.
    pub(super) fn text(&self, kind: Kind, name: &str) -> Arc<str> {
        let resource = self.view.as_ref().and_then(|view| view.get(kind, name));
        resource.map_or_else(|| name.into(), |resource| resource.name.clone())
    }

    /// What the client refuses right now.
    pub fn quarantined(&self) -> impl Iterator<Item = (Kind, &Arc<str>, &Rejection)> {
        Kind::ALL.into_iter().flat_map(|kind| {
            let quarantine = &self.track(kind).quarantine;
            quarantine
                .iter()
                .map(move |(name, rejection)| (kind, name, rejection))
        })
    }

    /// Remembers what this client refused on an earlier stream, so that a reconnect does not send it again.
    pub fn restore_quarantine(
        &mut self,
        refused: impl IntoIterator<Item = (Kind, Arc<str>, Rejection)>,
    ) {
        for (kind, name, rejection) in refused {
            self.track_mut(kind).quarantine.insert(name, rejection);
        }
    }
}
