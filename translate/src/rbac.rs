//! Access rules as Envoy RBAC: one filter refuses what a deny rule matches, the next refuses what no allow rule
//! matches. The policy's name is the rule's id, so the access log names the rule that refused a request.
//!
//! The filters in the listener are empty and closed; the rules come with the routes. A listener that changes
//! drains: connections that exist would keep the old rules for minutes. A route that changes is in force
//! for the next request.
//!
//! Rules that only report are the shadow rules of the same filters: Envoy counts them and leaves their ids for the access log.

pub(crate) mod pattern;
mod policy;
mod term;
mod tokens;

use std::collections::{BTreeMap, HashMap};

use envoy_types::pb::envoy::config::rbac::v3 as config;
use envoy_types::pb::envoy::config::rbac::v3::Policy;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3 as filter;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use heddle_model::access;
use heddle_model::id::AccessRuleId;
use heddle_model::kind::AccessRule;
use heddle_model::kind::access_rule::Effect;
use heddle_model::kind::mesh::AccessDefault;
use heddle_model::kind::service::Port;
use heddle_model::settings::authentication::ResolvedAuthentication;
use heddle_model::snapshot::{MeshSnapshot, Object, ServiceNode};
use prost::{Message as _, Name as _};

use crate::envoy::{Any, http};
use crate::naming;
use crate::origin::Source;
use crate::resource::{Diagnostic, Origin};
use crate::settings::authentication;
use policy::{About, Lost};

/// The filter's messages with an ordered map: the generated ones have a hash map, whose bytes differ from run
/// to run.
#[derive(Clone, PartialEq, prost::Message)]
struct OrderedPerRoute {
    #[prost(message, optional, tag = "2")]
    rbac: Option<OrderedFilter>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OrderedFilter {
    #[prost(message, optional, tag = "1")]
    rules: Option<OrderedRules>,
    #[prost(message, optional, tag = "2")]
    shadow_rules: Option<OrderedRules>,
    #[prost(string, tag = "3")]
    shadow_rules_stat_prefix: String,
    #[prost(string, tag = "6")]
    rules_stat_prefix: String,
    #[prost(bool, tag = "7")]
    track_per_rule_stats: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OrderedRules {
    #[prost(enumeration = "config::rbac::Action", tag = "1")]
    action: i32,
    #[prost(btree_map = "string, message", tag = "2")]
    policies: BTreeMap<String, Policy>,
}

/// One of the two filters.
#[derive(Clone, Copy)]
struct Side {
    name: &'static str,
    action: config::rbac::Action,
    /// Before the statistics of rules that decide.
    stats: &'static str,
    /// Before those of rules that only report, and before what the access log knows of them.
    reports: &'static str,
}

const DENY: Side = Side {
    name: naming::RBAC_DENY,
    action: config::rbac::Action::Deny,
    stats: "heddle_deny.",
    reports: naming::WOULD_DENY,
};
const ALLOW: Side = Side {
    name: naming::RBAC_ALLOW,
    action: config::rbac::Action::Allow,
    stats: "heddle_allow.",
    reports: naming::WOULD_ALLOW,
};

type Policies = BTreeMap<String, Policy>;

impl Side {
    /// `None`: no rules are enforced. Present and empty: an allow filter refuses everything.
    fn filter(self, rules: Option<Policies>, reporting: Policies) -> OrderedFilter {
        let of = |policies| OrderedRules {
            action: self.action.into(),
            policies,
        };
        OrderedFilter {
            rules: rules.map(of),
            shadow_rules: (!reporting.is_empty()).then(|| of(reporting)),
            shadow_rules_stat_prefix: self.reports.to_owned(),
            rules_stat_prefix: self.stats.to_owned(),
            track_per_rule_stats: true,
        }
    }

    /// The same for the routes of a service.
    fn per_route(self, rules: Option<Policies>, reporting: Policies) -> Any {
        let config = OrderedPerRoute {
            rbac: Some(self.filter(rules, reporting)),
        };
        Any {
            type_url: filter::RbacPerRoute::type_url(),
            value: config.encode_to_vec(),
        }
    }
}

/// The two filters as they stand in a listener. Without rules from a route the second refuses everything.
pub(crate) fn filters() -> Vec<HttpFilter> {
    let filter = |side: Side, rules: Option<Policies>| {
        let config = Any {
            type_url: filter::Rbac::type_url(),
            value: side.filter(rules, Policies::new()).encode_to_vec(),
        };
        http::http_filter(side.name, config)
    };
    vec![filter(DENY, None), filter(ALLOW, Some(Policies::new()))]
}

/// What a service's routes tell the two filters. Each map has at most one entry, so that its bytes have one order:
/// the one belongs to the route configuration, the other to its virtual host.
pub(crate) struct Rules {
    pub(crate) deny: HashMap<String, Any>,
    pub(crate) allow: HashMap<String, Any>,
    pub(crate) origins: Vec<Origin>,
}

/// The access rules of a service at one of its ports.
pub(crate) fn rules(snapshot: &MeshSnapshot, node: &ServiceNode, port: &Port) -> Rules {
    let default = snapshot.mesh.spec.access_default();
    let mut origins = vec![Source::Mesh(snapshot).at("/access_default", naming::RBAC_ALLOW)];
    let (mut deny, mut would_deny) = (Policies::new(), Policies::new());
    let (mut allow, mut would_allow) = (Policies::new(), Policies::new());
    let authentication = authentication::resolve(snapshot, node);
    let about = About {
        trust_domain: &snapshot.trust_domain,
        authentication: &authentication,
    };
    for rule in &node.access_rules {
        let id = rule.id.to_string();
        origins.push(Source::AccessRule(node, rule).at("", id.clone()));
        let (policy, _) = policy::of(about, &rule.spec, Some(port));
        let policies = match (rule.spec.action, rule.spec.is_report_only()) {
            (Effect::Deny, false) => &mut deny,
            (Effect::Deny, true) => &mut would_deny,
            (Effect::Allow, false) => &mut allow,
            (Effect::Allow, true) => &mut would_allow,
        };
        policies.extend(policy.map(|policy| (id, policy)));
    }
    if !port.protocol.is_tcp() && access::looks_at_paths(node, &authentication) {
        deny.insert(naming::DOT_SEGMENTS.to_owned(), policy::dot_segments());
    }
    let revoked = policy::revoked(&snapshot.trust_domain, &snapshot.revoked);
    deny.extend(revoked.map(|policy| (naming::REVOKED.to_owned(), policy)));
    let tokens = tokens::refused(&authentication);
    deny.extend(tokens.map(|(name, policy)| (name.to_owned(), policy)));
    let mut deny_config = HashMap::new();
    if !deny.is_empty() || !would_deny.is_empty() {
        let enforced = (!deny.is_empty()).then_some(deny);
        let config = DENY.per_route(enforced, would_deny);
        deny_config.insert(naming::RBAC_DENY.to_owned(), config);
    }
    let allow = (default == AccessDefault::Deny).then_some(allow);
    let allow_config = ALLOW.per_route(allow, would_allow);
    Rules {
        deny: deny_config,
        allow: HashMap::from([(naming::RBAC_ALLOW.to_owned(), allow_config)]),
        origins,
    }
}

/// What somebody should know about the access rules of a service.
pub(crate) fn diagnostics(snapshot: &MeshSnapshot, node: &ServiceNode) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let authentication = authentication::resolve(snapshot, node);
    let about = About {
        trust_domain: &snapshot.trust_domain,
        authentication: &authentication,
    };
    for rule in &node.access_rules {
        let source = Source::AccessRule(node, rule);
        found.extend(unknown_callers(snapshot, node, rule));
        found.extend(unknown_ports(node, rule));
        found.extend(unknown_providers(&authentication, node, rule));
        let (_, lost) = policy::of(about, &rule.spec, None);
        found.extend(lost.into_iter().map(|lost| lost.diagnose(source)));
        let ports = node.service.spec.ports.iter();
        for port in ports.filter(|port| port.protocol.is_tcp() && rule.spec.is_about(&port.name)) {
            let (_, lost) = policy::of(about, &rule.spec, Some(port));
            let lost = lost.into_iter().filter(Lost::is_of_tcp);
            found.extend(lost.map(|lost| lost.diagnose(source)));
        }
    }
    found
}

fn unknown_ports<'a>(
    node: &'a ServiceNode,
    rule: &'a Object<AccessRuleId, AccessRule>,
) -> impl Iterator<Item = Diagnostic> + 'a {
    let targets = rule.spec.to.iter().flatten().enumerate();
    let ports = targets.flat_map(|(i, target)| {
        let ports = target.ports.iter().flatten().enumerate();
        ports.map(move |(j, port)| (i, j, port))
    });
    ports.filter_map(move |(i, j, port)| {
        let known = node.service.spec.ports.iter().any(|one| one.name == *port);
        (!known).then(|| {
            let message = format!("the service has no port {port}; the rule waits for one");
            let pointer = format!("/to/{i}/ports/{j}");
            Source::AccessRule(node, rule).diagnose(pointer, message)
        })
    })
}

