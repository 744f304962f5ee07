//! A client as Envoy is one: it applies what it gets, refuses what is bad, and says what it has when it comes back.

mod resume;
mod subscribe;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heddle_xds_server::engine::kind::Kind;
use heddle_xds_server::engine::resource::Resource;
use heddle_xds_server::engine::session::{Protocol, Request, Response, StateRequest};

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

/// A message of either protocol.
pub(crate) enum Said {
    Delta(Request),
    Sotw(StateRequest),
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
    /// What in that response is new to it.
    fresh: BTreeSet<String>,
    /// Of the state-of-the-world protocol.
    state: State,
}

/// What a client has to repeat in every message, and what it was that it means by it.
#[derive(Default)]
struct State {
    version: String,
    nonce: String,
    /// It has named something: an empty list means nothing from now on.
    explicit: bool,
    /// The set that `version` stands for.
    meant: BTreeMap<String, String>,
    /// It may have a set that the server does not know.
    foreign: bool,
}

impl Type {
    /// A message as every one is: with everything that it wants, has and answers.
    fn state_request(&self, kind: Kind, error: Option<String>) -> StateRequest {
        let mut names: Vec<String> = self.names.iter().cloned().collect();
        if self.wildcard && self.state.explicit {
            names.push("*".to_owned());
        }
        StateRequest {
            type_url: kind.type_url().to_owned(),
            names,
            version: self.state.version.clone(),
            nonce: self.state.nonce.clone(),
            error,
        }
    }

