//! One simulated Envoy as a state machine: responses go in, requests come out, in the order in which an Envoy makes them.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::catalogue::{Catalogue, Entry};
use crate::moves::Seen;
use crate::wire::{KINDS, Kind, Malformed, Protocol, Request, Response};

/// What it has and wants of one type.
#[derive(Debug, Default)]
struct Type {
    /// Asked for on this stream.
    requested: bool,
    /// Wanted by name; `true` once the server answered for it.
    names: BTreeMap<Arc<str>, bool>,
    held: BTreeMap<Arc<str>, Arc<Entry>>,
    /// At least one response came on this stream, or what it brought back was current.
    answered: bool,
    version: String,
    nonce: String,
}

impl Type {
    fn settled(&self) -> bool {
        self.names.values().all(|answered| *answered)
    }
}

/// What a response brought.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// To be sent, in this order.
    pub(crate) requests: Vec<Bytes>,
    pub(crate) resources: usize,
    /// Endpoints among them with somebody who moves.
    pub(crate) moved: Vec<Arc<Entry>>,
    /// Services that had endpoints and have none.
    pub(crate) emptied: usize,
}

/// An Envoy's side of an ADS stream.
#[derive(Debug)]
pub(crate) struct Envoy {
    protocol: Protocol,
    /// Encoded `Node`.
    node: Bytes,
    types: [Type; 5],
    /// Where it knows those who move to be.
    pub(crate) seen: Seen,
}

impl Envoy {
    pub(crate) fn new(protocol: Protocol, node: Bytes) -> Self {
        Self {
            protocol,
            node,
            types: Default::default(),
            seen: Seen::default(),
        }
    }

    /// Describes itself otherwise from its next stream on.
    pub(crate) fn describe(&mut self, node: Bytes) {
        self.node = node;
    }

    /// The first messages of a stream. After a reconnect everything is asked for at once, with what is held.
    pub(crate) fn start(&mut self) -> Vec<Bytes> {
        let resumes = !self.types[Kind::Cluster as usize].held.is_empty();
        for one in &mut self.types {
            one.requested = false;
            one.answered = false;
            one.nonce.clear();
            // What is held counts as answered: an equal resource is not sent again.
            for (name, answered) in &mut one.names {
                *answered = one.held.contains_key(name);
            }
        }
        let mut out = vec![self.ask(Kind::Cluster, true)];
        if resumes {
            for kind in &KINDS[1..] {
                if !self.types[*kind as usize].held.is_empty() {
                    out.push(self.ask(*kind, false));
                    self.types[*kind as usize].answered = true;
                }
            }
            self.types[Kind::Cluster as usize].answered = true;
        }
        out
    }

    /// Whether it has everything that it asked for and has asked for everything.
    pub(crate) fn is_ready(&self) -> bool {
        self.types[Kind::Cluster as usize].answered
            && self.types[Kind::Listener as usize].answered
            && self.types.iter().all(Type::settled)
    }

    /// Equal for two that have the same, secrets aside: the hash of each, in any order.
    pub(crate) fn fingerprint(&self) -> u64 {
        let hasher = foldhash::quality::FixedState::default();
        let hash = |kind: &Kind| {
            let held = self.types[*kind as usize].held.values();
            held.fold(0, |all, entry| {
                all ^ hasher.hash_one((*kind as u8, &entry.name, &entry.version))
            })
        };
        let kinds = KINDS.iter().filter(|kind| **kind != Kind::Secret);
        kinds.fold(0, |all: u64, kind| all ^ hash(kind))
    }

    fn ask(&mut self, kind: Kind, first: bool) -> Bytes {
        let protocol = self.protocol;
        let one = &mut self.types[kind as usize];
        let begins = !one.requested;
        one.requested = true;
        let wildcard = matches!(kind, Kind::Cluster | Kind::Listener);
        let initial = match protocol {
            Protocol::Delta if begins => one
                .held
                .values()
                .map(|e| (&*e.name, e.version.as_str()))
                .collect(),
            _ => Vec::new(),
        };
        Request {
            node: first.then_some(&*self.node),
            names: if wildcard {
                Vec::new()
            } else {
                one.names.keys().map(|name| &**name).collect()
            },
            initial,
            version: &one.version,
            nonce: if protocol == Protocol::Sotw {
                &one.nonce
            } else {
                ""
            },
            ..Request::default()
        }
        .frame(protocol, kind)
    }

