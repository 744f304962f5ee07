//! CDS: where calls go. One cluster per service and port, one more per version that a route or split names, and
//! one for the application behind a proxy.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration as Time;

use envoy_types::pb::envoy::config::cluster::v3::{
    Cluster,
    cluster::{
        ClusterDiscoveryType, CommonLbConfig, DiscoveryType, DnsLookupFamily, EdsClusterConfig,
        LbPolicy,
    },
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint,
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use heddle_model::kind::service::Port;
use heddle_model::name::Name;
use heddle_model::settings::Levels;
use heddle_model::settings::access_log::Otlp;
use heddle_model::settings::authentication::{RemoteJwks, Uri};
use heddle_model::snapshot::{MeshSnapshot, ServiceNode};

use crate::envoy::{address, ads, duration, file_at, host_address, http, inline_string, tls};
use crate::mtls::mode;
use crate::naming;
use crate::origin::Source;
use crate::resource::{Origin, Resource, ResourceType};
use crate::settings::{self, Callee, Scope, circuit_breaking, health_check};

/// How long a connection may take.
const CONNECT: Time = Time::from_secs(2);
/// Below this share of workloads that take new calls, Envoy uses all of them: draining ones get calls only
/// when there are no others.
const PANIC_PERCENT: f64 = 1.0;

fn base(name: &str, discovery: DiscoveryType, protocol_options: crate::envoy::Any) -> Cluster {
    Cluster {
        // One entry: a hash map of one has one order.
        typed_extension_protocol_options: HashMap::from([(
            http::UPSTREAM_OPTIONS.to_owned(),
            protocol_options,
        )]),
        ..plain(name, discovery)
    }
}

/// One that no requests go to.
fn plain(name: &str, discovery: DiscoveryType) -> Cluster {
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
        connect_timeout: Some(duration(CONNECT)),
        circuit_breakers: Some(circuit_breaking::thresholds(&Levels::default())),
        ..Cluster::default()
    }
}

/// The versions of a service that its routes and splits name, each with who names it. A share of zero counts:
/// the cluster is then warm before the share grows.
pub(crate) fn versions(node: &ServiceNode) -> BTreeMap<&Name, Vec<Origin>> {
    let mut versions: BTreeMap<&Name, Vec<Origin>> = BTreeMap::new();
    for one in &node.routes {
        for (i, backend) in one.route.spec.backends.iter().enumerate() {
            if let Some(version) = &backend.version {
                let origin = Source::Route(node, &one.route);
                let origin = origin.at(format!("/backends/{i}/version"), "");
                versions.entry(version).or_default().push(origin);
            }
        }
        let Some(split) = &one.split else { continue };
        for (i, weight) in split.spec.weights.iter().enumerate() {
            let origin = Source::Split(node, &one.route, split);
            let origin = origin.at(format!("/weights/{i}/version"), "");
            versions.entry(&weight.version).or_default().push(origin);
        }
    }
    for origins in versions.values_mut() {
        origins.sort();
    }
    versions
}

/// The names of all clusters of one port, the one of all workloads first. Versions are what requests are parted by.
pub(crate) fn names<'a>(
    node: &'a ServiceNode,
    port: &'a Port,
    versions: impl Iterator<Item = &'a Name> + 'a,
) -> impl Iterator<Item = (String, Option<&'a Name>)> + 'a {
    let service = &node.service.name;
    let all = (naming::cluster(service, &port.name), None);
    let versions = versions.filter(|_| !port.protocol.is_tcp());
    std::iter::once(all).chain(versions.map(move |version| {
        let name = naming::subset(service, &port.name, version);
        (name, Some(version))
    }))
}

/// All clusters of a service; for one caller, with the exceptions that it makes.
pub(crate) fn of_service(
    snapshot: &MeshSnapshot,
    node: &ServiceNode,
    caller: Option<&ServiceNode>,
    leaf_lifetime: Time,
) -> Vec<Resource> {
    let versions = versions(node);
    let mut resources = Vec::new();
    for (i, port) in node.service.spec.ports.iter().enumerate() {
        for (name, version) in names(node, port, versions.keys().copied()) {
            let mut origins = vec![
                Source::Service(node).at(format!("/ports/{i}"), name.clone()),
                Source::Mesh(snapshot).at("", ""),
            ];
            for origin in version.iter().flat_map(|version| &versions[*version]) {
                let mut origin = origin.clone();
                origin.within.clone_from(&name);
                origins.push(origin);
            }
            let scope = Scope {
                snapshot,
                callee: node,
                route: None,
                caller,
            };
            resources.push(eds(&scope, port, name, leaf_lifetime, origins));
        }
    }
    resources
}

fn eds(
    scope: &Scope<'_>,
    port: &Port,
    name: String,
    leaf_lifetime: Time,
    mut origins: Vec<Origin>,
) -> Resource {
    let hop = match port.protocol.is_tcp() {
        true => http::mesh_hop_each(leaf_lifetime),
        false => http::mesh_hop(leaf_lifetime),
    };
    let (snapshot, node) = (scope.snapshot, scope.callee);
    let service = &node.service.name;
    let id = naming::spiffe_id(&snapshot.trust_domain, service);
    let server_name = naming::server_name(service, &snapshot.mesh.name);
    let mtls = snapshot.mtls(node, port);
    let in_tls = mtls.mode.is_called_in_tls();
    origins.extend(mode(snapshot, node, port, mtls.said, &name));
    let mut cluster = Cluster {
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(ads()),
            ..EdsClusterConfig::default()
        }),
        lb_policy: LbPolicy::LeastRequest.into(),
        common_lb_config: Some(CommonLbConfig {
            healthy_panic_threshold: Some(Percent {
                value: PANIC_PERCENT,
            }),
            ..CommonLbConfig::default()
        }),
        transport_socket: in_tls.then(|| tls::upstream(&id, server_name.clone())),
        ignore_health_on_host_removal: true,
        ..base(&name, DiscoveryType::Eds, hop)
    };
    let callee = Callee {
        levels: scope.levels(None),
        first: node.service.spec.ports.first(),
        host: server_name,
    };
    for applied in settings::apply_to_cluster(&mut cluster, &callee) {
        origins.extend(scope.origin(&applied, &name));
    }
    if port.protocol.is_tcp() {
        circuit_breaking::limit_connections(&mut cluster);
    }
    let child = name.clone();
    Resource::new(ResourceType::Cluster, name, &cluster, origins)
        .followed_by(ResourceType::Endpoints, child)
}

