//! All inputs of one mesh at one revision: sorted, immutable, what translation reads.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::id::{AccessRuleId, MeshId, OrgId, ProfileId, RouteId, ServiceId, SplitId};
use crate::kind::service::Port;
use crate::kind::{AccessRule, Mesh, Profile, Route, Service, Split};
use crate::mtls::{self, InForce};
use crate::name::Name;
use crate::settings::Levels;

/// A stored object with what provenance needs to know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<I, T> {
    /// Its identifier.
    pub id: I,
    /// Its name within its parent.
    pub name: Name,
    /// The mesh revision that wrote it last.
    pub revision: u64,
    /// What the user wrote.
    pub spec: T,
}

/// A mesh at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshSnapshot {
    /// Whose it is.
    pub org: OrgId,
    /// The revision of the whole mesh.
    pub revision: u64,
    /// When that was made. A database that lost commits counts on from an earlier number: this tells the two apart.
    pub made_at: Option<DateTime<Utc>>,
    /// The mesh itself.
    pub mesh: Object<MeshId, Mesh>,
    /// The SPIFFE trust domain, without the scheme.
    pub trust_domain: String,
    /// Its profiles by name.
    pub profiles: BTreeMap<Name, Object<ProfileId, Profile>>,
    /// Its services by name. Shared: what did not change between two revisions is the same in both.
    pub services: BTreeMap<Name, Arc<ServiceNode>>,
    /// Services whose identity is revoked, whether there is such a service now or not: nobody takes their calls.
    pub revoked: BTreeSet<Name>,
}

/// A service with everything below it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceNode {
    /// The service itself.
    pub service: Object<ServiceId, Service>,
    /// Its routes by (priority, name).
    pub routes: Vec<RouteNode>,
    /// Its access rules by name.
    pub access_rules: Vec<Object<AccessRuleId, AccessRule>>,
}

/// A route with its split.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteNode {
    /// The route itself.
    pub route: Object<RouteId, Route>,
    /// Its split, if it has one.
    pub split: Option<Object<SplitId, Split>>,
}

impl MeshSnapshot {
    /// Takes out the access rules whose time is over at `now`. Returns when the next one's is.
    pub fn drop_expired(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut next: Option<DateTime<Utc>> = None;
        for node in self.services.values_mut() {
            let ends = || node.access_rules.iter().filter_map(|rule| rule.spec.ends());
            next = ends().filter(|end| *end > now).chain(next).min();
            if ends().any(|end| end <= now) {
                let rules = &mut Arc::make_mut(node).access_rules;
                rules.retain(|rule| rule.spec.ends().is_none_or(|end| end > now));
            }
        }
        next
    }

    /// A service by its name.
    #[must_use]
    pub fn service<Q: Ord + ?Sized>(&self, name: &Q) -> Option<&ServiceNode>
    where
        Name: Borrow<Q>,
    {
        self.services.get(name).map(AsRef::as_ref)
    }

    /// A service to change; other snapshots keep theirs as it is.
    pub fn service_mut<Q: Ord + ?Sized>(&mut self, name: &Q) -> Option<&mut ServiceNode>
    where
        Name: Borrow<Q>,
    {
        self.services.get_mut(name).map(Arc::make_mut)
    }

    /// Every service, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &ServiceNode> {
        self.services.values().map(AsRef::as_ref)
    }

    /// The profile that a service names, unless it was deleted.
    #[must_use]
    pub fn profile(&self, service: &ServiceNode) -> Option<&Object<ProfileId, Profile>> {
        self.profiles.get(service.service.spec.profile.as_ref()?)
    }

    /// What is said about the service's own proxies, by itself and by what stands above it.
    #[must_use]
    pub fn levels<'a>(&'a self, service: &'a ServiceNode) -> Levels<'a> {
        let profile = self.profile(service);
        Levels {
            mesh: self.mesh.spec.defaults.as_ref(),
            profile: profile.map(|profile| &profile.spec.settings),
            service: service.service.spec.defaults.as_ref(),
            ..Levels::default()
        }
    }

    /// How a port of a service is called.
    #[must_use]
    pub fn mtls(&self, service: &ServiceNode, port: &Port) -> InForce {
        mtls::in_force(&self.mesh.spec, &service.service.spec, port)
    }

    /// The hosts that a service answers for, most specific meaning first: `<service>`, `<service>.<mesh>.mesh`,
    /// then its own `hostnames`.
    #[must_use]
    pub fn hosts(&self, service: &ServiceNode) -> Vec<String> {
        let name = &service.service.name;
        let own = [name.to_string(), format!("{name}.{}.mesh", self.mesh.name)];
        let further = service
            .service
            .spec
            .hostnames
            .iter()
            .flatten()
            .map(ToString::to_string);
        own.into_iter().chain(further).collect()
    }
}
