//! The state-of-the-world protocol: the same rules as far as they are about what is sent when, and its own.

mod order;
mod refusals;
mod resume;
mod subscriptions;

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use super::super::Rejection;
use super::{Bench, Event, Kind, Protocol, Response, StateRequest, owned, resource, short};

/// A client that remembers what it has to repeat in every message, and nothing else.
pub(super) struct Client {
    pub(super) bench: Bench,
    names: BTreeMap<Kind, Vec<String>>,
    versions: BTreeMap<Kind, String>,
    nonces: BTreeMap<Kind, String>,
}

impl Deref for Client {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.bench
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Bench {
        &mut self.bench
    }
}

impl Client {
    pub(super) fn new() -> Self {
        Self::with_own(&[])
    }

    pub(super) fn with_own(own: &[(Kind, &str)]) -> Self {
        Self {
            bench: Bench::speaking(Protocol::Sotw, own),
            names: BTreeMap::new(),
            versions: BTreeMap::new(),
            nonces: BTreeMap::new(),
        }
    }

    fn send(&mut self, kind: Kind, error: Option<&str>) -> Vec<Event> {
        let text = |of: &BTreeMap<Kind, String>| of.get(&kind).cloned().unwrap_or_default();
        let request = StateRequest {
            type_url: kind.type_url().to_owned(),
            names: self.names.get(&kind).cloned().unwrap_or_default(),
            version: text(&self.versions),
            nonce: text(&self.nonces),
            error: error.map(str::to_owned),
        };
        self.session.on_state_request(&request).unwrap()
    }

    /// Wants exactly these names from now on.
    pub(super) fn want(&mut self, kind: Kind, names: &[&str]) -> Vec<Event> {
        self.names.insert(kind, owned(names));
        self.send(kind, None)
    }

    pub(super) fn ack(&mut self, response: &Response) -> Vec<Event> {
        let kind = response.kind;
        self.versions.insert(kind, response.version.clone());
        self.nonces.insert(kind, response.nonce.clone());
        self.send(kind, None)
    }

    pub(super) fn nack(&mut self, response: &Response, why: &str) -> Vec<Event> {
        self.nonces.insert(response.kind, response.nonce.clone());
        self.send(response.kind, Some(why))
    }

    #[track_caller]
    pub(super) fn expect_ack(&mut self, text: &str) -> Response {
        let response = self.bench.poll().expect("a response");
        // What is gone does not stand in a message: it is shown here to see that it was thought of.
        assert_eq!(short(&response), text);
        self.ack(&response);
        response
    }

    /// A new stream: it repeats what it wants and has, type by type in Envoy's order.
    pub(super) fn reconnect(&mut self) {
        self.bench.reconnect();
        self.nonces.clear();
    }

    /// The same with what the server remembers of refusals.
    pub(super) fn reconnect_refused(&mut self) {
        let kept: Vec<(Kind, _, Rejection)> = self
            .session
            .quarantined()
            .map(|(kind, name, why)| (kind, name.clone(), why.clone()))
            .collect();
        self.reconnect();
        self.session.restore_quarantine(kept);
    }

    pub(super) fn resume(&mut self, kind: Kind) -> Vec<Event> {
        self.send(kind, None)
    }
}
