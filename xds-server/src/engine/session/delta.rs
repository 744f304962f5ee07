//! The incremental protocol: what a request means for the subscription and for what the client has.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::kind::Kind;
use super::known::Known;
use super::subscriber::Session;
use super::{CloseReason, Event, Request};

impl Session {
    /// Takes a message in.
    ///
    /// # Errors
    /// The client asks for more than it may: close the stream.
    pub fn on_request(&mut self, request: &Request) -> Result<Vec<Event>, CloseReason> {
        self.check_size(request)?;
        let mut events = Vec::new();
        let Some(kind) = self.served(&request.type_url) else {
            events.push(Event::UnknownType(request.type_url.clone()));
            return Ok(events);
        };
        let error = request.error.as_deref();
        self.on_answer(kind, &request.nonce, error, &mut events);
        let first = !self.track(kind).requested;
        if first {
            self.begin(kind, request);
        }
        self.subscribe(kind, request, first);
        self.unsubscribe(kind, request);
        if self.track(kind).names.len() > self.limits.names_per_type {
            return Err(CloseReason::TooManyNames);
        }
        self.want_own(kind, &mut events);
        Ok(events)
    }

    fn check_size(&self, request: &Request) -> Result<(), CloseReason> {
        let versions = &request.initial_versions;
        let count = request.subscribe.len() + request.unsubscribe.len() + versions.len();
        if count > self.limits.names_per_request {
            return Err(CloseReason::TooManyNames);
        }
        let names = request.subscribe.iter().chain(&request.unsubscribe);
        let mut texts = names.chain(versions.keys()).chain(versions.values());
        if texts.any(|text| text.len() > self.limits.name_len) {
            return Err(CloseReason::NameTooLong);
        }
        Ok(())
    }

    /// The first message of a type on this stream.
    fn begin(&mut self, kind: Kind, request: &Request) {
        let track = self.track_mut(kind);
        track.requested = true;
        // A client that has nothing of this type has forgotten what it refused before.
        if request.initial_versions.is_empty() {
            track.quarantine.clear();
        }
        let named = request.subscribe.iter().any(|name| name != "*");
        if request.subscribe.is_empty() && kind.has_legacy_wildcard() {
            track.wildcard = true;
        }
        track.wildcard |= request.subscribe.iter().any(|name| name == "*");
        // A client that resumes with everything of a wildcard needs no answer; one that waits for names does.
        track.answer = named || (track.wildcard && request.initial_versions.is_empty());
        let wildcard = track.wildcard;
        let subscribed: BTreeSet<&String> = request.subscribe.iter().collect();
        for (name, version) in &request.initial_versions {
            if wildcard || subscribed.contains(name) {
                let resource = self.view.as_ref().and_then(|view| view.get(kind, name));
                let version = match resource {
                    Some(same) if *same.version == **version => same.version.clone(),
                    _ => version.as_str().into(),
                };
                let name = self.text(kind, name);
                let track = self.track_mut(kind);
                track.known.insert(name.clone(), Known::Proven(version));
                track.dirty.insert(name);
            }
        }
        let track = self.track_mut(kind);
        track.dirty.extend(track.quarantine.keys().cloned());
        if track.wildcard {
            let all = self.all_names(kind);
            self.track_mut(kind).dirty.extend(all);
        }
    }

    fn subscribe(&mut self, kind: Kind, request: &Request, first: bool) {
        for name in &request.subscribe {
            if name == "*" {
                if !first {
                    let all = self.all_names(kind);
                    let track = self.track_mut(kind);
                    track.wildcard = true;
                    track.owed.extend(all);
                    track.answer = true;
                }
                continue;
            }
            let text = self.text(kind, name);
            let track = self.track_mut(kind);
            let resumed = first
                && request.initial_versions.contains_key(name)
                && !track.awaited.contains(name.as_str());
            let name = text;
            let new = track.names.insert(name.clone());
            if resumed {
                continue;
            }
            if new && !first {
                track.quarantine.remove(&name);
            }
            track.owed.insert(name);
        }
        self.track_mut(kind).awaited.clear();
    }

    fn unsubscribe(&mut self, kind: Kind, request: &Request) {
        let all: BTreeSet<Arc<str>> = match request.unsubscribe.is_empty() {
            true => BTreeSet::new(),
            false => self.all_names(kind).into_iter().collect(),
        };
        let exists = |name: &String| all.contains(name.as_str());
        let track = self.track_mut(kind);
        for name in &request.unsubscribe {
            if name == "*" {
                track.wildcard = false;
                track.forget_uncovered();
                continue;
            }
            let had = track.names.remove(name.as_str());
            if track.wildcard {
                // Still covered: the client has dropped it and must be told what it is (X20). A name that neither side
                // ever heard of is owed nothing; else a client could make us remember any number of them.
                let known = track.known.remove(name.as_str()).is_some();
                let held = track.held.remove(name.as_str()).is_some();
                if known || held || had || exists(name) {
                    track.owed.insert(name.as_str().into());
                }
            } else if had {
                track.forget(name);
            }
        }
    }
}
