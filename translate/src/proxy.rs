//! What one proxy gets beside what all share: its listeners, and the way from the inbound ones to its application.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener};
use heddle_model::kind::service::Port;
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, ServiceNode};

use crate::envoy::http::{Manager, MeshSide};
use crate::envoy::route::route::Action;
use crate::envoy::route::route_action::ClusterSpecifier;
use crate::envoy::route::{Route, RouteAction, RouteConfiguration, VirtualHost};
use crate::envoy::{access_log, address, duration, http, tls};
use crate::origin::Source;
use crate::reports::{self, ReportsTo};
use crate::resource::{Diagnostic, Output, Resource, ResourceType};
use crate::settings::{self, Scope, authentication};
use crate::{cluster, matching, mtls, naming, rbac, tcp};

/// What Envoy removes by itself only where the mesh ends. Here every caller is of the mesh, and still none of
/// these is a caller's to say.
const CALLERS_CLAIMS: [&str; 11] = [
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-is-timeout-retry",
    "x-envoy-original-dst-host",
    "x-envoy-original-host",
    "x-envoy-original-method",
    "x-envoy-original-path",
    "x-envoy-peer-metadata",
];

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A proxy as it describes itself. Proxies whose views differ in `node_id` alone get equal resources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyView {
    /// Its service, from its join token.
    pub service: Name,
    /// Its name within the service.
    pub node_id: String,
    /// What its listeners are; `None` when they are its own affair, and none of them comes from here.
    pub listeners: Option<ListenerPlaces>,
    /// How long its certificate lives.
    pub leaf_lifetime: Duration,
    /// Where it reports to, if it does.
    pub reports: Option<Arc<ReportsTo>>,
}

/// Where the listeners of a proxy are, and its application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerPlaces {
    /// Where its listeners bind.
    pub bind_address: IpAddr,
    /// Where its application listens.
    pub app_address: IpAddr,
    /// The port of the outbound listener.
    pub outbound_port: u16,
    /// The port of the inbound listener of each port of the service.
    pub inbound_ports: BTreeMap<Name, u16>,
}

/// The listeners of one proxy, the routes of the inbound ones and the clusters of its application. A proxy of a
/// service that the mesh does not have gets the outbound listeners alone; one with listeners of its own, nothing.
#[must_use]
pub fn proxy(snapshot: &MeshSnapshot, view: &ProxyView) -> Output {
    let Some(places) = &view.listeners else {
        return Output::new(Vec::new(), Vec::new());
    };
    let mut resources = vec![outbound(snapshot, view, places)];
    let mut diagnostics = Vec::new();
    let mut taken = BTreeSet::from([places.outbound_port]);
    if let Some(node) = snapshot.services.get(&view.service) {
        for (index, port) in node.service.spec.ports.iter().enumerate() {
            match places.inbound_ports.get(&port.name) {
                Some(number) if taken.insert(*number) => {
                    resources.extend(inbound(snapshot, view, places, node, index, *number));
                }
                problem => diagnostics.push(no_listener(node, index, port, problem.copied())),
            }
        }
        diagnostics.extend(rbac::diagnostics(snapshot, node));
        diagnostics.extend(mtls::diagnostics(snapshot, node));
        let scope = Scope::own(snapshot, node);
        let levels = scope.levels(None);
        let tokens = authentication::resolve(snapshot, node);
        diagnostics.extend(authentication::problem(&scope, &tokens));
        resources.extend(authentication::clusters(&scope, &tokens));
        for otlp in settings::access_log::collectors(&levels) {
            let origins = vec![Source::Service(node).at("", naming::collector(&otlp))];
            resources.push(cluster::collector(&otlp, origins));
        }
        let reports = view.reports.as_ref();
        let reports = reports.filter(|_| reports::any_of(snapshot, node));
        resources.extend(reports.map(|to| reports::cluster(snapshot, node, to)));
    }
    let bind = outbound_address(places.bind_address);
    let (of_tcp, further) = tcp::listeners(snapshot, &view.service, bind, &mut taken);
    resources.extend(of_tcp);
    diagnostics.extend(further);
    Output::new(resources, diagnostics)
}

fn no_listener(node: &ServiceNode, index: usize, port: &Port, number: Option<u16>) -> Diagnostic {
    let name = &port.name;
    let message = match number {
        Some(number) => format!(
            "port {name} takes no calls at this proxy: another of its listeners has port {number}"
        ),
        None => format!("port {name} takes no calls at this proxy: it has no inbound port for it"),
    };
    Source::Service(node).diagnose(format!("/ports/{index}"), message)
}

