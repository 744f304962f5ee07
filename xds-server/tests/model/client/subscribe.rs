//! What a client asks for, and how it asks again.

use heddle_xds_server::engine::kind::Kind;
use heddle_xds_server::engine::session::{Protocol, Request};

use super::{Client, Said};
use crate::model::op;

impl Client {
    pub(crate) fn subscribe(&mut self, kind: Kind, names: &[&'static str], star: bool) -> Said {
        let protocol = self.protocol;
        let t = self.of(kind);
        let first = !std::mem::replace(&mut t.asked, true);
        if first && names.is_empty() && !star && kind.has_legacy_wildcard() {
            t.wildcard = true;
        }
        if star && !first {
            t.due.extend(op::POOL.map(str::to_owned));
        }
        t.wildcard |= star;
        t.state.explicit |= star || !names.is_empty();
        let mut subscribe: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for name in &subscribe {
            let new = t.names.insert(name.clone());
            if new && !(protocol == Protocol::Sotw && t.wildcard) {
                t.culprits.remove(name);
            }
            if new || protocol == Protocol::Delta {
                t.due.insert(name.clone());
            }
        }
        if protocol == Protocol::Sotw {
            return Said::Sotw(t.state_request(kind, None));
        }
        if star {
            subscribe.push("*".to_owned());
        }
        Said::Delta(Request {
            type_url: kind.type_url().to_owned(),
            subscribe,
            ..Request::default()
        })
    }

    /// A message that answers a response of long ago.
    pub(crate) fn stale(&mut self, kind: Kind, names: &[&'static str], refuse: bool) -> Said {
        let error = refuse.then(|| "stale".to_owned());
        if self.protocol == Protocol::Delta {
            let mut said = self.subscribe(kind, names, false);
            if let Said::Delta(request) = &mut said {
                request.nonce = "0".to_owned();
                request.error = error;
            }
            return said;
        }
        let t = self.of(kind);
        if t.in_hand.is_some() {
            // It asks for more before it has read what is under way.
            let mut said = self.subscribe(kind, names, false);
            if let Said::Sotw(request) = &mut said {
                request.nonce = "0".to_owned();
                request.error = error;
            }
            return said;
        }
        // Nothing is under way: no client says this, and nothing may come of it. A first message is not stale.
        let mut request = match t.asked {
            true => t.state_request(kind, error),
            false => return self.subscribe(kind, names, false),
        };
        request.names = names.iter().map(|name| (*name).to_owned()).collect();
        request.nonce = "0".to_owned();
        Said::Sotw(request)
    }

    pub(crate) fn unsubscribe(
        &mut self,
        kind: Kind,
        names: &[&'static str],
        star: bool,
    ) -> Option<Said> {
        let protocol = self.protocol;
        let t = self.of(kind);
        if !t.asked {
            return None;
        }
        let mut unsubscribe = Vec::new();
        for name in names {
            unsubscribe.push((*name).to_owned());
            let had = t.names.remove(*name);
            if protocol == Protocol::Delta {
                t.due.insert((*name).to_owned());
                t.has.remove(*name);
                t.proven.remove(*name);
            }
            if !t.wildcard && (had || protocol == Protocol::Delta) {
                t.forget(name);
            }
        }
        // An empty list is a wildcard until something was named: it cannot be ended by saying nothing.
        let can_end = protocol == Protocol::Delta || t.state.explicit || !t.names.is_empty();
        if star && can_end {
            unsubscribe.push("*".to_owned());
            t.wildcard = false;
            t.forget_uncovered();
        }
        t.state.explicit |= !t.names.is_empty();
        if protocol == Protocol::Sotw {
            return Some(Said::Sotw(t.state_request(kind, None)));
        }
        Some(Said::Delta(Request {
            type_url: kind.type_url().to_owned(),
            unsubscribe,
            ..Request::default()
        }))
    }

    /// Says once more what it wants, as a state-of-the-world client does with every message.
    pub(crate) fn repeat(&mut self) -> Vec<Said> {
        if self.protocol == Protocol::Delta {
            return Vec::new();
        }
        let asked = self.types.iter().filter(|(_, t)| t.asked);
        asked
            .map(|(kind, t)| Said::Sotw(t.state_request(*kind, None)))
            .collect()
    }
}
