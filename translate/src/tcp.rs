//! Ports that speak anything over TCP. For each of those that a service calls, its proxies listen on the loopback address, and
//! carry every connection as a stream of HTTP/2 (CONNECT) over the mutual TLS that requests take, to the inbound listener of
//! the callee. So the same identities and access rules hold, and are asked before the application hears of a connection: a
//! filter that decides about bytes would come too late where the server speaks first. And a rule that changes leaves the
//! listener, and with it every connection, as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, ServiceNode};

use crate::envoy::route::route::Action;
use crate::envoy::route::route_action::upgrade_config::ConnectConfig;
use crate::envoy::route::route_action::{ClusterSpecifier, UpgradeConfig};
use crate::envoy::route::route_match::{ConnectMatcher, PathSpecifier};
use crate::envoy::route::{Route, RouteAction, RouteMatch};
use crate::envoy::{access_log, address, boolean, duration, number};
use crate::mesh::reach;
use crate::naming;
use crate::origin::Source;
use crate::resource::{Diagnostic, Resource, ResourceType, any};
use crate::settings::{self, Scope};

/// How long nothing may pass in either direction until a connection ends.
pub(crate) const IDLE: Duration = Duration::from_secs(3600);
/// How often a connection to some workload is tried.
const ATTEMPTS: u32 = 3;

/// A `tcp` port, and where callers find it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LocalPort {
    index: usize,
    number: u16,
    /// What stands in CONNECT: for access logs, nobody decides by it.
    authority: String,
}

/// Where the proxies of callers take connections to the `tcp` ports of a mesh: by service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalPorts(BTreeMap<Name, Vec<LocalPort>>);

impl LocalPorts {
    /// Services that are called elsewhere than in `old`, or not any more, or only now.
    #[must_use]
    pub fn changes_from(&self, old: &Self) -> BTreeSet<Name> {
        let names = self.0.keys().chain(old.0.keys());
        let new = names.filter(|name| self.0.get(*name) != old.0.get(*name));
        new.cloned().collect()
    }
}

/// The local ports of a mesh. Of two with the same number the first in the order of names has it, and the other cannot be called:
/// one listener more that cannot bind would be refused by every proxy.
pub(crate) fn local_ports(snapshot: &MeshSnapshot) -> (LocalPorts, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut owners: BTreeMap<u16, String> = BTreeMap::new();
    let mut all: BTreeMap<Name, Vec<LocalPort>> = BTreeMap::new();
    for (name, node) in &snapshot.services {
        for (index, port) in node.service.spec.ports.iter().enumerate() {
            let Some(number) = port.local_port(name) else {
                continue;
            };
            if let Some(owner) = owners.get(&number) {
                let message = format!(
                    "local port {number} leads to {owner}, which had it first; nobody can call {name}/{} until it has another `local_port`",
                    port.name
                );
                let pointer = format!("/ports/{index}");
                diagnostics.push(Source::Service(node).diagnose(pointer, message));
                continue;
            }
            owners.insert(number, format!("{name}/{}", port.name));
            let host = naming::server_name(name, &snapshot.mesh.name);
            all.entry(name.clone()).or_default().push(LocalPort {
                index,
                number,
                authority: format!("{host}:{}", port.port),
            });
        }
    }
    (LocalPorts(all), diagnostics)
}

