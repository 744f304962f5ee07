//! The world of the model test: a configuration, one session and a client that remembers what it was told.

pub(crate) mod client;
mod op;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use heddle_xds_server::engine::kind::Kind;
use heddle_xds_server::engine::resource::Resource;
use heddle_xds_server::engine::session::{Event, Limits, Own, Protocol, Response, Session};
use heddle_xds_server::engine::view::{Tables, View};

use client::{Answer, Client, Said, Versions};
pub(crate) use op::{Op, op};

/// The one resource that only this client has.
pub(crate) const OWN: &str = "me";

/// Content of one resource.
#[derive(Debug, Clone)]
struct Content {
    version: String,
    needs: BTreeSet<&'static str>,
}

/// Everything at once.
pub(crate) struct World {
    protocol: Protocol,
    now: Instant,
    reading: bool,
    session: Session,
    client: Client,
    desired: BTreeMap<(Kind, &'static str), Content>,
    published: BTreeMap<(Kind, &'static str), Content>,
    tables: Tables,
    view: Option<Arc<View>>,
    revision: u64,
    counter: u64,
    /// Since when a listener or route is new to the client.
    due_since: BTreeMap<(Kind, String), Instant>,
    leaf: u64,
    wanted: Option<Option<Arc<str>>>,
    issued: bool,
}

fn session(protocol: Protocol, now: Instant) -> Session {
    let limits = Limits {
        answer_timeout: Duration::from_secs(1_000_000),
        ..Limits::default()
    };
    Session::new(protocol, now, limits, [(Kind::Secret, OWN)])
}

impl World {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let now = Instant::now();
        Self {
            protocol,
            now,
            reading: true,
            session: session(protocol, now),
            client: Client::new(protocol),
            desired: BTreeMap::new(),
            published: BTreeMap::new(),
            tables: Tables::default(),
            view: None,
            revision: 0,
            counter: 0,
            due_since: BTreeMap::new(),
            leaf: 1,
            wanted: None,
            issued: false,
        }
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Subscribe(kind, names, star) => {
                let request = self.client.subscribe(*kind, names, *star);
                self.send(&request);
            }
            Op::Unsubscribe(kind, names, star) => {
                if let Some(request) = self.client.unsubscribe(*kind, names, *star) {
                    self.send(&request);
                }
            }
            Op::Stale(kind, refuse, names) => {
                let request = self.client.stale(*kind, names, *refuse);
                self.send(&request);
            }
            Op::Answer(kind, answer) => {
                if let Some(request) = self.client.answer(*kind, *answer) {
                    self.send(&request);
                }
            }
            Op::Reconnect(versions, keep) => self.reconnect(*versions, *keep),
            Op::Switch(versions) => {
                self.switch();
                self.reconnect(*versions, false);
            }
            Op::Read(reads) => self.reading = *reads,
            Op::Put(kind, name, bad) => self.put(*kind, name, *bad),
            Op::Drop(kind, name) => self.drop(*kind, name),
            Op::Publish => self.publish(),
            Op::Pass(seconds) => self.now += Duration::from_secs(*seconds),
            Op::Grant => self.grant(),
            Op::Renew => {
                if self.issued {
                    self.leaf += 1;
                    self.issue();
                }
            }
        }
        self.drain();
    }

    fn send(&mut self, said: &Said) {
        // What is asked for anew may have to wait anew.
        let anew = match said {
            Said::Delta(r) => !r.subscribe.is_empty() || !r.initial_versions.is_empty(),
            Said::Sotw(_) => true,
        };
        if anew {
            for key in self.published.keys() {
                self.due_since
                    .entry((key.0, key.1.to_owned()))
                    .or_insert(self.now);
            }
        }
        let events = match said {
            Said::Delta(request) => self.session.on_request(request),
            Said::Sotw(request) => self.session.on_state_request(request),
        };
        for event in events.unwrap() {
            if let Event::Wanted { name, held, .. } = event {
                assert_eq!(&*name, OWN);
                assert!(self.wanted.is_none(), "asked twice for the same");
                self.wanted = Some(held);
            }
        }
    }

    fn grant(&mut self) {
        let Some(held) = self.wanted.take() else {
            return;
        };
        if held.as_deref() == Some(self.leaf.to_string().as_str()) {
            self.session.set_own(Kind::Secret, OWN, Own::Held);
            self.issued = true;
        } else {
            self.leaf += 1;
            self.issue();
        }
    }

