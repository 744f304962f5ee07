//! One access rule as a policy. Total: whatever a rule holds becomes something. What cannot be said to a proxy lets
//! nobody in when the rule allows, and refuses everybody when it denies; it never falls out of a rule in silence.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::rbac::v3::{Permission, Policy, Principal, principal};
use heddle_model::kind::AccessRule;
use heddle_model::kind::access_rule::{Caller, Effect, PathRule, Paths, Target, UserToken, Who};
use heddle_model::kind::route::HeaderMatch;
use heddle_model::kind::service::Port;
use heddle_model::name::Name;
use heddle_model::net::Cidr;
use heddle_model::settings::authentication::ResolvedAuthentication;

use super::term::{
    all_of, and, any_of, anybody, anybody_but, anything, header, identified, not, or, path, whoever,
};
use super::{pattern, tokens};
use crate::envoy::{exact, prefix};
use crate::origin::Source;
use crate::resource::Diagnostic;
use crate::{matching, naming};

/// A place in a rule that cannot be said to a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pointer: String,
    effect: Effect,
    /// The port whose connections have no requests, when that is why.
    port: Option<Name>,
}

impl Lost {
    /// Whether it is because connections have no requests.
    pub(super) const fn is_of_tcp(&self) -> bool {
        self.port.is_some()
    }

    pub(super) fn diagnose(self, source: Source<'_>) -> Diagnostic {
        if let Some(port) = &self.port {
            let instead = match self.effect {
                Effect::Allow => "lets nobody in there by it",
                Effect::Deny => "refuses everybody there by it; name other ports in `ports`",
            };
            let message = format!(
                "connections to the tcp port {port} say nothing about this; the rule {instead}"
            );
            return source.diagnose(self.pointer, message);
        }
        let instead = match self.effect {
            Effect::Allow => "the rule lets nobody in by it",
            Effect::Deny => "the rule refuses everything by it",
        };
        let message = format!("no proxy can be told what stands here; {instead}");
        source.diagnose(self.pointer, message)
    }
}

/// What a rule is read against.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) trust_domain: &'a str,
    /// Whose tokens count at the service.
    pub(super) authentication: &'a ResolvedAuthentication<'a>,
}

/// Collects what cannot be said.
struct Draft<'a> {
    about: About<'a>,
    /// Whose listener it is for; `None`: any.
    port: Option<&'a Port>,
    effect: Effect,
    lost: Vec<Lost>,
}

/// The policy of a rule at a port, and what of the rule is not in it. No policy: it matches nothing there.
pub(super) fn of(
    about: About<'_>,
    rule: &AccessRule,
    port: Option<&Port>,
) -> (Option<Policy>, Vec<Lost>) {
    let mut draft = Draft {
        about,
        port,
        effect: rule.action,
        lost: Vec::new(),
    };
    let principals = draft.principals(rule.from.as_deref());
    let permissions = draft.permissions(rule.to.as_deref());
    // Envoy refuses a policy without either.
    let policy = (!principals.is_empty() && !permissions.is_empty()).then(|| Policy {
        permissions,
        principals,
        ..Policy::default()
    });
    (policy, draft.lost)
}