    /// Takes a response; `refuse` answers it with a NACK and changes nothing.
    pub(crate) fn receive(
        &mut self,
        catalogue: &Catalogue,
        response: &Response,
        refuse: bool,
    ) -> Result<Received, Malformed> {
        let Some(kind) = response.kind else {
            return Ok(Received::default());
        };
        let mut received = Received {
            resources: response.resources.len(),
            ..Received::default()
        };
        let protocol = self.protocol;
        let one = &mut self.types[kind as usize];
        one.nonce.clone_from(&response.nonce);
        if !refuse {
            one.answered = true;
            one.version.clone_from(&response.version);
            let mut fresh = BTreeMap::new();
            for bytes in &response.resources {
                let entry = catalogue.entry(protocol, kind, bytes)?;
                if let Some(answered) = one.names.get_mut(&entry.name) {
                    *answered = true;
                }
                if entry.endpoints == Some(0) {
                    let before = one.held.get(&entry.name);
                    let had = before.is_some_and(|before| before.endpoints != Some(0));
                    received.emptied += usize::from(had);
                }
                if !entry.moves.is_empty() {
                    received.moved.push(entry.clone());
                }
                fresh.insert(entry.name.clone(), entry);
            }
            for name in &response.removed {
                one.held.remove(name.as_str());
                if let Some(answered) = one.names.get_mut(name.as_str()) {
                    *answered = true;
                }
            }
            // State of the world is the whole world for these two.
            if protocol == Protocol::Sotw && matches!(kind, Kind::Cluster | Kind::Listener) {
                one.held = fresh;
            } else {
                one.held.extend(fresh);
            }
        }
        let names_before: Vec<usize> = self.types.iter().map(|t| t.names.len()).collect();
        if matches!(kind, Kind::Cluster | Kind::Listener) && !refuse {
            self.follow(&mut received.requests);
        }
        let one = &self.types[kind as usize];
        let unchanged = names_before[kind as usize] == one.names.len();
        let names = match protocol {
            Protocol::Sotw if unchanged => one.names.keys().map(|name| &**name).collect(),
            _ => Vec::new(),
        };
        let answer = Request {
            names,
            version: &one.version,
            nonce: &one.nonce,
            refuse,
            ..Request::default()
        };
        received.requests.push(answer.frame(protocol, kind));
        // Listeners are asked for once clusters have their endpoints.
        if !self.types[Kind::Listener as usize].requested
            && self.types[Kind::Cluster as usize].answered
            && self.types[Kind::Endpoints as usize].settled()
        {
            received.requests.push(self.ask(Kind::Listener, false));
        }
        Ok(received)
    }

    /// Subscribes to what clusters and listeners refer to, and no longer to what they do not.
    fn follow(&mut self, out: &mut Vec<Bytes>) {
        for kind in [Kind::Endpoints, Kind::Route, Kind::Secret] {
            let wanted: BTreeMap<Arc<str>, bool> = [Kind::Cluster, Kind::Listener]
                .iter()
                .flat_map(|parent| self.types[*parent as usize].held.values())
                .flat_map(|entry| &entry.refers)
                .filter(|(of, _)| *of == kind)
                .map(|(_, name)| (name.clone(), false))
                .collect();
            let one = &mut self.types[kind as usize];
            let subscribe: Vec<_> = wanted
                .keys()
                .filter(|n| !one.names.contains_key(*n))
                .cloned()
                .collect();
            let unsubscribe: Vec<_> = one
                .names
                .keys()
                .filter(|n| !wanted.contains_key(*n))
                .cloned()
                .collect();
            if subscribe.is_empty() && unsubscribe.is_empty() {
                continue;
            }
            for name in &unsubscribe {
                one.names.remove(name);
                one.held.remove(name);
            }
            one.names
                .extend(subscribe.iter().map(|name| (name.clone(), false)));
            one.requested = true;
            let names: Vec<&str> = match self.protocol {
                Protocol::Delta => subscribe.iter().map(|n| &**n).collect(),
                Protocol::Sotw => one.names.keys().map(|n| &**n).collect(),
            };
            let request = Request {
                names,
                unsubscribe: unsubscribe.iter().map(|n| &**n).collect(),
                version: &one.version,
                nonce: if self.protocol == Protocol::Sotw {
                    &one.nonce
                } else {
                    ""
                },
                ..Request::default()
            };
            out.push(request.frame(self.protocol, kind));
        }
    }
}
