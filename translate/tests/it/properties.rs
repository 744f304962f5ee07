//! What holds for any mesh.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::{
    RouteConfiguration, route::Action, route_action::ClusterSpecifier,
};
use envoy_types::pb::google::protobuf::Any;
use heddle_model::kind::access_rule::Effect;
use heddle_model::kind::split::Weight;
use heddle_model::settings::Authentication;
use heddle_translate::{Output, Resource, ResourceType};
use proptest::prelude::*;
use prost::Message;
use serde_json::Value;

use crate::any_mesh::{case, name};
use crate::case::{Case, options};
use crate::protos;

fn versions(resources: &[Resource]) -> BTreeMap<(ResourceType, String), String> {
    let entry = |resource: &Resource| {
        (
            (resource.kind, resource.name.clone()),
            resource.version.clone(),
        )
    };
    resources.iter().map(entry).collect()
}

fn changed(before: &Output, after: &Output) -> Vec<String> {
    let (before, after) = (versions(&before.resources), versions(&after.resources));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|(kind, name)| format!("{kind} {name}"))
        .collect()
}

fn decode<M: Message + Default>(resource: &Resource) -> M {
    let any = Any::decode(resource.body.clone()).unwrap();
    assert_eq!(any.type_url, resource.kind.type_url());
    M::decode(any.value.as_slice()).unwrap()
}

fn clusters(configuration: &RouteConfiguration) -> BTreeSet<String> {
    let routes = configuration
        .virtual_hosts
        .iter()
        .flat_map(|host| &host.routes);
    let mut names = BTreeSet::new();
    for route in routes {
        let Some(Action::Route(action)) = &route.action else {
            continue;
        };
        match action.cluster_specifier.as_ref().unwrap() {
            ClusterSpecifier::Cluster(name) => {
                names.insert(name.clone());
            }
            ClusterSpecifier::WeightedClusters(weighted) => {
                assert!(
                    weighted
                        .clusters
                        .iter()
                        .all(|c| c.weight.unwrap().value > 0)
                );
                names.extend(weighted.clusters.iter().map(|cluster| cluster.name.clone()));
            }
            other => panic!("{other:?}"),
        }
    }
    names
}

