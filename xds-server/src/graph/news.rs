//! What differs between two revisions of a mesh, as finely as the graph distinguishes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heddle_model::id::{AccessRuleId, ServiceId};
use heddle_model::kind::{AccessRule, Service};
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, Object, RouteNode, ServiceNode};

/// The inputs of a graph that have changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct News {
    /// The mesh itself, and who is revoked in it.
    pub(super) mesh: bool,
    /// The roots that its proxies trust.
    pub(super) roots: bool,
    /// Profiles, by name.
    pub(super) profiles: BTreeSet<Name>,
    /// Services that came, went, or say something else.
    pub(super) services: BTreeSet<Name>,
    /// Services of which some route or split is not what it was.
    pub(super) routes: BTreeSet<Name>,
    /// Services of which some access rule is not what it was.
    pub(super) rules: BTreeSet<Name>,
    /// Services of which some workload is not where it was.
    pub(super) workloads: BTreeSet<Name>,
}

/// The names whose values differ. `same` may say so of some at a glance.
fn differing<'a, T: PartialEq>(
    old: Option<&'a BTreeMap<Name, T>>,
    new: &'a BTreeMap<Name, T>,
    same: impl Fn(&T, &T) -> bool,
) -> impl Iterator<Item = (&'a Name, Option<&'a T>, Option<&'a T>)> {
    let gone = old.into_iter().flatten();
    let gone = gone.filter(|(name, _)| !new.contains_key(*name));
    let gone = gone.map(|(name, old)| (name, Some(old), None));
    let here = new.iter().map(move |(name, new)| {
        let old = old.and_then(|old| old.get(name));
        (name, old, Some(new))
    });
    let differs = move |old: Option<&T>, new: Option<&T>| match (old, new) {
        (Some(old), Some(new)) => !same(old, new) && old != new,
        (old, new) => old != new,
    };
    gone.chain(here.filter(move |(_, old, new)| differs(*old, *new)))
}

impl News {
    /// What is new in `new`; everything, when there was nothing before.
    pub(super) fn between(old: Option<&MeshSnapshot>, new: &MeshSnapshot) -> Self {
        let mut news = Self {
            mesh: old.is_none_or(|old| {
                (&old.mesh, &old.trust_domain, old.org, &old.revoked)
                    != (&new.mesh, &new.trust_domain, new.org, &new.revoked)
            }),
            ..Self::default()
        };
        let profiles = differing(old.map(|old| &old.profiles), &new.profiles, |_, _| false);
        news.profiles
            .extend(profiles.map(|(name, ..)| name.clone()));
        let services = old.map(|old| &old.services);
        for (name, old, new) in differing(services, &new.services, Arc::ptr_eq) {
            let (old, new) = (old.map(AsRef::as_ref), new.map(AsRef::as_ref));
            if old.map(service) != new.map(service) {
                news.services.insert(name.clone());
            }
            if old.map_or(&[][..], routes) != new.map_or(&[][..], routes) {
                news.routes.insert(name.clone());
            }
            if old.map_or(&[][..], rules) != new.map_or(&[][..], rules) {
                news.rules.insert(name.clone());
            }
        }
        news
    }

    /// Adds more.
    pub(super) fn extend(&mut self, further: Self) {
        self.mesh |= further.mesh;
        self.roots |= further.roots;
        self.profiles.extend(further.profiles);
        self.services.extend(further.services);
        self.routes.extend(further.routes);
        self.rules.extend(further.rules);
        self.workloads.extend(further.workloads);
    }
}

const fn service(node: &ServiceNode) -> &Object<ServiceId, Service> {
    &node.service
}

fn routes(node: &ServiceNode) -> &[RouteNode] {
    &node.routes
}

fn rules(node: &ServiceNode) -> &[Object<AccessRuleId, AccessRule>] {
    &node.access_rules
}
