//! The protocol's sentences, one test each; the number of the rule is in the name.

mod ordering;
mod refusals;
mod resume;
mod sotw;
mod subscriptions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::kind::Kind;
use super::super::resource::Resource;
use super::super::view::{Tables, View};
use super::{Event, Limits, Protocol, Request, Response, Session, StateRequest};

pub(super) fn resource(kind: Kind, name: &str, version: &str) -> Resource {
    Resource::new(kind, name, version, version.as_bytes())
}

/// A server with one session and a client that does nothing by itself.
pub(super) struct Bench {
    protocol: Protocol,
    pub(super) session: Session,
    pub(super) now: Instant,
    tables: Tables,
    view: Option<Arc<View>>,
    resources: BTreeMap<(Kind, String), Resource>,
    revision: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with_own(&[])
    }

    pub(super) fn with_own(own: &[(Kind, &str)]) -> Self {
        Self::speaking(Protocol::Delta, own)
    }

    pub(super) fn speaking(protocol: Protocol, own: &[(Kind, &str)]) -> Self {
        let now = Instant::now();
        Self {
            protocol,
            session: Session::new(protocol, now, Limits::default(), own.iter().copied()),
            now,
            tables: Tables::default(),
            view: None,
            resources: BTreeMap::new(),
            revision: 0,
        }
    }

    /// A new stream of the same client; the server goes on with what it has.
    pub(super) fn reconnect(&mut self) {
        let limits = self.session.limits.clone();
        let own: Vec<_> = self.session.own.keys().cloned().collect();
        let own = own.iter().map(|(kind, name)| (*kind, &**name));
        self.session = Session::new(self.protocol, self.now, limits, own);
        if let Some(view) = &self.view {
            self.session.set_view(view);
        }
    }

    pub(super) fn put(&mut self, resource: Resource) {
        let key = (resource.kind, resource.name.to_string());
        self.resources.insert(key, resource);
    }

    pub(super) fn set(&mut self, kind: Kind, name: &str, version: &str) {
        self.put(resource(kind, name, version));
    }

    pub(super) fn drop(&mut self, kind: Kind, name: &str) {
        self.resources.remove(&(kind, name.to_owned()));
    }

    /// Publishes what was set as the next revision.
    pub(super) fn publish(&mut self) {
        self.revision += 1;
        let mut tables = self.tables.clone();
        for kind in Kind::ALL {
            let all = self.resources.values().filter(|r| r.kind == kind).cloned();
            tables = tables.with(kind, all);
        }
        let changes = Arc::new(tables.changes_from(&self.tables));
        let view = match &self.view {
            None => View::first(self.revision, tables.clone(), Tables::default(), self.now),
            Some(view) => view.next(
                self.revision,
                tables.clone(),
                changes,
                Tables::default(),
                self.now,
            ),
        };
        self.tables = tables;
        let view = Arc::new(view);
        self.view = Some(view.clone());
        self.session.set_view(&view);
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub(super) fn request(&mut self, kind: Kind, change: impl FnOnce(&mut Request)) -> Vec<Event> {
        let mut request = Request {
            type_url: kind.type_url().to_owned(),
            ..Request::default()
        };
        change(&mut request);
        self.session.on_request(&request).unwrap()
    }

    pub(super) fn subscribe(&mut self, kind: Kind, names: &[&str]) -> Vec<Event> {
        self.request(kind, |r| r.subscribe = owned(names))
    }

    pub(super) fn unsubscribe(&mut self, kind: Kind, names: &[&str]) -> Vec<Event> {
        self.request(kind, |r| r.unsubscribe = owned(names))
    }

    pub(super) fn resume(&mut self, kind: Kind, names: &[&str], versions: &[(&str, &str)]) {
        let pair = |(name, version): &(&str, &str)| ((*name).to_owned(), (*version).to_owned());
        self.request(kind, |r| {
            r.subscribe = owned(names);
            r.initial_versions = versions.iter().map(pair).collect();
        });
    }

    /// Subscribes to these names in either protocol.
    pub(super) fn ask(&mut self, kind: Kind, names: &[&str]) {
        self.say(kind, names, "");
    }

    /// Accepts a response in either protocol.
    pub(super) fn settle(&mut self, response: &Response, names: &[&str]) {
        self.say(response.kind, names, &response.nonce);
    }

    fn say(&mut self, kind: Kind, names: &[&str], nonce: &str) {
        match self.protocol {
            Protocol::Delta if nonce.is_empty() => {
                self.subscribe(kind, names);
            }
            Protocol::Delta => {
                self.request(kind, |r| r.nonce = nonce.to_owned());
            }
            Protocol::Sotw => {
                let request = StateRequest {
                    type_url: kind.type_url().to_owned(),
                    names: owned(names),
                    nonce: nonce.to_owned(),
                    ..StateRequest::default()
                };
                self.session.on_state_request(&request).unwrap();
            }
        }
    }

    pub(super) fn poll(&mut self) -> Option<Response> {
        self.session.poll(self.now)
    }

    /// The next response, in short form: "cds a@1 b@1 -c".
    pub(super) fn next(&mut self) -> (Response, String) {
        let response = self.poll().unwrap();
        let text = short(&response);
        (response, text)
    }

    #[track_caller]
    pub(super) fn expect(&mut self, text: &str) -> Response {
        let (response, got) = self.next();
        assert_eq!(got, text);
        response
    }

    /// Like [`Bench::expect`], and the client accepts it.
    #[track_caller]
    pub(super) fn expect_ack(&mut self, text: &str) {
        let response = self.expect(text);
        self.ack(&response);
    }

    #[track_caller]
    pub(super) fn expect_nothing(&mut self) {
        assert_eq!(self.poll().as_ref().map(short), None);
    }

    pub(super) fn ack(&mut self, response: &Response) -> Vec<Event> {
        self.request(response.kind, |r| r.nonce.clone_from(&response.nonce))
    }

    pub(super) fn nack(&mut self, response: &Response, why: &str) -> Vec<Event> {
        self.request(response.kind, |r| {
            r.nonce.clone_from(&response.nonce);
            r.error = Some(why.to_owned());
        })
    }
}

pub(super) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(super) fn short(response: &Response) -> String {
    let mut text = response.kind.short().to_owned();
    for resource in &response.resources {
        text.push_str(&format!(" {}@{}", resource.name, resource.version));
    }
    for name in &response.removed {
        text.push_str(&format!(" -{name}"));
    }
    text
}