    fn issue(&mut self) {
        self.issued = true;
        self.wanted = None;
        let leaf = Resource::new(Kind::Secret, OWN, &self.leaf.to_string(), b"");
        self.session
            .set_own(Kind::Secret, OWN, Own::Issued(Arc::new(leaf)));
    }

    fn reconnect(&mut self, versions: Versions, keep: bool) {
        let refused: Vec<_> = self
            .session
            .quarantined()
            .map(|(kind, name, why)| (kind, name.clone(), why.clone()))
            .collect();
        self.session = session(self.protocol, self.now);
        self.reading = true;
        self.wanted = None;
        self.issued = false;
        if keep {
            self.session.restore_quarantine(refused);
        }
        if let Some(view) = &self.view {
            self.session.set_view(view);
        }
        let current: BTreeMap<_, _> = self
            .published
            .iter()
            .map(|((kind, name), c)| ((*kind, (*name).to_owned()), c.version.clone()))
            .collect();
        for request in self.client.reconnect(versions, keep, &current) {
            self.send(&request);
            self.drain();
        }
    }

    /// Another replica made the same of the same, all at once and with no history.
    fn switch(&mut self) {
        if self.view.is_none() {
            return;
        }
        let mut tables = Tables::default();
        for kind in Kind::ALL {
            let of_kind = self.published.iter().filter(|((k, _), _)| *k == kind);
            tables = tables.with(kind, of_kind.map(|((k, n), c)| Self::resource(*k, n, c)));
        }
        let view = View::first(self.revision, tables.clone(), Tables::default(), self.now);
        self.tables = tables;
        self.view = Some(Arc::new(view));
    }

    fn put(&mut self, kind: Kind, name: &'static str, bad: bool) {
        self.counter += 1;
        let version = format!("{}{}", if bad { "bad" } else { "v" }, self.counter);
        // Listeners and routes refer to every cluster that there is: references always resolve.
        let clusters = self.desired.keys().filter(|(k, _)| *k == Kind::Cluster);
        let needs = if kind.waits_for_clusters() {
            clusters.map(|(_, name)| *name).collect()
        } else {
            BTreeSet::new()
        };
        self.desired
            .insert((kind, name), Content { version, needs });
    }

    fn drop(&mut self, kind: Kind, name: &'static str) {
        self.desired.remove(&(kind, name));
        if kind == Kind::Cluster {
            for content in self.desired.values_mut() {
                if content.needs.remove(name) {
                    self.counter += 1;
                    content.version = format!("v{}", self.counter);
                }
            }
        }
    }

    fn resource(kind: Kind, name: &str, content: &Content) -> Resource {
        let needs = content.needs.iter().map(|name| Arc::from(*name));
        let resource = Resource::new(kind, name, &content.version, b"").needing(needs);
        match kind {
            Kind::Cluster => resource.followed_by(Kind::Endpoints, name),
            _ => resource,
        }
    }

    fn publish(&mut self) {
        self.revision += 1;
        for (key, content) in &self.desired {
            if self
                .published
                .get(key)
                .is_none_or(|old| old.version != content.version)
            {
                self.due_since
                    .entry((key.0, key.1.to_owned()))
                    .or_insert(self.now);
            }
        }
        let mut tables = self.tables.clone();
        for kind in Kind::ALL {
            let of_kind = self.desired.iter().filter(|((k, _), _)| *k == kind);
            tables = tables.with(kind, of_kind.map(|((k, n), c)| Self::resource(*k, n, c)));
        }
        let changes = Arc::new(tables.changes_from(&self.tables));
        let (own, now) = (Tables::default(), self.now);
        let view = Arc::new(match &self.view {
            None => View::first(self.revision, tables.clone(), own, now),
            Some(view) => view.next(self.revision, tables.clone(), changes, own, now),
        });
        for ((kind, name), content) in &self.desired {
            let needs = content.needs.clone();
            self.client.learn(*kind, name, &content.version, needs);
        }
        self.tables = tables;
        self.view = Some(view.clone());
        self.published.clone_from(&self.desired);
        self.session.set_view(&view);
    }

    /// Takes every response that is due and checks it.
    fn drain(&mut self) {
        let mut rounds = 0;
        if !self.reading {
            return;
        }
        while let Some(response) = self.session.poll(self.now) {
            rounds += 1;
            assert!(rounds < 100, "no end of responses");
            assert!(self.view.is_some(), "X50: answered without a view");
            self.check_order(&response);
            for resource in &response.resources {
                let current = self.published.iter().any(|((k, n), c)| {
                    (*k, *n) == (resource.kind, &*resource.name) && c.version == *resource.version
                });
                // The last good version may come along while the new one waits.
                if current {
                    let key = (resource.kind, resource.name.to_string());
                    self.due_since.remove(&key);
                }
            }
            self.client.receive(&response);
        }
    }

