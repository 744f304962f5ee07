//! What a client says of itself at the beginning of a stream.

use std::collections::BTreeMap;

use heddle_xds_server::engine::kind::Kind;
use heddle_xds_server::engine::session::{Protocol, Request, StateRequest};

use super::{Client, Said, Type, Versions};
use crate::model::op;

impl Client {
    /// The first messages of a new stream. `current` is what the server has to give.
    pub(crate) fn reconnect(
        &mut self,
        versions: Versions,
        remembers: bool,
        current: &BTreeMap<(Kind, String), String>,
    ) -> Vec<Said> {
        let mut requests = Vec::new();
        for (kind, t) in &mut self.types {
            t.in_hand = None;
            t.due.clear();
            t.unproven.clear();
            if !t.wildcard && t.names.is_empty() {
                *t = Type::default();
                continue;
            }
            t.claim(self.protocol, *kind, versions);
            let said = match self.protocol {
                Protocol::Delta => Said::Delta(t.resume(*kind, remembers)),
                Protocol::Sotw => Said::Sotw(t.resume_state(*kind, remembers, current)),
            };
            requests.push(said);
        }
        requests
    }
}

impl Type {
    /// Spoils what it has, or forgets it; also when it could only claim it wrongly.
    fn claim(&mut self, protocol: Protocol, kind: Kind, versions: Versions) {
        match versions {
            Versions::Right if protocol == Protocol::Delta || self.is_honest(kind) => {}
            Versions::Right | Versions::None => {
                self.has.clear();
                self.state.version.clear();
            }
            Versions::Wrong => {
                self.state.version = "junk".to_owned();
                for (i, version) in self.has.values_mut().enumerate() {
                    if i % 2 == 0 {
                        *version = "junk".to_owned();
                    }
                }
                for name in ["a", "nobody"] {
                    if self.covers(name) {
                        self.has.insert(name.to_owned(), "junk".to_owned());
                    }
                }
            }
        }
        self.proven = self.has.keys().cloned().collect();
    }

    fn resume(&mut self, kind: Kind, remembers: bool) -> Request {
        if !remembers || self.has.is_empty() {
            self.culprits.clear();
        }
        let mut subscribe: Vec<_> = self.names.iter().cloned().collect();
        let lacks = subscribe
            .iter()
            .filter(|name| !self.has.contains_key(*name));
        self.due.extend(lacks.cloned());
        if self.wildcard && !(kind.has_legacy_wildcard() && subscribe.is_empty()) {
            subscribe.push("*".to_owned());
        }
        Request {
            type_url: kind.type_url().to_owned(),
            subscribe,
            initial_versions: self.has.clone(),
            ..Request::default()
        }
    }

    fn resume_state(
        &mut self,
        kind: Kind,
        remembers: bool,
        current: &BTreeMap<(Kind, String), String>,
    ) -> StateRequest {
        if !remembers || self.state.version.is_empty() {
            self.culprits.clear();
        }
        let state = &mut self.state;
        state.nonce.clear();
        state.foreign = !state.version.is_empty();
        // One that names nothing starts anew as a wildcard; others say it, because an empty list means nothing to them.
        state.explicit = !self.names.is_empty() || !kind.has_legacy_wildcard();
        let current: BTreeMap<&String, &String> = current
            .iter()
            .filter(|((k, name), _)| *k == kind && self.covers(name) && name != crate::model::OWN)
            .map(|((_, name), version)| (name, version))
            .collect();
        let meant = self
            .state
            .meant
            .iter()
            .filter(|(name, _)| *name != crate::model::OWN);
        let recognised = !self.state.version.is_empty()
            && self.state.version != "junk"
            && self.culprits.is_empty()
            && meant.collect::<BTreeMap<_, _>>() == current;
        if !recognised {
            // It cannot say which part of it is current, so all of it may come once more.
            self.due.extend(op::POOL.map(str::to_owned));
        }
        if self.state.version.is_empty() {
            self.state.meant.clear();
        }
        self.state_request(kind, None)
    }
}