fn shuffle<T>(values: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for i in (1..values.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33).unwrap() % (i + 1);
        values.swap(i, other);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_order_of_the_input_does_not_matter(given in case(), seed in any::<u64>()) {
        let mut shuffled = given.clone();
        for node in shuffled.snapshot.services.values_mut().map(Arc::make_mut) {
            shuffle(&mut node.routes, seed);
            shuffle(&mut node.access_rules, seed);
            for one in &mut node.routes {
                shuffle(&mut one.route.spec.backends, seed);
                if let Some(split) = &mut one.split {
                    shuffle(&mut split.spec.weights, seed);
                }
            }
            shuffle(node.service.spec.hostnames.as_mut().unwrap(), seed);
            shuffle(node.service.spec.upstreams.as_mut().unwrap(), seed);
        }
        prop_assert_eq!(changed(&given.translate(), &shuffled.translate()), Vec::<String>::new());
    }

    #[test]
    fn outputs_are_sorted_unique_and_say_where_they_came_from(given in case()) {
        let outputs = [
            heddle_translate::mesh(&given.snapshot, &options()),
            heddle_translate::proxy(&given.snapshot, &given.view),
        ];
        for output in &outputs {
            let keys: Vec<_> = output.resources.iter().map(|r| (r.kind, &r.name)).collect();
            prop_assert!(keys.is_sorted());
            prop_assert!(output.diagnostics.is_sorted());
        }
        let all = given.translate().resources;
        prop_assert_eq!(versions(&all).len(), all.len(), "a name stands twice");
        for resource in &all {
            prop_assert!(!resource.origins.is_empty(), "{} has no origin", resource.name);
            prop_assert_eq!(resource.version.len(), 32);
            for origin in &resource.origins {
                prop_assert!(!origin.within.contains("  "), "{:?}", origin);
            }
        }
    }

    #[test]
    fn xds_x36_every_cluster_of_a_route_and_of_a_listener_exists(given in case()) {
        let all = given.translate().resources;
        let present: BTreeSet<String> = all
            .iter()
            .filter(|resource| resource.kind == ResourceType::Cluster)
            .map(|resource| resource.name.clone())
            .collect();
        for resource in all.iter().filter(|resource| resource.kind == ResourceType::Route) {
            let named = clusters(&decode(resource));
            prop_assert!(named.is_subset(&present), "{:?} not all in {:?}", named, present);
            let needs: BTreeSet<String> = resource.needs.iter().map(|(_, name)| name.clone()).collect();
            prop_assert_eq!(named, needs);
            prop_assert!(resource.needs.iter().all(|(kind, _)| *kind == ResourceType::Cluster));
        }
        let mut bound = BTreeSet::new();
        for listener in all.iter().filter(|resource| resource.kind == ResourceType::Listener) {
            let value = protos::json(listener);
            let filter = &value["filter_chains"][0]["filters"][0]["typed_config"];
            if let Some(cluster) = filter["cluster"].as_str() {
                prop_assert!(present.contains(cluster), "{cluster} is not in {present:?}");
                prop_assert_eq!(&listener.needs, &[(ResourceType::Cluster, cluster.to_owned())]);
            }
            let port = &value["address"]["socket_address"]["port_value"];
            prop_assert!(bound.insert(port.to_string()), "{port} is bound twice");
        }
    }

    #[test]
    fn xds_x31_children_exist_and_every_child_has_a_parent(given in case()) {
        let all = given.translate().resources;
        let children: BTreeSet<_> = all.iter().filter_map(|resource| resource.child.clone()).collect();
        let of = |kinds: [ResourceType; 2]| -> BTreeSet<_> {
            let chosen = all.iter().filter(|resource| kinds.contains(&resource.kind));
            chosen.map(|resource| (resource.kind, resource.name.clone())).collect()
        };
        prop_assert_eq!(children, of([ResourceType::Endpoints, ResourceType::Route]));
    }

    #[test]
    fn sec_z03_tokens_are_checked_before_access_rules_and_never_passed_over(given in case()) {
        let Some(node) = given.snapshot.services.get("payments") else { return Ok(()) };
        let authentication = Authentication::resolve(&given.snapshot.levels(node));
        let mut order = vec!["heddle.health"];
        order.extend(authentication.claim_headers().next().map(|_| "heddle.strip-claims"));
        let checked = !authentication.providers.value.is_empty();
        order.extend(checked.then_some("heddle.jwt"));
        order.extend(["heddle.rbac.deny", "heddle.rbac.allow", "envoy.filters.http.router"]);
        for resource in &heddle_translate::proxy(&given.snapshot, &given.view).resources {
            if !resource.name.starts_with("heddle/inbound/") {
                continue;
            }
            let value = protos::json(resource);
            let port = resource.name.rsplit('/').next().unwrap();
            let ports = node.service.spec.ports.iter();
            let tcp = ports.filter(|one| one.protocol.is_tcp()).any(|one| one.name.as_str() == port);
            let order: Vec<&str> = match tcp {
                true => order.iter().copied().filter(|name| !["heddle.jwt", "heddle.strip-claims"].contains(name)).collect(),
                false => order.clone(),
            };
            if resource.kind == ResourceType::Listener {
                // Plain text, where it is taken, goes through the same.
                for chain in value["filter_chains"].as_array().unwrap() {
                    let manager = &chain["filters"][0]["typed_config"];
                    let filters = manager["http_filters"].as_array().unwrap();
                    let names: Vec<_> = filters.iter().map(|one| one["name"].as_str().unwrap()).collect();
                    prop_assert_eq!(&names, &order);
                    let routes = format!("heddle/inbound/payments/{port}");
                    prop_assert_eq!(&manager["rds"]["route_config_name"], &Value::from(routes));
                }
                continue;
            }
            let policies = &value["typed_per_filter_config"]["heddle.rbac.deny"]["rbac"]["rules"]["policies"];
            prop_assert_eq!(policies.get("heddle/no-token").is_some(), authentication.required.value);
            let routes = value["virtual_hosts"][0]["routes"].as_array().unwrap();
            let asked = |route: &Value| route["typed_per_filter_config"]["heddle.jwt"].clone();
            let (last, open) = routes.split_last().unwrap();
            let checked = checked && !tcp;
            let wanted = match (checked, authentication.required.value) {
                (false, _) => Value::Null,
                (true, true) => "required".into(),
                (true, false) => "optional".into(),
            };
            prop_assert_eq!(&asked(last)["requirement_name"], &wanted);
            prop_assert!(open.iter().all(|one| asked(one)["disabled"] == true));
            prop_assert!(checked || open.is_empty());
        }
    }

    #[test]
    fn sec_z02_plain_text_is_taken_where_it_may_be_and_names_nobody(given in case()) {
        let Some(node) = given.snapshot.services.get("payments") else { return Ok(()) };
        let resources = heddle_translate::proxy(&given.snapshot, &given.view).resources;
        for port in &node.service.spec.ports {
            let mode = given.snapshot.mtls(node, port).mode;
            let name = format!("heddle/inbound/{}", port.name);
            let listener = resources.iter().filter(|one| one.kind == ResourceType::Listener).find(|one| one.name == name);
            let Some(value) = listener.map(protos::json) else { continue };
            let chains = value["filter_chains"].as_array().unwrap();
            let in_tls = |chain: &Value| chain.get("transport_socket").is_some();
            prop_assert_eq!(chains.len(), if mode.takes_plain_text() { 2 } else { 1 });
            prop_assert!(in_tls(&chains[0]));
            prop_assert!(!chains.iter().skip(1).any(in_tls));
            prop_assert_eq!(value.get("listener_filters").is_some(), mode.takes_plain_text());
            for chain in chains {
                let matched = chain["filter_chain_match"]["transport_protocol"].as_str();
                let wanted = match (mode.takes_plain_text(), in_tls(chain)) {
                    (false, _) => None,
                    (true, true) => Some("tls"),
                    (true, false) => Some("raw_buffer"),
                };
                prop_assert_eq!(matched, wanted);
                // Sanitize is what Envoy does when nothing is said.
                let details = &chain["filters"][0]["typed_config"]["forward_client_cert_details"];
                prop_assert_eq!(details == "SANITIZE_SET", in_tls(chain));
                prop_assert!(details == "SANITIZE_SET" || details.is_null());
            }
        }
        for resource in given.translate().resources.iter().filter(|one| one.kind == ResourceType::Cluster) {
            let Some(rest) = resource.name.strip_prefix("heddle/") else { continue };
            let (service, rest) = rest.split_once('/').unwrap();
            let node = given.snapshot.service(service).unwrap();
            let port = rest.split('/').next().unwrap();
            let port = node.service.spec.ports.iter().find(|one| one.name.as_str() == port).unwrap();
            let mode = given.snapshot.mtls(node, port).mode;
            let in_tls = protos::json(resource).get("transport_socket").is_some();
            prop_assert_eq!(in_tls, mode.is_called_in_tls());
        }
    }

    #[test]
    fn a_host_stands_once_in_the_outbound_routes(given in case()) {
        let output = heddle_translate::mesh(&given.snapshot, &options());
        let routes = output.resources.iter().find(|r| r.kind == ResourceType::Route).unwrap();
        let configuration: RouteConfiguration = decode(routes);
        let mut seen = BTreeSet::new();
        for host in configuration.virtual_hosts {
            prop_assert!(!host.routes.is_empty());
            for domain in host.domains {
                prop_assert!(seen.insert(domain.clone()), "{domain} stands twice");
            }
        }
        prop_assert!(seen.contains("*"));
    }
}