fn listener(name: &str, bind: IpAddr, port: u16, direction: TrafficDirection) -> Listener {
    Listener {
        name: name.to_owned(),
        address: Some(address(bind, port)),
        traffic_direction: direction.into(),
        ..Listener::default()
    }
}

fn chain(filter: Filter) -> FilterChain {
    FilterChain {
        filters: vec![filter],
        ..FilterChain::default()
    }
}

/// Where the application's calls are taken: in plain text, and passed on with this workload's identity. So never on every
/// address of a host, where strangers could use it too.
fn outbound_address(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        chosen => chosen,
    }
}

fn outbound(snapshot: &MeshSnapshot, view: &ProxyView, places: &ListenerPlaces) -> Resource {
    let name = naming::OUTBOUND;
    let node = snapshot.service(&view.service);
    // A service that the mesh does not have any more logs what the mesh says nothing about.
    let scope = node.map(|node| Scope::own(snapshot, node));
    let levels = scope.map(|scope| scope.levels(None)).unwrap_or_default();
    let of = access_log::Of::new(view.service.as_str(), false);
    let (access_log, applied) = settings::access_log::logs(&levels, of);
    let filter = http::manager(Manager {
        stat_prefix: naming::OUTBOUND_STATS.to_owned(),
        routes: naming::OUTBOUND.to_owned(),
        filters: Vec::new(),
        access_log,
        mesh_side: None,
    });
    let direction = TrafficDirection::Outbound;
    let message = Listener {
        filter_chains: vec![chain(filter)],
        ..listener(
            name,
            outbound_address(places.bind_address),
            places.outbound_port,
            direction,
        )
    };
    let source = node.map_or(Source::Mesh(snapshot), Source::Service);
    let mut origins = vec![source.at("", name)];
    let set = applied.iter();
    origins.extend(set.filter_map(|applied| scope?.origin(applied, name)));
    Resource::new(ResourceType::Listener, name.to_owned(), &message, origins)
        .followed_by(ResourceType::Route, naming::OUTBOUND.to_owned())
}