/// The application behind a proxy; the one behind the first port is checked.
pub(crate) fn application(
    snapshot: &MeshSnapshot,
    node: &ServiceNode,
    index: usize,
    port: &Port,
    app: IpAddr,
) -> Resource {
    let name = naming::local(&port.name);
    let endpoint = LbEndpoint {
        host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(Endpoint {
            address: Some(address(app, port.port)),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    let base = match port.protocol.is_tcp() {
        true => plain(&name, DiscoveryType::Static),
        false => {
            let protocol = http::application(port.protocol.is_http2());
            base(&name, DiscoveryType::Static, protocol)
        }
    };
    let mut cluster = Cluster {
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.clone(),
            endpoints: vec![LocalityLbEndpoints {
                lb_endpoints: vec![endpoint],
                ..LocalityLbEndpoints::default()
            }],
            ..ClusterLoadAssignment::default()
        }),
        ..base
    };
    let mut origins = vec![Source::Service(node).at(format!("/ports/{index}"), name.clone())];
    let scope = Scope::own(snapshot, node);
    let check = health_check::resolve(&scope.levels(None), Some(port)).filter(|_| index == 0);
    if let Some(check) = check {
        let host = naming::server_name(&node.service.name, &snapshot.mesh.name);
        health_check::apply_to_application(&mut cluster, &check, port.protocol, host);
        for applied in health_check::applied(&check) {
            origins.extend(scope.origin(&applied, &name));
        }
    }
    Resource::new(ResourceType::Cluster, name, &cluster, origins)
}

/// A collector of access logs, in plain HTTP/2.
pub(crate) fn collector(otlp: &Otlp, origins: Vec<Origin>) -> Resource {
    let name = naming::collector(otlp);
    let protocol = http::application(true);
    let cluster = outside(
        &name,
        otlp.host.as_str(),
        otlp.port,
        DiscoveryType::StrictDns,
        protocol,
    );
    Resource::new(ResourceType::Cluster, name, &cluster, origins)
}

/// A host outside the mesh; how one with a name is found.
pub(crate) fn outside(
    name: &str,
    host: &str,
    port: u16,
    by_name: DiscoveryType,
    protocol: crate::envoy::Any,
) -> Cluster {
    let discovery = match host.parse::<IpAddr>() {
        Ok(_) => DiscoveryType::Static,
        Err(_) => by_name,
    };
    let endpoint = LbEndpoint {
        host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(Endpoint {
            address: Some(host_address(host, port)),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    Cluster {
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            endpoints: vec![LocalityLbEndpoints {
                lb_endpoints: vec![endpoint],
                ..LocalityLbEndpoints::default()
            }],
            ..ClusterLoadAssignment::default()
        }),
        ..base(name, discovery, protocol)
    }
}

/// A server that has the keys of a provider of tokens, over TLS.
pub(crate) fn jwks(name: &str, remote: &RemoteJwks, uri: &Uri, origins: Vec<Origin>) -> Resource {
    let host = uri.host.as_str();
    let pem = remote.ca.as_ref().and_then(|ca| ca.pem.as_deref());
    let authorities = match remote.ca_file() {
        Some(file) => file_at(file),
        None => inline_string(pem.unwrap_or_default()),
    };
    let cluster = Cluster {
        transport_socket: Some(tls::outside(host, authorities)),
        // Of either family, whichever answers.
        dns_lookup_family: DnsLookupFamily::All.into(),
        ..outside(
            name,
            host,
            uri.port,
            DiscoveryType::LogicalDns,
            http::application(false),
        )
    };
    Resource::new(ResourceType::Cluster, name.to_owned(), &cluster, origins)
}
