//! What proxies of a mesh share: all of them, or those of one service.

use std::collections::BTreeSet;

use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, ServiceNode};

use crate::outbound::Hosts;
use crate::resource::{Options, Output, Resource};
use crate::tcp::LocalPorts;
use crate::{cluster, outbound, settings, tcp};

/// Every cluster and the outbound routes of a mesh: what the proxies of services get that do not say whom they call.
/// Independent of where the workloads are.
#[must_use]
pub fn mesh(snapshot: &MeshSnapshot, options: &Options) -> Output {
    let mut resources: Vec<_> = snapshot
        .services
        .values()
        .flat_map(|node| cluster::of_service(snapshot, node, None, options.leaf_lifetime))
        .collect();
    let (hosts, mut diagnostics) = outbound::hosts(snapshot);
    let (routes, further) = outbound::routes(snapshot, &hosts, None, snapshot.nodes());
    resources.push(routes);
    diagnostics.extend(further);
    diagnostics.extend(tcp::local_ports(snapshot).1);
    for node in snapshot.nodes() {
        diagnostics.extend(settings::unusable(snapshot, node));
    }
    Output::new(resources, diagnostics)
}

/// The clusters of one service. Reads the mesh itself, the service and its profile, its routes and their splits.
#[must_use]
pub fn clusters(snapshot: &MeshSnapshot, service: &Name, options: &Options) -> Vec<Resource> {
    let node = snapshot.service(service);
    let of = |node| cluster::of_service(snapshot, node, None, options.leaf_lifetime);
    node.map(of).unwrap_or_default()
}

/// Which hosts lead to which service. Reads the mesh itself and all services, not what is below them.
#[must_use]
pub fn hosts(snapshot: &MeshSnapshot) -> Hosts {
    outbound::hosts(snapshot).0
}

/// Where callers find which `tcp` port. Reads the mesh itself and all services, not what is below them.
#[must_use]
pub fn local_ports(snapshot: &MeshSnapshot) -> LocalPorts {
    tcp::local_ports(snapshot).0
}

/// Whose clusters the proxies of a service need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The services that it says it calls, there or not: all of their clusters.
    pub callees: BTreeSet<Name>,
    /// Those that the routes of these lead to, there or not: the clusters that the outbound routes name.
    pub backends: BTreeSet<Name>,
}

/// How far the proxies of a service see; `None` when it does not say whom it calls: everywhere. Reads the service and the
/// routes of those whom it calls.
#[must_use]
pub fn reach(snapshot: &MeshSnapshot, service: &Name) -> Option<Reach> {
    let upstreams = snapshot
        .services
        .get(service)?
        .service
        .spec
        .upstreams
        .iter();
    let callees: BTreeSet<Name> = upstreams.flatten().map(|u| u.service.clone()).collect();
    if callees.is_empty() {
        return None;
    }
    let nodes = callees.iter().filter_map(|name| snapshot.service(name));
    let backends = nodes
        .flat_map(|node| &node.routes)
        .flat_map(|one| &one.route.spec.backends)
        .filter_map(|backend| backend.service.clone());
    let backends = backends.filter(|name| !callees.contains(name)).collect();
    Some(Reach { callees, backends })
}

/// What else those proxies get in common that see everywhere: the outbound routes to all services. Reads the mesh itself,
/// all services with their profiles and what is below them, and their hosts.
#[must_use]
pub fn outbound_to_all(
    snapshot: &MeshSnapshot,
    hosts: &Hosts,
    _options: &Options,
) -> Vec<Resource> {
    vec![outbound::routes(snapshot, hosts, None, snapshot.nodes()).0]
}

/// What else the proxies of one service get in common that see as far as its [`reach`]: the outbound routes, and the
/// clusters of those about whose clusters it says something, with the exceptions that it makes. What stands here under the
/// name of something shared takes its place. Reads the mesh itself, the caller, the callees with their profiles, hosts and what is below them, and the backends. What is wrong with it stands
/// among the diagnostics of the mesh.
#[must_use]
pub fn outbound_of(
    snapshot: &MeshSnapshot,
    hosts: &Hosts,
    caller: &Name,
    reach: &Reach,
    options: &Options,
) -> Vec<Resource> {
    let callees = reach.callees.iter();
    let callees = callees.filter_map(|name| snapshot.service(name));
    let caller: Option<&ServiceNode> = snapshot.service(caller);
    let mut resources = vec![outbound::routes(snapshot, hosts, caller, callees).0];
    if let Some(node) = caller {
        for callee in settings::own_clusters(snapshot, node) {
            let clusters = cluster::of_service(snapshot, callee, Some(node), options.leaf_lifetime);
            resources.extend(clusters);
        }
    }
    resources
}
