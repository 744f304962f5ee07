//! Who may call whom: what the access rules of a service say to one request. Proxies decide for themselves, by what the rules
//! become there; a property test holds both to the same decisions.

mod claims;
mod paths;

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::id::AccessRuleId;
use crate::kind::AccessRule;
use crate::kind::access_rule::{Caller, Effect, LONGEST_VALUE, PathRule, Target, Who};
use crate::kind::mesh::AccessDefault;
use crate::kind::route::{HeaderIs, HeaderMatch};
use crate::name::Name;
use crate::path;
use crate::settings::Authentication;
use crate::settings::authentication::ResolvedAuthentication;
use crate::snapshot::{MeshSnapshot, Object, ServiceNode};
use paths::{is_disguised, is_exactly, is_like};

/// A request as a callee's proxy sees it; of a connection to a `tcp` port it sees the caller, its address and the port alone.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The SPIFFE id of who calls; empty: somebody in plain text.
    pub caller: &'a str,
    /// Where the connection comes from.
    pub address: IpAddr,
    /// Which port of the service is called.
    pub port: &'a Name,
    /// The method, as sent.
    pub method: &'a str,
    /// The host, with or without a port.
    pub host: &'a str,
    /// The path, as sent: with its query, in any spelling.
    pub path: &'a str,
    /// All further headers in their order, names in lower case.
    pub headers: &'a [(String, String)],
    /// The token of an end user that it carries, checked; one that does not hold never gets as far as the rules.
    pub token: Option<Token<'a>>,
}

/// A checked token of an end user.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// The name of who issued it.
    pub provider: &'a str,
    /// What it says.
    pub claims: &'a Map<String, Value>,
}

/// A stored access rule.
pub type Rule = Object<AccessRuleId, AccessRule>;

/// Why a call passes or does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Because<'a> {
    /// This rule says so.
    Rule(&'a Rule),
    /// No rule says anything, and this is what the mesh does then.
    Default,
    /// It is no request that could be compared with rules: refused in whatever mesh.
    Malformed,
    /// It carries no token of an end user, and the service wants one.
    NoToken,
    /// Some servers take its path for another one: a dot segment with parameters. Newer Envoys do, too: they resolve it, and
    /// decide about what the application gets then.
    Disguised,
    /// The service that calls is revoked.
    Revoked,
}

/// What comes of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<'a> {
    /// Whether it reaches the application.
    pub allowed: bool,
    /// Why.
    pub because: Because<'a>,
    /// The first rule that only reports and would deny it, if there is one.
    pub would_deny: Option<&'a Rule>,
    /// The first rule that only reports and would allow it, if there is one.
    pub would_allow: Option<&'a Rule>,
}

impl Decision<'_> {
    /// Whatever the rules say.
    const fn refused(because: Because<'static>) -> Self {
        Self {
            allowed: false,
            because,
            would_deny: None,
            would_allow: None,
        }
    }
}

/// What the access rules of a service say to a call. Expired rules are taken for what they were: see
/// [`MeshSnapshot::drop_expired`].
#[must_use]
pub fn decide<'a>(snapshot: &MeshSnapshot, node: &'a ServiceNode, call: &Call<'_>) -> Decision<'a> {
    let ports = &node.service.spec.ports;
    let port = ports.iter().find(|port| port.name == *call.port);
    if port.is_some_and(|port| port.protocol.is_tcp()) {
        return decide_about_connection(snapshot, node, call);
    }
    // Where callers use plain text, nobody knows who they are.
    let nameless = port.is_some_and(|port| !snapshot.mtls(node, port).mode.is_called_in_tls());
    let call = &match nameless {
        true => Call {
            caller: "",
            ..*call
        },
        false => *call,
    };
    let Ok(path) = path::plain(call.path) else {
        return Decision::refused(Because::Malformed);
    };
    if call.headers.iter().any(|(name, _)| name.contains('_')) {
        return Decision::refused(Because::Malformed);
    }
    let authentication = Authentication::resolve(&snapshot.levels(node));
    let is_open = is_open(&authentication, &path);
    let token = call.token.filter(|token| {
        // Where no token is needed none is looked at.
        !is_open && authentication.provider(token.provider).is_some()
    });
    if authentication.required.value && token.is_none() && !is_open {
        return Decision::refused(Because::NoToken);
    }
    let Some(headers) = claims::headers(&authentication, call.headers, token) else {
        return Decision::refused(Because::Malformed);
    };
    let facts = Facts {
        trust_domain: &snapshot.trust_domain,
        call,
        headers: &headers,
        token,
        authentication: &authentication,
        path: Some(&path),
    };
    let disguised = looks_at_paths(node, &authentication) && is_disguised(&path);
    facts.decide(snapshot, node, disguised)
}