impl Draft<'_> {
    /// What to put in the place of something that cannot be said.
    fn instead<T>(&mut self, pointer: String, everything: impl FnOnce() -> T) -> Option<T> {
        let effect = self.effect;
        self.lost.push(Lost {
            pointer,
            effect,
            port: None,
        });
        match effect {
            Effect::Allow => None,
            Effect::Deny => Some(everything()),
        }
    }

    /// The same for what only requests have, where there are none; `None`: there are.
    fn without_requests<T>(
        &mut self,
        pointer: String,
        everything: impl FnOnce() -> T,
    ) -> Option<Option<T>> {
        let port = self.port.filter(|port| port.protocol.is_tcp())?;
        let effect = self.effect;
        self.lost.push(Lost {
            pointer,
            effect,
            port: Some(port.name.clone()),
        });
        Some(match effect {
            Effect::Allow => None,
            Effect::Deny => Some(everything()),
        })
    }

    fn principals(&mut self, from: Option<&[Caller]>) -> Vec<Principal> {
        match (from, self.effect) {
            (None, Effect::Allow) => {
                vec![whoever(prefix(naming::spiffe_prefix(
                    self.about.trust_domain,
                )))]
            }
            (None, Effect::Deny) => vec![anybody()],
            (Some([]), _) => {
                let everybody = self.instead("/from".to_owned(), anybody);
                everybody.into_iter().collect()
            }
            (Some(callers), _) => {
                let each = callers.iter().enumerate();
                each.filter_map(|(i, caller)| self.principal(i, caller))
                    .collect()
            }
        }
    }

    /// One caller by its SPIFFE id, trust domain included, and where it calls from.
    fn principal(&mut self, i: usize, caller: &Caller) -> Option<Principal> {
        let who = match caller.who() {
            Some(Who::Anybody) => None,
            Some(Who::Service(service)) => {
                let id = naming::spiffe_id(self.about.trust_domain, service);
                Some(whoever(exact(id)))
            }
            Some(Who::Spiffe(id)) => Some(whoever(exact(id))),
            Some(Who::Below(id)) => Some(any_of(vec![
                whoever(exact(id)),
                whoever(prefix(format!("{id}/"))),
            ])),
            None => return self.instead(format!("/from/{i}"), anybody),
        };
        let networks = match &caller.networks {
            None => None,
            Some(networks) => Some(self.networks(i, networks)?),
        };
        let token = match &caller.token {
            None => None,
            Some(token) => Some(self.token(i, token)?),
        };
        let ids: Vec<Principal> = [who, networks, token].into_iter().flatten().collect();
        match ids.is_empty() {
            true => self.instead(format!("/from/{i}"), anybody),
            false => Some(all_of(ids)),
        }
    }

    /// A checked token that says so. A rule that denies by claims takes in whoever has none.
    fn token(&mut self, i: usize, token: &UserToken) -> Option<Principal> {
        let provider = self.about.authentication.provider(token.provider.as_str());
        if let Some(instead) = self.without_requests(format!("/from/{i}/token"), anybody) {
            return instead;
        }
        let at = format!("/from/{i}/token/claims");
        let Some(claims) = &token.claims else {
            // Of a provider that does not count nobody has any.
            return provider.map(tokens::has);
        };
        if claims.is_empty() {
            return self.instead(at, anybody);
        }
        let mut all = Vec::new();
        for (j, claim) in claims.iter().enumerate() {
            match tokens::says(token, claim) {
                Some(says) => all.push(says),
                None => return self.instead(format!("{at}/{j}"), anybody),
            }
        }
        match (provider, self.effect) {
            (None, Effect::Allow) => None,
            (None, Effect::Deny) => Some(anybody()),
            (Some(provider), Effect::Allow) => {
                all.insert(0, tokens::has(provider));
                Some(all_of(all))
            }
            (Some(provider), Effect::Deny) => {
                let none = anybody_but(tokens::has(provider));
                Some(any_of(vec![none, all_of(all)]))
            }
        }
    }

    fn networks(&mut self, i: usize, networks: &[String]) -> Option<Principal> {
        let mut any = Vec::new();
        for (j, network) in networks.iter().enumerate() {
            match network.parse::<Cidr>() {
                Ok(network) => any.extend(
                    pattern::ranges(network)
                        .into_iter()
                        // The peer of the connection: `remote_ip` would believe `x-forwarded-for`.
                        .map(|range| identified(principal::Identifier::DirectRemoteIp(range))),
                ),
                Err(_) => any.extend(self.instead(format!("/from/{i}/networks/{j}"), anybody)),
            }
        }
        if networks.is_empty() {
            return self.instead(format!("/from/{i}/networks"), anybody);
        }
        (!any.is_empty()).then(|| any_of(any))
    }

    fn permissions(&mut self, to: Option<&[Target]>) -> Vec<Permission> {
        match to {
            None => vec![anything()],
            Some([]) => {
                let everything = self.instead("/to".to_owned(), anything);
                everything.into_iter().collect()
            }
            Some(targets) => {
                let each = targets.iter().enumerate();
                each.filter_map(|(i, target)| self.permission(i, target))
                    .collect()
            }
        }
    }

    /// All of what a target says.
    fn permission(&mut self, i: usize, target: &Target) -> Option<Permission> {
        let Target {
            methods,
            paths,
            headers,
            hosts,
            ports,
        } = target;
        if *target == Target::default() {
            return self.instead(format!("/to/{i}"), anything);
        }
        let mut all = Vec::new();
        match (ports.as_deref(), self.port) {
            (Some([]), _) => all.push(self.instead(format!("/to/{i}/ports"), anything)?),
            // The rules of a port are those of its listener: its number there is not the service's.
            (Some(ports), Some(here)) if !ports.contains(&here.name) => return None,
            (None | Some(_), _) => {}
        }
        let asked = [
            (methods.is_some(), "methods"),
            (paths.is_some(), "paths"),
            (headers.is_some(), "headers"),
            (hosts.is_some(), "hosts"),
        ];
        for (_, field) in asked.iter().filter(|(given, _)| *given) {
            let instead = self.without_requests(format!("/to/{i}/{field}"), anything);
            if let Some(instead) = instead {
                return instead;
            }
        }
        match methods.as_deref() {
            None => {}
            Some([]) => all.push(self.instead(format!("/to/{i}/methods"), anything)?),
            Some(methods) => all.push(header(matching::methods(methods))),
        }
        if let Some(paths) = paths {
            all.push(self.paths(i, paths)?);
        }
        match hosts.as_deref() {
            None => {}
            Some([]) => all.push(self.instead(format!("/to/{i}/hosts"), anything)?),
            Some(hosts) => {
                let each = hosts
                    .iter()
                    .map(|host| header(pattern::host(host.as_str())));
                all.extend(or(each.collect()));
            }
        }
        if let Some(headers) = headers {
            self.headers(i, headers, &mut all)?;
        }
        // Ports alone: whatever is asked of them.
        Some(and(all).unwrap_or_else(anything))
    }

    /// Any of these paths.
    fn paths(&mut self, i: usize, paths: &[PathRule]) -> Option<Permission> {
        if paths.is_empty() {
            return self.instead(format!("/to/{i}/paths"), anything);
        }
        let mut any = Vec::new();
        for (j, path) in paths.iter().enumerate() {
            match path.paths() {
                Some(paths) => any.extend(at(self.effect, &paths)),
                None => any.extend(self.instead(format!("/to/{i}/paths/{j}"), anything)),
            }
        }
        or(any)
    }

    /// All of these headers.
    fn headers(
        &mut self,
        i: usize,
        headers: &[HeaderMatch],
        all: &mut Vec<Permission>,
    ) -> Option<()> {
        if headers.is_empty() {
            all.push(self.instead(format!("/to/{i}/headers"), anything)?);
        }
        for (j, one) in headers.iter().enumerate() {
            let Some(wants) = one.wants() else {
                all.push(self.instead(format!("/to/{i}/headers/{j}"), anything)?);
                continue;
            };
            let holds = |one: pattern::Conditions| {
                let must_not = one.must_not.map(|other| not(header(other)));
                let both = std::iter::once(header(one.must)).chain(must_not);
                and(both.collect())
            };
            let any = match self.effect {
                Effect::Allow => match pattern::narrow_header(&one.name, wants) {
                    Some(conditions) => vec![conditions],
                    None => {
                        let instead = self.instead(format!("/to/{i}/headers/{j}"), anything);
                        all.push(instead?);
                        continue;
                    }
                },
                Effect::Deny => pattern::broad_header(&one.name, wants),
            };
            all.extend(or(any.into_iter().filter_map(holds).collect()));
        }
        Some(())
    }
}

