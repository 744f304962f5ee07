//! What all proxies of a mesh share, and what the proxies of one service share instead.

use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;

use crate::resource::{Options, Output, Resource};
use crate::{cluster, outbound, settings};

/// Every cluster and the outbound routes of a mesh: equal for all of its proxies, and independent of where the
/// workloads are.
#[must_use]
pub fn mesh(snapshot: &MeshSnapshot, options: &Options) -> Output {
    let mut resources: Vec<_> = snapshot
        .services
        .values()
        .flat_map(|node| cluster::of_service(snapshot, node, options.leaf_lifetime))
        .collect();
    let (routes, mut diagnostics) = outbound::routes(snapshot, None);
    resources.push(routes);
    for node in snapshot.services.values() {
        diagnostics.extend(settings::dangling(snapshot, node));
    }
    Output::new(resources, diagnostics)
}

/// The services whose proxies get something of [`mesh`] in a variant of their own, because they make exceptions for
/// their calls.
pub fn callers(snapshot: &MeshSnapshot) -> impl Iterator<Item = &Name> {
    let chosen = snapshot.services.iter();
    let chosen = chosen.filter(|(_, node)| settings::makes_exceptions(node));
    chosen.map(|(name, _)| name)
}

/// What the proxies of one of the [`callers`] get in place of what [`mesh`] has under the same names. What is wrong with it
/// stands among the diagnostics of the mesh.
#[must_use]
pub fn caller(snapshot: &MeshSnapshot, service: &Name, _options: &Options) -> Vec<Resource> {
    let Some(node) = snapshot.services.get(service) else {
        return Vec::new();
    };
    let (routes, _) = outbound::routes(snapshot, Some(node));
    vec![routes]
}