/// The same about a connection that carries anything: what it asks for is known to nobody.
fn decide_about_connection<'a>(
    snapshot: &MeshSnapshot,
    node: &'a ServiceNode,
    call: &Call<'_>,
) -> Decision<'a> {
    let authentication = Authentication::resolve(&snapshot.levels(node));
    if authentication.required.value {
        return Decision::refused(Because::NoToken);
    }
    let facts = Facts {
        trust_domain: &snapshot.trust_domain,
        call,
        headers: &[],
        token: None,
        authentication: &authentication,
        path: None,
    };
    facts.decide(snapshot, node, false)
}

/// Whether some rule of a service is about paths, or some path needs no token: then paths that lie about where they lead are
/// refused.
#[must_use]
pub fn looks_at_paths(node: &ServiceNode, authentication: &ResolvedAuthentication<'_>) -> bool {
    if authentication.is_on() && !authentication.open_paths.value.is_empty() {
        return true;
    }
    let targets = node.access_rules.iter().flat_map(|rule| &rule.spec.to);
    targets.flatten().any(|target| target.paths.is_some())
}

/// Whether no token is needed at a path.
fn is_open(authentication: &ResolvedAuthentication<'_>, path: &str) -> bool {
    let mut open = authentication.open_paths.value.iter();
    open.any(|rule| rule.paths().is_some_and(|paths| is_exactly(&paths, path)))
}

struct Facts<'a> {
    trust_domain: &'a str,
    call: &'a Call<'a>,
    /// What the rules see of the headers: what a caller says in place of a claim is gone.
    headers: &'a [(String, String)],
    token: Option<Token<'a>>,
    authentication: &'a ResolvedAuthentication<'a>,
    /// `None`: it is a connection, and has no requests.
    path: Option<&'a str>,
}