/// Paths with a dot segment that parameters disguise, from whomever.
pub(super) fn dot_segments() -> Policy {
    Policy {
        permissions: vec![path(pattern::dot_segments())],
        principals: vec![anybody()],
        ..Policy::default()
    }
}

/// Everything from services whose identity is revoked; none when none is.
pub(super) fn revoked(trust_domain: &str, services: &BTreeSet<Name>) -> Option<Policy> {
    let service = |name| whoever(exact(naming::spiffe_id(trust_domain, name)));
    let principals: Vec<Principal> = services.iter().map(service).collect();
    // Envoy refuses a policy without either.
    (!principals.is_empty()).then(|| Policy {
        permissions: vec![anything()],
        principals,
        ..Policy::default()
    })
}

/// At these paths: exactly them in a rule that allows, and all that some server takes for them in one that denies.
pub(super) fn at(effect: Effect, paths: &Paths<'_>) -> Vec<Permission> {
    if pattern::is_every(paths) {
        // Not a prefix of "/": `OPTIONS *` has a path without one.
        return vec![anything()];
    }
    let patterns = match effect {
        Effect::Allow => pattern::narrow(paths),
        Effect::Deny => vec![pattern::broad(paths)],
    };
    patterns.into_iter().map(path).collect()
}

#[cfg(test)]
mod tests {
    use heddle_model::settings::{Authentication, Levels, Settings};
    use serde_json::{Value, json};