fn unknown_providers<'a>(
    authentication: &'a ResolvedAuthentication<'a>,
    node: &'a ServiceNode,
    rule: &'a Object<AccessRuleId, AccessRule>,
) -> impl Iterator<Item = Diagnostic> + 'a {
    let callers = rule.spec.from.iter().flatten().enumerate();
    let tokens = callers.filter_map(|(i, caller)| Some((i, caller.token.as_ref()?)));
    tokens.filter_map(move |(i, token)| {
        let provider = &token.provider;
        let unknown = authentication.provider(provider.as_str()).is_none();
        unknown.then(|| {
            let instead = match (rule.spec.action, &token.claims) {
                (Effect::Allow, _) => "lets nobody in by it",
                (Effect::Deny, Some(_)) => "refuses everybody by it",
                (Effect::Deny, None) => "refuses nobody by it",
            };
            let message =
                format!("no tokens of {provider} count at this service; the rule {instead}");
            let pointer = format!("/from/{i}/token/provider");
            Source::AccessRule(node, rule).diagnose(pointer, message)
        })
    })
}

fn unknown_callers<'a>(
    snapshot: &'a MeshSnapshot,
    node: &'a ServiceNode,
    rule: &'a Object<AccessRuleId, AccessRule>,
) -> impl Iterator<Item = Diagnostic> + 'a {
    let callers = rule.spec.from.iter().flatten().enumerate();
    callers.filter_map(move |(i, caller)| {
        let service = caller.service.as_ref()?;
        (!snapshot.services.contains_key(service)).then(|| {
            let message = format!("the mesh has no service {service}; the rule waits for one");
            Source::AccessRule(node, rule).diagnose(format!("/from/{i}/service"), message)
        })
    })
}
