//! A client as Envoy is one: it applies what it gets, refuses what is bad, and says what it has when it comes back.

use std::collections::{BTreeMap, BTreeSet};

use heddle_xds_server::engine::kind::Kind;
use heddle_xds_server::engine::session::{Request, Response};

/// How it answers a response that holds something bad; a good one it accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// It applies nothing of it and names the offenders.
    Whole,
    /// It applies what is good.
    Parts,
    /// It applies nothing and does not say what is wrong.
    Silent,
}

/// What it says it has on a new stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Versions {
    /// The truth.
    Right,
    /// Something else.
    Wrong,
    /// Nothing: it was restarted.
    None,
}

#[derive(Default)]
struct Type {
    asked: bool,
    wildcard: bool,
    names: BTreeSet<String>,
    has: BTreeMap<String, String>,
    /// Names whose version the server has proof of.
    proven: BTreeSet<String>,
    /// Names that may be sent although unchanged.
    due: BTreeSet<String>,
    /// Names that were in a refused response since the last accepted one.
    unproven: BTreeSet<String>,
    /// Versions that were refused alone, by name.
    culprits: BTreeMap<String, String>,
    in_hand: Option<Response>,
}

impl Type {
    fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    fn forget(&mut self, name: &str) {
        self.has.remove(name);
        self.proven.remove(name);
        self.unproven.remove(name);
        self.culprits.remove(name);
    }

    fn forget_uncovered(&mut self) {
        let all: BTreeSet<String> = self
            .has
            .keys()
            .chain(self.culprits.keys())
            .chain(&self.unproven)
            .cloned()
            .collect();
        for name in all {
            if !self.covers(&name) {
                self.forget(&name);
            }
        }
    }
}

/// The client.
#[derive(Default)]
pub(crate) struct Client {
    types: BTreeMap<Kind, Type>,
    /// The clusters that a listener or route of some version refers to.
    needs: BTreeMap<(Kind, String, String), BTreeSet<&'static str>>,
}

impl Client {
    fn of(&mut self, kind: Kind) -> &mut Type {
        self.types.entry(kind).or_default()
    }

    /// Notes what some content refers to, as the client would find by reading it.
    pub(crate) fn learn(
        &mut self,
        kind: Kind,
        name: &str,
        version: &str,
        needs: BTreeSet<&'static str>,
    ) {
        self.needs
            .insert((kind, name.to_owned(), version.to_owned()), needs);
    }

    pub(crate) fn asks_for(&self, kind: Kind) -> bool {
        self.types.get(&kind).is_some_and(|t| t.asked)
    }

    pub(crate) fn covers(&self, kind: Kind, name: &str) -> bool {
        self.types.get(&kind).is_some_and(|t| t.covers(name))
    }

    pub(crate) fn has(&self, kind: Kind) -> &BTreeMap<String, String> {
        &self.types[&kind].has
    }

    pub(crate) fn has_acknowledged(&self, kind: Kind, name: &str) -> bool {
        let t = &self.types[&kind];
        t.has.contains_key(name) || t.proven.contains(name)
    }

    pub(crate) fn was_refused(&self, kind: Kind, name: &str) -> bool {
        self.types
            .get(&kind)
            .is_some_and(|t| t.unproven.contains(name))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.types.values().all(|t| t.in_hand.is_none())
    }

    /// A listener or route of the client that refers to this cluster, which it has.
    pub(crate) fn uses(&self, cluster: &str) -> Option<String> {
        if !self.types[&Kind::Cluster].has.contains_key(cluster) {
            return None;
        }
        for kind in [Kind::Listener, Kind::Route] {
            let Some(t) = self.types.get(&kind).filter(|t| t.asked) else {
                continue;
            };
            for (name, version) in &t.has {
                let needs = self.needs.get(&(kind, name.clone(), version.clone()));
                if needs.is_some_and(|needs| needs.contains(cluster)) {
                    return Some(format!("{kind:?} {name}@{version}"));
                }
            }
        }
        None
    }