    use super::*;

    /// Specs that no decoder lets through: an older or a newer process may have written them.
    fn made(effect: &str, rest: Value) -> (Option<Policy>, Vec<String>) {
        let mut rule = rest;
        rule["action"] = json!(effect);
        let rule: AccessRule = serde_json::from_value(rule).unwrap();
        let settings = json!({"authentication": Authentication::sample()});
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let levels = Levels {
            mesh: Some(&settings),
            ..Levels::default()
        };
        let about = About {
            trust_domain: "td",
            authentication: &Authentication::resolve(&levels),
        };
        let (policy, lost) = of(about, &rule, None);
        (policy, lost.into_iter().map(|lost| lost.pointer).collect())
    }

    /// Parts that cannot be said to a proxy, and where they stand.
    fn lost() -> Vec<(Value, &'static str)> {
        let claims = |claims: Value| json!({"from": [{"token": {"provider": "accounts", "claims": claims}}]});
        let two = json!({"service": "a", "spiffe": "spiffe://td/x"});
        vec![
            (json!({"from": []}), "/from"),
            (json!({"from": [{}]}), "/from/0"),
            (json!({"from": [two]}), "/from/0"),
            (json!({"to": []}), "/to"),
            (json!({"to": [{}]}), "/to/0"),
            (json!({"from": [{"networks": []}]}), "/from/0/networks"),
            (json!({"from": [{"networks": ["x"]}]}), "/from/0/networks/0"),
            (claims(json!([])), "/from/0/token/claims"),
            (
                claims(json!([{"claim": [], "values": ["x"]}])),
                "/from/0/token/claims/0",
            ),
            (
                claims(json!([{"claim": ["x"], "values": []}])),
                "/from/0/token/claims/0",
            ),
            (json!({"to": [{"methods": []}]}), "/to/0/methods"),
            (json!({"to": [{"ports": []}]}), "/to/0/ports"),
            (json!({"to": [{"hosts": []}]}), "/to/0/hosts"),
            (json!({"to": [{"headers": []}]}), "/to/0/headers"),
            (
                json!({"to": [{"headers": [{"name": "x"}]}]}),
                "/to/0/headers/0",
            ),
            (
                json!({"to": [{"paths": [{"template": "/{x}"}]}]}),
                "/to/0/paths/0",
            ),
            (json!({"to": [{"paths": []}]}), "/to/0/paths"),
            (json!({"to": [{"paths": [{}]}]}), "/to/0/paths/0"),
            (
                json!({"to": [{"paths": [{"exact": "/a", "prefix": "/b"}]}]}),
                "/to/0/paths/0",
            ),
        ]
    }

    #[test]
    fn sec_z04_what_cannot_be_said_is_never_anybody_in_an_allow_rule() {
        for (rule, pointer) in lost() {
            let (policy, lost) = made("allow", rule.clone());
            assert_eq!(policy, None, "{rule}");
            assert_eq!(lost, [pointer], "{rule}");
        }
    }

    #[test]
    fn sec_z04_what_cannot_be_said_is_everybody_in_a_deny_rule() {
        for (rule, pointer) in lost() {
            let (policy, lost) = made("deny", rule.clone());
            let policy = policy.unwrap();
            assert_eq!(policy.principals, [anybody()], "{rule}");
            assert_eq!(policy.permissions, [anything()], "{rule}");
            assert_eq!(lost, [pointer], "{rule}");
        }
    }