impl Facts<'_> {
    /// What the rules say to it.
    fn decide<'a>(
        &self,
        snapshot: &MeshSnapshot,
        node: &'a ServiceNode,
        disguised: bool,
    ) -> Decision<'a> {
        // As proxies do it: of several, the one with the lowest id is named.
        let mut rules: Vec<&Rule> = node.access_rules.iter().collect();
        rules.sort_by_key(|rule| rule.id.to_string());
        let first = |effect: Effect, report_only: bool| {
            rules.iter().copied().find(|rule| {
                let spec = &rule.spec;
                spec.action == effect && spec.is_report_only() == report_only && self.fit(spec)
            })
        };
        let default = snapshot.mesh.spec.access_default();
        let (allowed, because) = match (first(Effect::Deny, false), first(Effect::Allow, false)) {
            (Some(rule), _) => (false, Because::Rule(rule)),
            (None, _) if disguised => (false, Because::Disguised),
            (None, _) if self.is_revoked(snapshot) => (false, Because::Revoked),
            (None, Some(rule)) => (true, Because::Rule(rule)),
            (None, None) => (default == AccessDefault::Allow, Because::Default),
        };
        Decision {
            allowed,
            because,
            would_deny: first(Effect::Deny, true),
            would_allow: first(Effect::Allow, true),
        }
    }

    /// What cannot be said to a proxy fits a rule that denies, and no rule that allows.
    fn fit(&self, rule: &AccessRule) -> bool {
        let lost = rule.action == Effect::Deny;
        let from = match rule.from.as_deref() {
            None => lost || self.is_below(&format!("spiffe://{}", self.trust_domain)),
            Some([]) => lost,
            Some(callers) => callers.iter().any(|caller| self.is_caller(caller, lost)),
        };
        let to = match rule.to.as_deref() {
            None => true,
            Some([]) => lost,
            Some(targets) => targets.iter().any(|target| self.is_target(target, lost)),
        };
        from && to
    }

    fn is_revoked(&self, snapshot: &MeshSnapshot) -> bool {
        let service = self.call.caller.strip_prefix("spiffe://");
        let service = service.and_then(|id| id.strip_prefix(self.trust_domain));
        let service = service.and_then(|path| path.strip_prefix("/service/"));
        service.is_some_and(|name| snapshot.revoked.iter().any(|one| one.as_str() == name))
    }

    fn is_below(&self, id: &str) -> bool {
        let rest = self.call.caller.strip_prefix(id);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn is_caller(&self, caller: &Caller, lost: bool) -> bool {
        let id = match caller.who() {
            None => return lost,
            Some(Who::Anybody) => true,
            Some(Who::Service(service)) => {
                self.call.caller == format!("spiffe://{}/service/{service}", self.trust_domain)
            }
            Some(Who::Spiffe(id)) => self.call.caller == id,
            Some(Who::Below(prefix)) => self.is_below(prefix),
        };
        let network = |text: &String| match text.parse::<crate::net::Cidr>() {
            Ok(network) => network.contains(self.call.address),
            Err(_) => lost,
        };
        let networks = match caller.networks.as_deref() {
            None => true,
            Some([]) => lost,
            Some(networks) => networks.iter().any(network),
        };
        let token = match (&caller.token, self.path) {
            (None, _) => true,
            (Some(_), None) => lost,
            (Some(wanted), Some(_)) => claims::fit(self.authentication, self.token, wanted, lost),
        };
        id && networks && token
    }

    fn is_target(&self, target: &Target, lost: bool) -> bool {
        let Target {
            methods,
            paths,
            headers,
            hosts,
            ports,
        } = target;
        if *target == Target::default() {
            return lost;
        }
        let any = |given: bool, len: Option<usize>| match len {
            None => true,
            Some(0) => lost,
            Some(_) => given,
        };
        // What a connection asks for fits a rule that denies, and no rule that allows.
        let asked = |given: bool, len: Option<usize>| match self.path {
            None => lost || len.is_none(),
            Some(_) => any(given, len),
        };
        let method = methods
            .iter()
            .flatten()
            .any(|m| m.as_str() == self.call.method);
        let path = paths.iter().flatten().any(|path| self.is_path(path, lost));
        let host = hosts
            .iter()
            .flatten()
            .any(|host| self.is_host(host.as_str()));
        let port = ports.iter().flatten().any(|port| port == self.call.port);
        let header = headers
            .iter()
            .flatten()
            .all(|header| self.has_header(header, lost));
        asked(method, methods.as_ref().map(Vec::len))
            && asked(path, paths.as_ref().map(Vec::len))
            && asked(host, hosts.as_ref().map(Vec::len))
            && any(port, ports.as_ref().map(Vec::len))
            && asked(header, headers.as_ref().map(Vec::len))
    }

    fn is_host(&self, host: &str) -> bool {
        let given = self.call.host;
        let given = match given.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => given,
        };
        given.trim_end_matches('.').eq_ignore_ascii_case(host)
    }

    fn is_path(&self, rule: &PathRule, lost: bool) -> bool {
        match (rule.paths(), self.path, lost) {
            (None, ..) | (_, None, _) => lost,
            (Some(paths), Some(path), false) => is_exactly(&paths, path),
            (Some(paths), Some(path), true) => is_like(&paths, path),
        }
    }

    fn has_header(&self, header: &HeaderMatch, lost: bool) -> bool {
        let sent = self.headers.iter();
        let mut values = sent
            .filter(|(name, _)| *name == header.name)
            .map(|(_, v)| v.trim());
        let some = self.headers.iter().any(|(name, _)| *name == header.name);
        let lower = |text: &str| text.to_ascii_lowercase();
        let mut parts = values
            .clone()
            .flat_map(|value| value.split(',').map(str::trim));
        let long = |value: &str| value.len() > LONGEST_VALUE;
        match (header.wants(), lost) {
            (None, lost) => lost,
            (Some(HeaderIs::Exactly(value) | HeaderIs::Beginning(value)), false) if long(value) => {
                false
            }
            (Some(HeaderIs::Present), _) => some,
            (Some(HeaderIs::Absent), _) => !some,
            (Some(HeaderIs::Exactly(wanted)), false) => some && parts.all(|v| v == wanted),
            (Some(HeaderIs::Beginning(wanted)), false) => {
                some && parts.all(|v| v.starts_with(wanted))
            }
            (Some(HeaderIs::Exactly(wanted)), true) => {
                !values.all(is_plain) || parts.any(|v| lower(v) == lower(wanted))
            }
            (Some(HeaderIs::Beginning(wanted)), true) => {
                !values.all(is_plain) || parts.any(|v| lower(v).starts_with(&lower(wanted)))
            }
        }
    }
}

/// Whether a value is all printable ASCII: nobody compares others reliably.
fn is_plain(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}