    pub(crate) fn subscribe(&mut self, kind: Kind, names: &[&'static str], star: bool) -> Request {
        let t = self.of(kind);
        let first = !std::mem::replace(&mut t.asked, true);
        if first && names.is_empty() && !star && kind.has_legacy_wildcard() {
            t.wildcard = true;
        }
        if star && !first {
            t.due.extend(super::op::POOL.map(str::to_owned));
        }
        t.wildcard |= star;
        let mut subscribe: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for name in &subscribe {
            if t.names.insert(name.clone()) {
                t.culprits.remove(name);
            }
            t.due.insert(name.clone());
        }
        if star {
            subscribe.push("*".to_owned());
        }
        Request {
            type_url: kind.type_url().to_owned(),
            subscribe,
            ..Request::default()
        }
    }

    pub(crate) fn unsubscribe(
        &mut self,
        kind: Kind,
        names: &[&'static str],
        star: bool,
    ) -> Option<Request> {
        let t = self.of(kind);
        if !t.asked {
            return None;
        }
        let mut unsubscribe = Vec::new();
        for name in names {
            unsubscribe.push((*name).to_owned());
            t.names.remove(*name);
            t.due.insert((*name).to_owned());
            t.has.remove(*name);
            t.proven.remove(*name);
            if !t.wildcard {
                t.forget(name);
            }
        }
        if star {
            unsubscribe.push("*".to_owned());
            t.wildcard = false;
            t.forget_uncovered();
        }
        Some(Request {
            type_url: kind.type_url().to_owned(),
            unsubscribe,
            ..Request::default()
        })
    }

    /// Checks a response against everything that was said before.
    pub(crate) fn receive(&mut self, response: &Response) {
        let kind = response.kind;
        let t = self.of(kind);
        assert!(t.asked, "{kind:?} was not asked for");
        assert!(
            t.in_hand.is_none(),
            "X34: two responses of {kind:?} in flight"
        );
        let mut seen = BTreeSet::new();
        let names = response
            .resources
            .iter()
            .map(|r| &r.name)
            .chain(&response.removed);
        for name in names {
            assert!(seen.insert(name), "X23: {name} twice");
            assert!(t.covers(name), "{kind:?} {name} is not subscribed to");
        }
        for resource in &response.resources {
            let name = resource.name.to_string();
            let version = resource.version.to_string();
            let asked = t.due.remove(&name);
            let unchanged = t.proven.contains(&name) && t.has.get(&name) == Some(&version);
            assert!(
                asked || !unchanged || t.unproven.contains(&name),
                "{resource:?} again without being asked"
            );
            assert_ne!(
                t.culprits.get(&name),
                Some(&version),
                "X11: {resource:?} again"
            );
        }
        for name in &response.removed {
            t.due.remove(&**name);
        }
        t.in_hand = Some(response.clone());
        for resource in &response.resources {
            if let Some((child, name)) = &resource.child {
                self.of(*child).due.insert(name.to_string());
            }
        }
    }

    /// Applies the response in hand and answers it.
    pub(crate) fn answer(&mut self, kind: Kind, answer: Answer) -> Option<Request> {
        let t = self.of(kind);
        let response = t.in_hand.take()?;
        let is_bad = |version: &str| version.starts_with("bad");
        let bad: Vec<_> = response
            .resources
            .iter()
            .filter(|r| is_bad(&r.version))
            .collect();
        let refuses = !bad.is_empty();
        let applies = !refuses || matches!(answer, Answer::Parts);
        for resource in &response.resources {
            let name = resource.name.to_string();
            if !t.covers(&name) {
                continue;
            }
            if applies && !is_bad(&resource.version) {
                t.has.insert(name.clone(), resource.version.to_string());
            }
            if refuses {
                t.proven.remove(&name);
                t.unproven.insert(name);
            } else {
                t.proven.insert(name.clone());
                t.unproven.remove(&name);
            }
        }
        for name in &response.removed {
            if applies {
                t.has.remove(&**name);
                t.proven.remove(&**name);
            }
        }
        if let ([one], true) = (response.resources.as_slice(), refuses)
            && t.covers(&one.name)
        {
            t.culprits
                .insert(one.name.to_string(), one.version.to_string());
        }
        let words: Vec<&str> = bad.iter().map(|r| &*r.name).collect();
        let error = match answer {
            Answer::Silent => "no".to_owned(),
            Answer::Whole | Answer::Parts => format!("cannot use <{}>", words.join(">, <")),
        };
        Some(Request {
            type_url: kind.type_url().to_owned(),
            nonce: response.nonce,
            error: refuses.then_some(error),
            ..Request::default()
        })
    }

    /// The first messages of a new stream.
    pub(crate) fn reconnect(&mut self, versions: Versions, remembers: bool) -> Vec<Request> {
        let mut requests = Vec::new();
        for (kind, t) in &mut self.types {
            t.in_hand = None;
            t.due.clear();
            t.unproven.clear();
            if !t.wildcard && t.names.is_empty() {
                *t = Type::default();
                continue;
            }
            match versions {
                Versions::Right => {}
                Versions::None => t.has.clear(),
                Versions::Wrong => {
                    for (i, version) in t.has.values_mut().enumerate() {
                        if i % 2 == 0 {
                            *version = "junk".to_owned();
                        }
                    }
                    for name in ["a", "nobody"] {
                        if t.covers(name) {
                            t.has.insert(name.to_owned(), "junk".to_owned());
                        }
                    }
                }
            }
            if !remembers || t.has.is_empty() {
                t.culprits.clear();
            }
            t.proven = t.has.keys().cloned().collect();
            let mut subscribe: Vec<_> = t.names.iter().cloned().collect();
            t.due.extend(
                subscribe
                    .iter()
                    .filter(|name| !t.has.contains_key(*name))
                    .cloned(),
            );
            if t.wildcard && !(kind.has_legacy_wildcard() && subscribe.is_empty()) {
                subscribe.push("*".to_owned());
            }
            requests.push(Request {
                type_url: kind.type_url().to_owned(),
                subscribe,
                initial_versions: t.has.clone(),
                ..Request::default()
            });
        }
        requests
    }
}
