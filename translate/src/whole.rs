//! Everything that one proxy is told, from nothing: what a server comes to change by change, for whoever has no server at hand.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_model::workload::Endpoints;

use crate::endpoints::endpoints;
use crate::mesh::{clusters, hosts, outbound_of, outbound_to_all, reach};
use crate::proxy::{ProxyView, proxy};
use crate::resource::{Options, Output, Resource, ResourceType};

/// Everything that a proxy gets, secrets apart, and what a user should know about its own listeners.
#[must_use]
pub fn whole(
    snapshot: &MeshSnapshot,
    view: &ProxyView,
    workloads: &Endpoints,
    options: &Options,
) -> Output {
    let own = proxy(snapshot, view);
    let mut all = shared(snapshot, &view.service, workloads, options);
    for resource in own.resources {
        all.insert((resource.kind, resource.name.clone()), resource);
    }
    Output::new(all.into_values().collect(), own.diagnostics)
}

/// What the proxies of a service get, secrets apart, whatever each of them says of itself: everything but their listeners and what
/// these lead to.
#[must_use]
pub fn whole_of_service(
    snapshot: &MeshSnapshot,
    service: &Name,
    workloads: &Endpoints,
    options: &Options,
) -> Output {
    let all = shared(snapshot, service, workloads, options);
    Output::new(all.into_values().collect(), Vec::new())
}

type ByKey = BTreeMap<(ResourceType, String), Resource>;

fn shared(
    snapshot: &MeshSnapshot,
    service: &Name,
    workloads: &Endpoints,
    options: &Options,
) -> ByKey {
    let hosts = hosts(snapshot);
    let reach = reach(snapshot, service);
    let outbound = match &reach {
        None => outbound_to_all(snapshot, &hosts, options),
        Some(reach) => outbound_of(snapshot, &hosts, service, reach, options),
    };
    let none = BTreeMap::new();
    let parts = |service: &Name| {
        let here = workloads.get(service).unwrap_or(&none);
        let clusters = clusters(snapshot, service, options);
        clusters
            .into_iter()
            .chain(endpoints(snapshot, service, here))
    };
    let mut all = ByKey::new();
    let mut add = |resource: Resource| {
        all.insert((resource.kind, resource.name.clone()), resource);
    };
    match &reach {
        None => snapshot.services.keys().flat_map(parts).for_each(&mut add),
        Some(reach) => {
            reach.callees.iter().flat_map(parts).for_each(&mut add);
            // Of those that only a route leads to: what that route names.
            let named: BTreeSet<&str> = outbound
                .iter()
                .flat_map(|resource| &resource.needs)
                .map(|(_, name)| name.as_str())
                .collect();
            let backends = reach.backends.iter().flat_map(parts);
            backends
                .filter(|resource| named.contains(resource.name.as_str()))
                .for_each(&mut add);
        }
    }
    // What the outbound part has under the name of something shared takes its place.
    outbound.into_iter().for_each(add);
    all
}
