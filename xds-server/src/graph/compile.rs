//! From a snapshot and its workloads to tables of resources, keeping every resource that did not change.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_model::workload::Endpoints;
use heddle_translate::{Options, Origin, ProxyView, ResourceType};

use crate::engine::kind::Kind;
use crate::engine::resource::Resource;
use crate::engine::view::Tables;

const fn kind(of: ResourceType) -> Kind {
    match of {
        ResourceType::Cluster => Kind::Cluster,
        ResourceType::Endpoints => Kind::Endpoints,
        ResourceType::Listener => Kind::Listener,
        ResourceType::Route => Kind::Route,
        ResourceType::Secret => Kind::Secret,
    }
}

/// Encodes a resource for the wire. Its origins go along, for the day it is refused.
pub(crate) fn resource(of: heddle_translate::Resource) -> Resource {
    let needs = of
        .needs
        .iter()
        .filter(|(needed, _)| *needed == ResourceType::Cluster);
    let needs: Vec<Arc<str>> = needs.map(|(_, name)| Arc::from(name.as_str())).collect();
    let mut made = Resource::new(kind(of.kind), &of.name, &of.version, &of.body).needing(needs);
    if let Some((child, name)) = &of.child {
        made = made.followed_by(kind(*child), name);
    }
    let origins: Vec<Origin> = of.origins;
    made.about(Arc::new(origins))
}

fn tables(old: &Tables, kinds: &[Kind], resources: Vec<heddle_translate::Resource>) -> Tables {
    let mut made: Vec<Resource> = resources.into_iter().map(resource).collect();
    let mut tables = old.clone();
    for kind in kinds {
        let of_kind = made.extract_if(.., |r| r.kind == *kind);
        tables = tables.with(*kind, of_kind);
    }
    tables
}

/// What all proxies of the mesh share: clusters, their endpoints, outbound routes, trust.
pub(super) fn shared(
    old: &Tables,
    snapshot: &MeshSnapshot,
    roots: &str,
    workloads: &Endpoints,
    options: &Options,
) -> Option<Tables> {
    guarded(|| {
        let mut resources = heddle_translate::mesh(snapshot, options).resources;
        for service in snapshot.services.keys() {
            resources.extend(endpoints(snapshot, service, workloads));
        }
        resources.push(heddle_translate::trust_secret(roots));
        tables(old, &Kind::ALL, resources)
    })
}

/// The shared tables after the endpoints of some services changed; nothing else is looked at.
pub(super) fn patched<'a>(
    old: &Tables,
    snapshot: &MeshSnapshot,
    services: impl IntoIterator<Item = &'a Name>,
    workloads: &Endpoints,
) -> Option<Tables> {
    guarded(|| {
        let changed = services
            .into_iter()
            .flat_map(|s| endpoints(snapshot, s, workloads));
        old.patched(Kind::Endpoints, changed.map(resource))
    })
}

fn endpoints(
    snapshot: &MeshSnapshot,
    service: &Name,
    workloads: &Endpoints,
) -> Vec<heddle_translate::Resource> {
    static NONE: std::collections::BTreeMap<
        heddle_model::id::ProxyId,
        heddle_model::workload::Endpoint,
    > = std::collections::BTreeMap::new();
    heddle_translate::endpoints(snapshot, service, workloads.get(service).unwrap_or(&NONE))
}

/// What proxies with equal descriptions have for themselves: listeners, inbound routes, the application's cluster.
pub(super) fn own(old: &Tables, snapshot: &MeshSnapshot, view: &ProxyView) -> Option<Tables> {
    guarded(|| {
        tables(
            old,
            &Kind::ALL,
            heddle_translate::proxy(snapshot, view).resources,
        )
    })
}

/// A mesh that makes translation panic keeps its last view, and no other mesh notices (F-34).
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    outcome
        .inspect_err(|_| tracing::error!("translation panicked; the last view stays"))
        .ok()
}
