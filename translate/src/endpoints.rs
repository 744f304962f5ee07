//! EDS: where the workloads of a service are right now.

use std::collections::BTreeMap;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::{HealthStatus, Locality};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint as EnvoyEndpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint,
};
use heddle_model::id::ProxyId;
use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_model::workload::{Endpoint, Health};

use crate::cluster;
use crate::envoy::{address, number};
use crate::origin::Source;
use crate::resource::{Resource, ResourceType};

/// The endpoints of every cluster of one service: one resource for each of its clusters in [`crate::mesh()`], also
/// when there is no workload. Empty when the mesh has no such service.
#[must_use]
pub fn endpoints(
    snapshot: &MeshSnapshot,
    service: &Name,
    endpoints: &BTreeMap<ProxyId, Endpoint>,
) -> Vec<Resource> {
    let Some(node) = snapshot.services.get(service) else {
        return Vec::new();
    };
    let versions = cluster::versions(node);
    let mut resources = Vec::new();
    for (i, port) in node.service.spec.ports.iter().enumerate() {
        for (name, version) in cluster::names(node, port, versions.keys().copied()) {
            let chosen = endpoints
                .values()
                .filter(|e| version.is_none() || e.version.as_ref() == version);
            let message = assignment(&name, &port.name, chosen);
            let origins = vec![Source::Service(node).at(format!("/ports/{i}"), name.clone())];
            let resource = Resource::new(ResourceType::Endpoints, name, &message, origins);
            resources.push(resource);
        }
    }
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    resources
}

fn assignment<'a>(
    cluster: &str,
    port: &Name,
    endpoints: impl Iterator<Item = &'a Endpoint>,
) -> ClusterLoadAssignment {
    // An address stands once: a proxy that came back under another name must not inherit the draining of the
    // old one, nor get twice the calls.
    let mut addresses: BTreeMap<(IpAddr, u16), Health> = BTreeMap::new();
    for endpoint in endpoints {
        if let Some(number) = endpoint.ports.get(port) {
            let health = addresses
                .entry((endpoint.address, *number))
                .or_insert(endpoint.health);
            if endpoint.health == Health::Healthy {
                *health = Health::Healthy;
            }
        }
    }
    let lb_endpoint = |((ip, port), health): ((IpAddr, u16), Health)| LbEndpoint {
        host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(EnvoyEndpoint {
            address: Some(address(ip, port)),
            ..EnvoyEndpoint::default()
        })),
        health_status: match health {
            Health::Healthy => HealthStatus::Healthy,
            Health::Draining => HealthStatus::Draining,
        }
        .into(),
        ..LbEndpoint::default()
    };
    let lb_endpoints: Vec<LbEndpoint> = addresses.into_iter().map(lb_endpoint).collect();
    let mut localities = Vec::new();
    if !lb_endpoints.is_empty() {
        // Locality and weight are there for gRPC clients, which skip what has none.
        localities.push(LocalityLbEndpoints {
            locality: Some(Locality::default()),
            load_balancing_weight: number(1),
            lb_endpoints,
            ..LocalityLbEndpoints::default()
        });
    }
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: localities,
        ..ClusterLoadAssignment::default()
    }
}