/// Listener, routes and application of one port.
fn inbound(
    snapshot: &MeshSnapshot,
    view: &ProxyView,
    places: &ListenerPlaces,
    node: &ServiceNode,
    index: usize,
    number: u16,
) -> [Resource; 3] {
    let port = &node.service.spec.ports[index];
    let name = naming::inbound_listener(&port.name);
    let routes = naming::inbound_routes(&view.service, &port.name);
    let scope = Scope::own(snapshot, node);
    let levels = scope.levels(None);
    // The first port is the first to get its listener here.
    let takes_calls = |first: &&Port| {
        let number = places.inbound_ports.get(&first.name);
        number.is_some_and(|number| *number != places.outbound_port)
    };
    let first = node.service.spec.ports.first().filter(takes_calls);
    // Before the access rules: whether a workload is healthy is for every workload of the mesh to know.
    let mut filters = vec![settings::health_check::filter(first)];
    let tokens = authentication::resolve(snapshot, node);
    let tcp = port.protocol.is_tcp();
    if !tcp {
        filters.extend(authentication::filters(&tokens));
    }
    filters.extend(rbac::filters());
    let mtls = snapshot.mtls(node, port);
    let to = view.reports.as_deref();
    let logs = |told_again: bool| {
        let of = access_log::Of {
            tcp,
            told_again,
            ..access_log::Of::new(view.service.as_str(), true)
        };
        settings::access_log::logs(&levels, of)
    };
    let manager = |stat_prefix, access_log, knows_callers, told_every| {
        http::manager(Manager {
            stat_prefix,
            routes: routes.clone(),
            filters: filters.clone(),
            access_log,
            mesh_side: Some(MeshSide {
                leaf_lifetime: view.leaf_lifetime,
                knows_callers,
                told_every,
            }),
        })
    };
    let (mut access_log, applied) = logs(false);
    let would_deny = to.filter(|_| reports::would_deny(node, port));
    access_log.extend(would_deny.map(|to| reports::of_would_deny(snapshot, node, port, to)));
    let in_tls = FilterChain {
        transport_socket: Some(tls::downstream(&snapshot.trust_domain)),
        transport_socket_connect_timeout: Some(duration(HANDSHAKE)),
        ..chain(manager(
            naming::inbound_stats(&port.name),
            access_log,
            true,
            None,
        ))
    };
    // Of a port that is `off`, too: its callers hear of a change before or after this listener, and find what they look for.
    let (listener_filters, filter_chains) = match mtls.mode.takes_plain_text() {
        false => (Vec::new(), vec![in_tls]),
        true => {
            let in_tls = FilterChain {
                filter_chain_match: Some(tls::in_tls()),
                ..in_tls
            };
            let (mut access_log, _) = logs(to.is_some());
            access_log.extend(to.map(|to| reports::of_plain_text(snapshot, node, port, to)));
            let plain = FilterChain {
                filter_chain_match: Some(tls::in_plain_text()),
                ..chain(manager(
                    naming::plain_text_stats(&port.name),
                    access_log,
                    false,
                    to.map(|_| reports::AGAIN),
                ))
            };
            (vec![tls::inspector()], vec![in_tls, plain])
        }
    };
    let message = Listener {
        listener_filters,
        filter_chains,
        ..listener(
            &name,
            places.bind_address,
            number,
            TrafficDirection::Inbound,
        )
    };
    let mut origins = vec![
        Source::Service(node).at(format!("/ports/{index}"), name.clone()),
        Source::Mesh(snapshot).at("", ""),
    ];
    origins.extend(mtls::mode(snapshot, node, port, mtls.said, &name));
    let tokens = match tcp {
        true => Vec::new(),
        false => authentication::applied(&tokens),
    };
    let set = applied.iter().chain(&tokens);
    origins.extend(set.filter_map(|one| scope.origin(one, &name)));
    let reports = to.filter(|_| mtls.mode.takes_plain_text() || would_deny.is_some());
    let reports = reports.map(|_| (ResourceType::Cluster, naming::REPORTS.to_owned()));
    let listener = Resource::new(ResourceType::Listener, name, &message, origins)
        .followed_by(ResourceType::Route, routes.clone())
        .needing(reports);
    [
        listener,
        inbound_routes(snapshot, node, index, routes),
        cluster::application(snapshot, node, index, port, places.app_address),
    ]
}

/// To the application, if the access rules let the caller. No timeout here: the caller's counts.
fn inbound_routes(
    snapshot: &MeshSnapshot,
    node: &ServiceNode,
    index: usize,
    name: String,
) -> Resource {
    let port = &node.service.spec.ports[index];
    let scope = Scope::own(snapshot, node);
    let tokens = authentication::resolve(snapshot, node);
    let rules = rbac::rules(snapshot, node, port);
    let target = naming::local(&port.name);
    let route = node.service.name.to_string();
    let to_application = |route| Route {
        name: route,
        r#match: Some(matching::everything()),
        action: Some(Action::Route(RouteAction {
            timeout: Some(duration(Duration::ZERO)),
            cluster_specifier: Some(ClusterSpecifier::Cluster(target.clone())),
            ..RouteAction::default()
        })),
        ..Route::default()
    };
    let routes = match port.protocol.is_tcp() {
        true => vec![tcp::to_application(route, target.clone())],
        false => authentication::routes(&tokens, to_application(route)),
    };
    let message = RouteConfiguration {
        name: name.clone(),
        virtual_hosts: vec![VirtualHost {
            name: naming::virtual_host(&node.service.name, &port.name),
            domains: vec!["*".to_owned()],
            routes,
            typed_per_filter_config: rules.allow,
            ..VirtualHost::default()
        }],
        request_headers_to_remove: CALLERS_CLAIMS.map(String::from).to_vec(),
        typed_per_filter_config: rules.deny,
        ..RouteConfiguration::default()
    };
    let mut origins = vec![Source::Service(node).at(format!("/ports/{index}"), "")];
    origins.extend(rules.origins);
    let set = authentication::applied_to_routes(&tokens);
    origins.extend(
        set.iter()
            .filter_map(|one| scope.origin(one, naming::NO_TOKEN)),
    );
    Resource::new(ResourceType::Route, name, &message, origins)
        .needing([(ResourceType::Cluster, target)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_never_taken_from_every_address() {
        let at = |bind: &str| outbound_address(bind.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0"), "127.0.0.1");
        assert_eq!(at("::"), "::1");
        assert_eq!(at("10.0.0.7"), "10.0.0.7");
    }
}