    #[test]
    fn sec_z04_the_rest_of_a_rule_holds_beside_what_cannot_be_said() {
        let from = json!({"from": [{"service": "a"}, {}]});
        let (allow, lost) = made("allow", from.clone());
        assert_eq!(lost, ["/from/1"]);
        let only = whoever(exact("spiffe://td/service/a"));
        assert_eq!(allow.unwrap().principals, std::slice::from_ref(&only));
        // A deny rule that knows one of its two callers must not forget the other.
        let (deny, _) = made("deny", from);
        assert_eq!(deny.unwrap().principals, [only, anybody()]);

        let to = json!({"to": [{"methods": ["GET"], "paths": [{"exact": "/a"}, {}]}, {}]});
        let (allow, lost) = made("allow", to.clone());
        assert_eq!(lost, ["/to/0/paths/1", "/to/1"]);
        assert_eq!(allow.unwrap().permissions.len(), 1);
        let (deny, _) = made("deny", to);
        assert_eq!(deny.unwrap().permissions[1], anything());
    }

    #[test]
    fn sec_z04_what_only_requests_have_is_never_true_and_never_false_of_a_connection() {
        let port: Port =
            serde_json::from_value(json!({"name": "pg", "port": 1, "protocol": "tcp"})).unwrap();
        let of_port = |effect: &str, rest: Value| {
            let mut rule = rest;
            rule["action"] = json!(effect);
            let rule: AccessRule = serde_json::from_value(rule).unwrap();
            let about = About {
                trust_domain: "td",
                authentication: &Authentication::resolve(&Levels::default()),
            };
            let (policy, lost) = of(about, &rule, Some(&port));
            (
                policy,
                lost.into_iter()
                    .map(|lost| lost.pointer)
                    .collect::<Vec<_>>(),
            )
        };
        for (rule, pointer) in [
            (json!({"to": [{"methods": ["GET"]}]}), "/to/0/methods"),
            (json!({"to": [{"paths": [{"exact": "/"}]}]}), "/to/0/paths"),
            (
                json!({"to": [{"headers": [{"name": "x", "present": false}], "ports": ["pg"]}]}),
                "/to/0/headers",
            ),
            (json!({"to": [{"hosts": ["ledger"]}]}), "/to/0/hosts"),
            (
                json!({"from": [{"token": {"provider": "accounts"}}]}),
                "/from/0/token",
            ),
            (
                json!({"from": [{"service": "a", "token": {"provider": "accounts"}}]}),
                "/from/0/token",
            ),
        ] {
            let (allow, lost) = of_port("allow", rule.clone());
            assert_eq!((allow, lost), (None, vec![pointer.to_owned()]), "{rule}");
            let (deny, lost) = of_port("deny", rule.clone());
            let deny = deny.unwrap();
            assert_eq!(deny.permissions, [anything()], "{rule}");
            assert_eq!(lost, [pointer], "{rule}");
        }
        // What is about other ports says nothing here.
        let elsewhere = json!({"to": [{"methods": ["GET"], "ports": ["http"]}]});
        assert_eq!(of_port("deny", elsewhere), (None, Vec::new()));
        let known = json!({"from": [{"service": "a", "networks": ["10.0.0.0/8"]}], "to": [{"ports": ["pg"]}]});
        let (allow, lost) = of_port("allow", known);
        assert_eq!(allow.unwrap().permissions, [anything()]);
        assert_eq!(lost, Vec::<String>::new());
    }

    #[test]
    fn absent_callers_and_targets_are_all_of_them() {
        let (allow, lost) = made("allow", json!({}));
        let allow = allow.unwrap();
        assert_eq!(allow.principals, [whoever(prefix("spiffe://td/"))]);
        assert_eq!(allow.permissions, [anything()]);
        assert_eq!(lost, Vec::<String>::new());
        let (deny, lost) = made("deny", json!({}));
        let deny = deny.unwrap();
        assert_eq!(deny.principals, [anybody()]);
        assert_eq!(deny.permissions, [anything()]);
        assert_eq!(lost, Vec::<String>::new());
    }
}