/// The listeners of one proxy for the `tcp` ports that its service calls, at ports that none of its others has.
pub(crate) fn listeners(
    snapshot: &MeshSnapshot,
    service: &Name,
    bind: IpAddr,
    taken: &mut BTreeSet<u16>,
) -> (Vec<Resource>, Vec<Diagnostic>) {
    let reach = reach(snapshot, service);
    let (ports, _) = local_ports(snapshot);
    let (mut resources, mut diagnostics) = (Vec::new(), Vec::new());
    let called = ports.0.iter().filter(|(callee, _)| {
        let reach = reach.as_ref();
        reach.is_none_or(|reach| reach.callees.contains(*callee))
    });
    for (callee, ports) in called {
        let Some(node) = snapshot.services.get(callee) else {
            continue;
        };
        for local in ports {
            if taken.insert(local.number) {
                resources.extend(listener(snapshot, service, node, local, bind));
            } else {
                let port = node.service.spec.ports.get(local.index);
                let message = format!(
                    "{callee}/{} cannot be called by a proxy of {service}: another of its listeners has port {}",
                    port.map_or("", |port| port.name.as_str()),
                    local.number
                );
                let pointer = format!("/ports/{}", local.index);
                diagnostics.push(Source::Service(node).diagnose(pointer, message));
            }
        }
    }
    (resources, diagnostics)
}

fn listener(
    snapshot: &MeshSnapshot,
    caller: &Name,
    callee: &ServiceNode,
    local: &LocalPort,
    bind: IpAddr,
) -> Option<Resource> {
    let port = callee.service.spec.ports.get(local.index)?;
    let service = &callee.service.name;
    let name = naming::outbound_listener(service, &port.name);
    let cluster = naming::cluster(service, &port.name);
    let caller_node = snapshot.services.get(caller);
    let scope = caller_node.map(|node| Scope::own(snapshot, node));
    let levels = scope.map(|scope| scope.levels(None)).unwrap_or_default();
    let of = access_log::Of {
        tcp: true,
        ..access_log::Of::new(caller.as_str(), false)
    };
    let (access_log, applied) = settings::access_log::logs(&levels, of);
    let proxy = TcpProxy {
        stat_prefix: naming::outbound_stats(service, &port.name),
        cluster_specifier: Some(tcp_proxy::ClusterSpecifier::Cluster(cluster.clone())),
        idle_timeout: Some(duration(IDLE)),
        max_connect_attempts: number(ATTEMPTS),
        access_log,
        tunneling_config: Some(tcp_proxy::TunnelingConfig {
            hostname: local.authority.clone(),
            ..tcp_proxy::TunnelingConfig::default()
        }),
        ..TcpProxy::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.tcp_proxy".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(any(&proxy))),
    };
    let message = Listener {
        name: name.clone(),
        address: Some(address(bind, local.number)),
        traffic_direction: TrafficDirection::Outbound.into(),
        filter_chains: vec![FilterChain {
            filters: vec![filter],
            ..FilterChain::default()
        }],
        // Two proxies on one host have the same local ports. One of them is to say so, and not to get connections of the other's
        // application, which would go on under its own identity.
        enable_reuse_port: boolean(false),
        ..Listener::default()
    };
    let field = match port.local_port {
        Some(_) => "/local_port",
        None => "",
    };
    let pointer = format!("/ports/{}{field}", local.index);
    let mut origins = vec![Source::Service(callee).at(pointer, name.clone())];
    origins.extend(caller_node.map(|node| Source::Service(node).at("", "")));
    let set = applied.iter();
    origins.extend(set.filter_map(|applied| scope?.origin(applied, &name)));
    let resource = Resource::new(ResourceType::Listener, name, &message, origins);
    Some(resource.needing([(ResourceType::Cluster, cluster)]))
}

/// The route of an inbound listener whose streams are connections to the application.
pub(crate) fn to_application(name: String, cluster: String) -> Route {
    Route {
        name,
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::ConnectMatcher(ConnectMatcher {})),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            timeout: Some(duration(Duration::ZERO)),
            idle_timeout: Some(duration(IDLE)),
            cluster_specifier: Some(ClusterSpecifier::Cluster(cluster)),
            upgrade_configs: vec![UpgradeConfig {
                upgrade_type: "CONNECT".to_owned(),
                connect_config: Some(ConnectConfig::default()),
                ..UpgradeConfig::default()
            }],
            ..RouteAction::default()
        })),
        ..Route::default()
    }
}