    /// X32 and X33 as the client feels them: at no time does it have a route to a cluster that it lacks.
    fn check_order(&self, response: &Response) {
        let changed = self.client.changed(response);
        if response.kind.waits_for_clusters() && self.client.asks_for(Kind::Cluster) {
            for resource in &changed {
                let since = self
                    .due_since
                    .get(&(response.kind, resource.name.to_string()));
                let patient = since.is_none_or(|at| self.now - *at < Duration::from_secs(20));
                for need in &resource.needs {
                    let exists = self
                        .published
                        .keys()
                        .any(|k| *k == (Kind::Cluster, &**need));
                    let covered = self.client.covers(Kind::Cluster, need);
                    let unproven = self.client.was_refused(response.kind, &resource.name);
                    if exists && covered && patient && !unproven {
                        assert!(
                            self.client.has_acknowledged(Kind::Cluster, need),
                            "X32: {resource:?} before cluster {need}"
                        );
                    }
                }
            }
        }
        if response.kind == Kind::Cluster {
            for gone in self.client.withdrawn(response) {
                if let Some(user) = self.client.uses(&gone, &self.alive()) {
                    panic!("X33: cluster {gone} removed under {user}");
                }
            }
        }
    }

    /// The listeners and routes that were published last.
    fn alive(&self) -> BTreeSet<(Kind, String)> {
        let keys = self.published.keys();
        keys.map(|(kind, name)| (*kind, (*name).to_owned()))
            .collect()
    }

    /// Lets everything come to rest and compares.
    pub(crate) fn settle(&mut self) {
        self.reading = true;
        self.publish();
        for request in self.client.repeat() {
            self.send(&request);
        }
        for _ in 0..400 {
            self.drain();
            self.grant();
            self.now += Duration::from_secs(6);
            for kind in Kind::ALL {
                if let Some(request) = self.client.answer(kind, Answer::Whole) {
                    self.send(&request);
                }
            }
        }
        self.drain();
        assert!(self.client.is_idle(), "it never comes to rest");
        let stuck: BTreeSet<_> = self
            .session
            .quarantined()
            .map(|(k, n, _)| (k, n.to_string()))
            .collect();
        for kind in Kind::ALL {
            self.compare(kind, &stuck);
        }
        for kind in self.session.pending_types() {
            let reason = |k: &Kind| *k == kind || (kind == Kind::Cluster && k.waits_for_clusters());
            assert!(
                stuck.iter().any(|(k, _)| reason(k)),
                "{kind:?} pending without reason"
            );
        }
        let all = [Kind::Cluster, Kind::Endpoints, Kind::Listener];
        if stuck.is_empty() && all.iter().all(|kind| self.client.asks_for(*kind)) {
            assert_eq!(self.session.synced_revision(), Some(self.revision));
        }
    }

    fn compare(&self, kind: Kind, stuck: &BTreeSet<(Kind, String)>) {
        if !self.client.asks_for(kind) {
            return;
        }
        let mut should: BTreeMap<String, String> = self
            .published
            .iter()
            .filter(|((k, name), _)| *k == kind && self.client.covers(kind, name) && *name != OWN)
            .map(|((_, name), content)| ((*name).to_owned(), content.version.clone()))
            .collect();
        if kind == Kind::Secret && self.client.covers(kind, OWN) {
            should.insert(OWN.to_owned(), self.leaf.to_string());
        }
        let mut has = self.client.has(kind).clone();
        if self.protocol == Protocol::Sotw {
            let of_kind = stuck.iter().any(|(k, _)| *k == kind);
            if of_kind && self.client.is_foreign(kind) {
                // What it has from before is not known, and with it which part of a refused whole is good.
                return;
            }
            if !kind.comes_whole() {
                // It is not told what is gone; whatever refers to it is.
                has.retain(|name, _| should.contains_key(name));
            }
        }
        for (k, name) in stuck.iter().filter(|(k, _)| *k == kind) {
            let refused = should.remove(name);
            assert!(
                refused.is_none_or(|v| v.starts_with("bad")),
                "{k:?} {name} is quarantined"
            );
            has.remove(name);
        }
        // While a listener or route is refused, the old one may use clusters that are gone.
        if kind.removed_last() && stuck.iter().any(|(k, _)| k.waits_for_clusters()) {
            has.retain(|name, _| should.contains_key(name));
        }
        assert_eq!(has, should, "{kind:?}");
    }
}
