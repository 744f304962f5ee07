//! What all proxies of a mesh share.

use heddle_model::snapshot::MeshSnapshot;

use crate::resource::{Options, Output};
use crate::{cluster, outbound};

/// Every cluster and the outbound routes of a mesh: equal for all of its proxies, and independent of where the
/// workloads are.
#[must_use]
pub fn mesh(snapshot: &MeshSnapshot, options: &Options) -> Output {
    let mut resources: Vec<_> = snapshot
        .services
        .values()
        .flat_map(|node| cluster::of_service(snapshot, node, options.leaf_lifetime))
        .collect();
    let (routes, diagnostics) = outbound::routes(snapshot);
    resources.push(routes);
    Output::new(resources, diagnostics)
}