fn shop() -> Case {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    Case::read(&folder.join("tests/golden/shop/in.yaml"))
}

#[test]
fn a_share_of_a_split_changes_the_outbound_routes_alone() {
    let mut case = shop();
    let before = case.translate();
    let node = case.snapshot.service_mut("payments").unwrap();
    let split = node.routes[0].split.as_mut().unwrap();
    split.spec.weights = vec![
        Weight {
            version: name("v1"),
            weight: 0,
        },
        Weight {
            version: name("v2"),
            weight: 100,
        },
    ];
    split.revision += 1;
    case.snapshot.revision += 1;
    assert_eq!(changed(&before, &case.translate()), ["RDS heddle/outbound"]);
}

#[test]
fn an_access_rule_changes_the_inbound_routes_of_its_service_alone() {
    let mut case = shop();
    let before = case.translate();
    let node = case.snapshot.service_mut("checkout").unwrap();
    node.access_rules[0].spec.action = Effect::Deny;
    case.snapshot.revision += 1;
    assert_eq!(
        changed(&before, &case.translate()),
        [
            "RDS heddle/inbound/checkout/grpc",
            "RDS heddle/inbound/checkout/http"
        ]
    );
}

#[test]
fn a_revision_without_a_difference_changes_nothing() {
    let mut case = shop();
    let before = case.translate();
    case.snapshot.revision += 1;
    case.snapshot.mesh.revision += 1;
    for node in case.snapshot.services.values_mut().map(Arc::make_mut) {
        node.service.revision += 1;
        node.service.spec.display_name = Some("Another name".to_owned());
    }
    assert_eq!(changed(&before, &case.translate()), Vec::<String>::new());
}

