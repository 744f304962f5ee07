//! From a snapshot and its workloads to tables of resources, keeping every resource that did not change.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_model::workload::Endpoints;
use heddle_translate::{Options, Origin, ProxyView, ResourceType};

use crate::engine::kind::Kind;
use crate::engine::resource::Resource;
use crate::engine::view::{Changes, Tables};

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

/// What proxies have in common: most have the same, those of a service that makes exceptions for its calls a variant of
/// it. However many proxies such a service has, its variant is made once.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    all: Tables,
    variants: BTreeMap<Name, Tables>,
}

impl Shared {
    /// What the proxies of a service have in common.
    pub(super) fn of(&self, service: &Name) -> &Tables {
        self.variants.get(service).unwrap_or(&self.all)
    }

    /// What differs from `old`, for the proxies of each service.
    pub(super) fn changes_from(&self, old: &Self) -> SharedChanges {
        let services = self.variants.keys().chain(old.variants.keys());
        let of = |service: &Name| {
            let changes = self.of(service).changes_from(old.of(service));
            (service.clone(), Arc::new(changes))
        };
        SharedChanges {
            variants: services.map(of).collect(),
            all: Arc::new(self.all.changes_from(&old.all)),
        }
    }
}

/// What one step changed of what proxies have in common.
pub(super) struct SharedChanges {
    all: Arc<Changes>,
    variants: BTreeMap<Name, Arc<Changes>>,
}

impl SharedChanges {
    /// What it changed for the proxies of a service.
    pub(super) fn of(&self, service: &Name) -> &Arc<Changes> {
        self.variants.get(service).unwrap_or(&self.all)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.variants.values().all(|changes| changes.is_empty())
    }
}

/// What proxies have in common: clusters, their endpoints, outbound routes, trust.
pub(super) fn shared(
    old: &Shared,
    snapshot: &MeshSnapshot,
    roots: &str,
    workloads: &Endpoints,
    options: &Options,
) -> Option<Shared> {
    let all = of_all(&old.all, snapshot, roots, workloads, options)?;
    let mut variants = BTreeMap::new();
    for caller in heddle_translate::callers(snapshot) {
        // One caller whose variant cannot be made sees what all others see.
        let Some(own) = guarded(|| heddle_translate::caller(snapshot, caller, options)) else {
            continue;
        };
        variants.insert(caller.clone(), variant(old.variants.get(caller), &all, own));
    }
    Some(Shared { all, variants })
}

/// What all share, with some resources in a variant. What did not change since the last one is kept.
fn variant(old: Option<&Tables>, all: &Tables, own: Vec<heddle_translate::Resource>) -> Tables {
    let mut made: Vec<Resource> = own.into_iter().map(resource).collect();
    let mut tables = all.clone();
    for kind in Kind::ALL {
        let of_kind: Vec<_> = made.extract_if(.., |r| r.kind == kind).collect();
        if !of_kind.is_empty() {
            let old = old.unwrap_or(all).get(kind);
            tables = tables.overlaid(kind, of_kind, old);
        }
    }
    tables
}

fn of_all(
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
    old: &Shared,
    snapshot: &MeshSnapshot,
    services: impl IntoIterator<Item = &'a Name>,
    workloads: &Endpoints,
) -> Option<Shared> {
    guarded(|| {
        let changed = services
            .into_iter()
            .flat_map(|s| endpoints(snapshot, s, workloads));
        let all = old.all.patched(Kind::Endpoints, changed.map(resource));
        // No variant is about endpoints: where workloads are is the same for every caller.
        let with_endpoints = |(service, tables): (&Name, &Tables)| {
            let tables = tables.with_table(Kind::Endpoints, all.get(Kind::Endpoints));
            (service.clone(), tables)
        };
        let variants = old.variants.iter().map(with_endpoints).collect();
        Shared { all, variants }
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