    /// Whether it has what its version stands for, as far as it still asks for that. Envoy claims a version also when
    /// it does not: after it has applied a part of what it refused, and after it dropped a name.
    fn is_honest(&self, kind: Kind) -> bool {
        let meant = |name: &String| self.state.meant.get(name);
        let mut covered = self
            .state
            .meant
            .iter()
            .filter(|(name, _)| self.covers(name));
        let whole = covered.all(|(name, version)| self.has.get(name) == Some(version));
        let nothing_else = self.has.keys().all(|name| meant(name).is_some());
        whole && (nothing_else || !kind.comes_whole())
    }

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
pub(crate) struct Client {
    protocol: Protocol,
    types: BTreeMap<Kind, Type>,
    /// The clusters that a listener or route of some version refers to.
    needs: BTreeMap<(Kind, String, String), BTreeSet<&'static str>>,
}

impl Client {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            types: BTreeMap::new(),
            needs: BTreeMap::new(),
        }
    }

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
    pub(crate) fn uses(&self, cluster: &str, alive: &BTreeSet<(Kind, String)>) -> Option<String> {
        if !self.types[&Kind::Cluster].has.contains_key(cluster) {
            return None;
        }
        for kind in [Kind::Listener, Kind::Route] {
            let Some(t) = self.types.get(&kind).filter(|t| t.asked) else {
                continue;
            };
            for (name, version) in &t.has {
                // In state of the world nobody says that a route is gone: its listener, which is, takes it along.
                let silent = self.protocol == Protocol::Sotw && !kind.comes_whole();
                if silent && !alive.contains(&(kind, name.clone())) {
                    continue;
                }
                let needs = self.needs.get(&(kind, name.clone(), version.clone()));
                if needs.is_some_and(|needs| needs.contains(cluster)) {
                    return Some(format!("{kind:?} {name}@{version}"));
                }
            }
        }
        None
    }

    pub(crate) fn is_foreign(&self, kind: Kind) -> bool {
        self.types.get(&kind).is_some_and(|t| t.state.foreign)
    }

    /// What in a response the client does not have like that.
    pub(crate) fn changed(&self, response: &Response) -> Vec<Arc<Resource>> {
        let t = &self.types[&response.kind];
        let has = |r: &&Arc<Resource>| t.has.get(&*r.name).map(String::as_str) != Some(&*r.version);
        response.resources.iter().filter(has).cloned().collect()
    }

    /// What a response takes away. Not counted: what a client that came back with an unknown set had.
    pub(crate) fn withdrawn(&self, response: &Response) -> Vec<String> {
        let t = &self.types[&response.kind];
        if self.protocol == Protocol::Delta {
            return response.removed.iter().map(ToString::to_string).collect();
        }
        if t.state.foreign || !response.kind.comes_whole() {
            return Vec::new();
        }
        let kept = |name: &&String| response.resources.iter().any(|r| *r.name == ***name);
        let names = t.has.keys().filter(|name| !kept(name));
        names.cloned().collect()
    }

    /// Checks a response against everything that was said before.
    pub(crate) fn receive(&mut self, response: &Response) {
        let kind = response.kind;
        let full = self.protocol == Protocol::Sotw && kind.comes_whole();
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
        t.fresh.clear();
        for resource in &response.resources {
            let name = resource.name.to_string();
            let version = resource.version.to_string();
            let asked = t.due.remove(&name);
            let unchanged = t.proven.contains(&name) && t.has.get(&name) == Some(&version);
            assert!(
                asked || !unchanged || full || t.unproven.contains(&name),
                "{resource:?} again without being asked"
            );
            let is_culprit = t.culprits.get(&name) == Some(&version);
            assert!(!is_culprit || t.state.foreign, "X11: {resource:?} again");
            if asked || !unchanged {
                t.fresh.insert(name);
            }
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
    pub(crate) fn answer(&mut self, kind: Kind, answer: Answer) -> Option<Said> {
        let protocol = self.protocol;
        let full = protocol == Protocol::Sotw && kind.comes_whole();
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
            // Said once more only because a set is whole: that tells nothing about a newer version that it refused.
            let repeated = full && t.has.get(&name).map(String::as_str) == Some(&*resource.version);
            if applies && !is_bad(&resource.version) {
                t.has.insert(name.clone(), resource.version.to_string());
            }
            if !refuses {
                t.proven.insert(name.clone());
                if !repeated {
                    t.unproven.remove(&name);
                }
            } else if !full || t.fresh.contains(&name) || t.state.foreign {
                t.proven.remove(&name);
                t.unproven.insert(name);
            }
        }
        let mut gone: Vec<String> = match protocol {
            Protocol::Delta => response.removed.iter().map(ToString::to_string).collect(),
            Protocol::Sotw => Vec::new(),
        };
        if full {
            let stays = |name: &&String| response.resources.iter().any(|r| *r.name == ***name);
            gone.extend(t.has.keys().filter(|name| !stays(name)).cloned());
        }
        for name in gone.into_iter().filter(|_| applies) {
            t.has.remove(&name);
            t.proven.remove(&name);
        }
        let mut fresh = response
            .resources
            .iter()
            .filter(|r| t.fresh.contains(&*r.name));
        if let (Some(one), None, true) = (fresh.next(), fresh.next(), refuses)
            && t.covers(&one.name)
            && !t.state.foreign
        {
            t.culprits
                .insert(one.name.to_string(), one.version.to_string());
        }
        let words: Vec<&str> = bad.iter().map(|r| &*r.name).collect();
        let error = match answer {
            Answer::Silent => "no".to_owned(),
            Answer::Whole | Answer::Parts => format!("cannot use <{}>", words.join(">, <")),
        };
        let error = refuses.then_some(error);
        if protocol == Protocol::Sotw {
            t.state.nonce.clone_from(&response.nonce);
            if !refuses {
                t.state.version.clone_from(&response.version);
                if full {
                    t.state.meant.clear();
                }
                let all = response.resources.iter();
                let all = all.map(|r| (r.name.to_string(), r.version.to_string()));
                t.state.meant.extend(all);
                t.state.foreign = false;
            }
            return Some(Said::Sotw(t.state_request(kind, error)));
        }
        Some(Said::Delta(Request {
            type_url: kind.type_url().to_owned(),
            nonce: response.nonce,
            error,
            ..Request::default()
        }))
    }
}