#[test]
fn a_workload_changes_the_endpoints_that_it_is_in_alone() {
    let mut case = shop();
    let before = case.translate();
    let workloads = case.endpoints.get_mut("payments").unwrap();
    let (first, _) = workloads.iter().next().unwrap();
    let first = *first;
    workloads.remove(&first);
    assert_eq!(
        changed(&before, &case.translate()),
        ["EDS heddle/payments/http", "EDS heddle/payments/http/v1"]
    );
}

#[test]
fn the_name_of_a_proxy_does_not_matter() {
    let mut case = shop();
    let before = case.translate();
    case.view.node_id = "another".to_owned();
    assert_eq!(changed(&before, &case.translate()), Vec::<String>::new());
}

#[test]
fn spiffe_s59_connections_end_at_half_the_life_of_a_certificate() {
    let mut case = shop();
    case.view.leaf_lifetime = std::time::Duration::from_secs(20);
    let lifetime = heddle_translate::Options {
        leaf_lifetime: case.view.leaf_lifetime,
    };
    let own = heddle_translate::proxy(&case.snapshot, &case.view).resources;
    let mut listeners = 0;
    for listener in own
        .iter()
        .filter(|r| r.name.starts_with("heddle/inbound/") && r.kind == ResourceType::Listener)
    {
        let text = protos::json(listener).to_string();
        assert!(
            text.contains(r#""max_connection_duration":"10s""#),
            "{text}"
        );
        listeners += 1;
    }
    assert_eq!(listeners, 2);
    for cluster in heddle_translate::mesh(&case.snapshot, &lifetime).resources {
        let text = protos::json(&cluster).to_string();
        let limited = text.contains(r#""max_connection_duration":"10s""#);
        assert_eq!(limited, cluster.kind == ResourceType::Cluster, "{text}");
    }
}

/// Every place that asks for something by ADS, in any output that the goldens cover.
#[test]
fn xds_x35_nothing_waits_for_ever() {
    fn walk(value: &Value, found: &mut usize) {
        match value {
            Value::Object(object) => {
                if object.contains_key("ads") {
                    assert_eq!(object["initial_fetch_timeout"], "5s");
                    *found += 1;
                }
                object.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = 0;
    for resource in shop().translate().resources {
        walk(&protos::json(&resource), &mut found);
    }
    assert!(found > 20, "{found}");
}

/// Whom a service says that it calls concerns its own proxies alone: they get the clusters of those and the routes to them.
#[test]
fn what_a_service_says_of_its_calls_concerns_its_own_proxies_alone() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let case = Case::read(&folder.join("tests/golden/upstreams/in.yaml"));
    let mut without = case.clone();
    let checkout = without.snapshot.service_mut("checkout").unwrap();
    checkout.service.spec.upstreams = None;
    let shared = |case: &Case| heddle_translate::mesh(&case.snapshot, &options());
    let same = changed(&shared(&case), &shared(&without));
    assert_eq!(same, Vec::<String>::new(), "what all share is the same");
    let difference = changed(&case.translate(), &without.translate());
    let expected = [
        "CDS heddle/checkout/http",
        "EDS heddle/checkout/http",
        "RDS heddle/outbound",
    ];
    assert_eq!(difference, expected);
    let reach = |case: &Case| heddle_translate::reach(&case.snapshot, &name("checkout"));
    let callees: Vec<_> = reach(&case).unwrap().callees.into_iter().collect();
    assert_eq!(callees, [name("fx"), name("gone"), name("ledger")]);
    assert_eq!(reach(&without), None);

    // An empty list says nothing.
    let checkout = without.snapshot.service_mut("checkout").unwrap();
    checkout.service.spec.upstreams = Some(Vec::new());
    assert_eq!(reach(&without), None);
}
