//! Access rules as Envoy RBAC: one filter refuses what a deny rule matches, the next refuses what no allow rule
//! matches. The policy's name is the rule's id, so the access log names the rule that refused a request.
//!
//! The filters in the listener are empty and closed; the rules come with the routes. A listener that changes
//! drains: connections that exist would keep the old rules for minutes. A route that changes is in force
//! for the next request.

mod policy;

use std::collections::{BTreeMap, HashMap};

use envoy_types::pb::envoy::config::rbac::v3 as config;
use envoy_types::pb::envoy::config::rbac::v3::Policy;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3 as filter;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use heddle_model::id::AccessRuleId;
use heddle_model::kind::AccessRule;
use heddle_model::kind::access_rule::Effect;
use heddle_model::kind::mesh::AccessDefault;
use heddle_model::snapshot::{MeshSnapshot, Object, ServiceNode};
use prost::{Message as _, Name as _};

use crate::envoy::{Any, http};
use crate::naming;
use crate::origin::Source;
use crate::resource::{Diagnostic, Origin};

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
    #[prost(string, tag = "6")]
    rules_stat_prefix: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OrderedRules {
    #[prost(enumeration = "config::rbac::Action", tag = "1")]
    action: i32,
    #[prost(btree_map = "string, message", tag = "2")]
    policies: BTreeMap<String, Policy>,
}

const DENY_STATS: &str = "heddle_deny.";
const ALLOW_STATS: &str = "heddle_allow.";

/// The two filters as they stand in a listener. Without rules from a route the second refuses everything.
pub(crate) fn filters() -> Vec<HttpFilter> {
    let filter = |name: &str, stats: &str, rules: Option<OrderedRules>| {
        let config = OrderedFilter {
            rules,
            rules_stat_prefix: stats.to_owned(),
        };
        let config = Any {
            type_url: filter::Rbac::type_url(),
            value: config.encode_to_vec(),
        };
        http::http_filter(name, config)
    };
    let nobody = OrderedRules {
        action: config::rbac::Action::Allow.into(),
        policies: BTreeMap::new(),
    };
    vec![
        filter(naming::RBAC_DENY, DENY_STATS, None),
        filter(naming::RBAC_ALLOW, ALLOW_STATS, Some(nobody)),
    ]
}

/// What a service's routes tell the two filters. Each map has at most one entry, so that its bytes have one order:
/// the one belongs to the route configuration, the other to its virtual host.
pub(crate) struct Rules {
    pub(crate) deny: HashMap<String, Any>,
    pub(crate) allow: HashMap<String, Any>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The access rules of a service.
pub(crate) fn rules(snapshot: &MeshSnapshot, node: &ServiceNode) -> Rules {
    let default = snapshot.mesh.spec.access_default();
    let mut origins = vec![Source::Mesh(snapshot).at("/access_default", naming::RBAC_ALLOW)];
    let mut diagnostics = Vec::new();
    let mut deny = BTreeMap::new();
    let mut allow = BTreeMap::new();
    for rule in &node.access_rules {
        let id = rule.id.to_string();
        origins.push(Source::AccessRule(node, rule).at("", id.clone()));
        diagnostics.extend(unknown_callers(snapshot, node, rule));
        let (policy, lost) = policy::of(&snapshot.trust_domain, &rule.spec);
        let source = Source::AccessRule(node, rule);
        diagnostics.extend(lost.into_iter().map(|lost| lost.diagnose(source)));
        let policies = match rule.spec.action {
            Effect::Deny => &mut deny,
            Effect::Allow => &mut allow,
        };
        policies.extend(policy.map(|policy| (id, policy)));
    }
    let mut deny_config = HashMap::new();
    if !deny.is_empty() {
        let config = per_route(DENY_STATS, config::rbac::Action::Deny, Some(deny));
        deny_config.insert(naming::RBAC_DENY.to_owned(), config);
    }
    let allow = (default == AccessDefault::Deny).then_some(allow);
    let allow_config = per_route(ALLOW_STATS, config::rbac::Action::Allow, allow);
    Rules {
        deny: deny_config,
        allow: HashMap::from([(naming::RBAC_ALLOW.to_owned(), allow_config)]),
        origins,
        diagnostics,
    }
}

/// `None`: no rules are enforced. Present and empty: an allow filter refuses everything.
fn per_route(
    stats: &str,
    action: config::rbac::Action,
    policies: Option<BTreeMap<String, Policy>>,
) -> Any {
    let rules = policies.map(|policies| OrderedRules {
        action: action.into(),
        policies,
    });
    let config = OrderedPerRoute {
        rbac: Some(OrderedFilter {
            rules,
            rules_stat_prefix: stats.to_owned(),
        }),
    };
    Any {
        type_url: filter::RbacPerRoute::type_url(),
        value: config.encode_to_vec(),
    }
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
