//! The graph of one mesh: from its objects and workloads, through parts that are made once, to the views of its proxies.
//!
//! ```text
//! mesh, profiles, services, routes ──> clusters of a service ──┐
//! services, routes, workloads ───────> endpoints of a service ─┼─> tables ──┐
//! services, mesh ──> hosts ──┐                                 │            ├─> view of a group
//! all of these ──────────────┴───────> outbound routes ────────┤            │
//! roots ─────────────────────────────> trust ──────────────────┘            │
//! services ──> local ports ──┐                                              │
//! mesh, service, access rules ┴──────> listeners and inbound routes ────────┘
//! ```
//!
//! A change is followed along the [edges](Edge), part by part, from left to right. A part that comes out with equal bytes is
//! the part that it was, and nothing behind it is looked at. So where workloads are never touches clusters, listeners or
//! routes, and what one service says reaches those alone who see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use heddle_model::id::ProxyId;
use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_model::workload::{Endpoint, Endpoints};
use heddle_translate::{Hosts, LocalPorts, Options, ProxyView};

use super::audience::{Audience, Outcome};
use super::compile::{Made, Pool, guarded};
use super::edge::{Edge, Edges};
use super::news::News;
use super::shared::Shared;
#[cfg(test)]
use crate::engine::view::Tables;
use crate::engine::view::View;

/// Whose views are new, and those.
pub(super) type Views = Vec<(ProxyView, Arc<View>)>;

/// What is made of one service for all who call it.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) clusters: Made,
    pub(super) endpoints: Made,
}

/// What is known and made of a mesh so far.
pub(super) struct State {
    pub(super) options: Options,
    pub(super) edges: Edges,
    pub(super) pool: Pool,
    pub(super) snapshot: Arc<MeshSnapshot>,
    roots: String,
    pub(super) hosts: Hosts,
    ports: LocalPorts,
    pub(super) trust: Made,
    pub(super) services: BTreeMap<Name, Parts>,
    /// Translation panicked somewhere in this step.
    pub(super) failed: bool,
}

/// A change on its way through the graph: what was new at the outset, and which parts came out different.
pub(super) struct Wave {
    pub(super) now: Instant,
    pub(super) news: News,
    /// Services whose profile is not what it was.
    pub(super) profiled: BTreeSet<Name>,
    pub(super) clusters: BTreeSet<Name>,
    pub(super) endpoints: BTreeSet<Name>,
    pub(super) hosts: BTreeSet<Name>,
    /// Services of which some local port is another.
    pub(super) ports: BTreeSet<Name>,
    pub(super) trust: bool,
}

impl Wave {
    fn new(news: News, now: Instant) -> Self {
        Self {
            now,
            news,
            profiled: BTreeSet::new(),
            clusters: BTreeSet::new(),
            endpoints: BTreeSet::new(),
            hosts: BTreeSet::new(),
            ports: BTreeSet::new(),
            trust: false,
        }
    }
}

/// The graph of one mesh, with one writer.
pub(super) struct Graph {
    options: Options,
    edges: Edges,
    state: Option<State>,
    /// What those have in common who see everywhere; made only for those who do.
    all: Option<Shared>,
    audiences: BTreeMap<Name, Audience>,
    /// What has to be looked at once more, because translation panicked on it.
    again: News,
}

impl Graph {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            edges: Edges::default(),
            state: None,
            all: None,
            audiences: BTreeMap::new(),
            again: News::default(),
        }
    }

    /// The same without one edge.
    #[cfg(test)]
    pub(super) fn without(mut self, edge: Edge) -> Self {
        self.edges.without = Some(edge);
        self
    }

    /// What the proxies of a service get in common, whether a view shows it yet or not.
    #[cfg(test)]
    pub(super) fn common(&self, service: &Name) -> Option<Tables> {
        self.audiences.get(service).map(Audience::common)
    }

    /// The mesh as it was loaded last.
    pub(super) fn snapshot(&self) -> Option<&Arc<MeshSnapshot>> {
        self.state.as_ref().map(|state| &state.snapshot)
    }

    /// Whether everything could be made of what was loaded last.
    pub(super) fn is_whole(&self) -> bool {
        self.again == News::default()
    }

    /// Objects may have changed.
    pub(super) fn load(
        &mut self,
        snapshot: MeshSnapshot,
        roots: &str,
        workloads: &Endpoints,
        now: Instant,
    ) -> Views {
        let mut news = News::between(self.snapshot().map(AsRef::as_ref), &snapshot);
        news.roots = self.state.as_ref().is_none_or(|state| state.roots != roots);
        let snapshot = Arc::new(snapshot);
        match &mut self.state {
            Some(state) => {
                state.snapshot = snapshot;
                roots.clone_into(&mut state.roots);
            }
            None => {
                self.state = Some(State {
                    options: self.options,
                    edges: self.edges,
                    pool: Pool::default(),
                    snapshot,
                    roots: roots.to_owned(),
                    hosts: Hosts::default(),
                    ports: LocalPorts::default(),
                    trust: Made::new(),
                    services: BTreeMap::new(),
                    failed: false,
                });
            }
        }
        self.follow(news, workloads, now)
    }

    /// Takes the access rules out of force whose time is over. Returns when the next one's is.
    pub(super) fn expire(
        &mut self,
        at: DateTime<Utc>,
        workloads: &Endpoints,
        now: Instant,
    ) -> (Views, Option<DateTime<Utc>>) {
        let Some(state) = &self.state else {
            return (Views::new(), None);
        };
        let mut snapshot = MeshSnapshot::clone(&state.snapshot);
        let roots = state.roots.clone();
        let next = snapshot.drop_expired(at);
        (self.load(snapshot, &roots, workloads, now), next)
    }

    /// Workloads of these services may be elsewhere.
    pub(super) fn moved(
        &mut self,
        services: &BTreeSet<Name>,
        workloads: &Endpoints,
        now: Instant,
    ) -> Views {
        let news = News {
            workloads: services.clone(),
            ..News::default()
        };
        self.follow(news, workloads, now)
    }

    /// A proxy wants to see the mesh like this. Returns what there is to see.
    pub(super) fn join(&mut self, view: &ProxyView, now: Instant) -> Option<Arc<View>> {
        let audience = self.audiences.entry(view.service.clone()).or_default();
        audience.join(view);
        let state = self.state.as_mut()?;
        let wave = Wave::new(News::default(), now);
        audience.look(state, &wave, &view.service);
        if audience.sees_everywhere() && self.all.is_none() {
            self.all = Some(Shared::of_all(state));
        }
        let all = self.all.as_ref();
        audience.follow(state, all, &wave, &view.service, &mut Outcome::default());
        let seen = audience.view(view);
        self.note_failure(News::default());
        seen
    }

    /// Nobody sees the mesh like this any more.
    pub(super) fn leave(&mut self, view: &ProxyView) {
        let Some(audience) = self.audiences.get_mut(&view.service) else {
            return;
        };
        if audience.leave(view) {
            self.audiences.remove(&view.service);
            if !self.audiences.values().any(Audience::sees_everywhere) {
                self.all = None;
            }
        }
    }

    fn follow(&mut self, news: News, workloads: &Endpoints, now: Instant) -> Views {
        let Some(state) = &mut self.state else {
            return Views::new();
        };
        let mut wave = Wave::new(std::mem::take(&mut self.again), now);
        wave.news.extend(news);
        state.follow(&mut wave, workloads);
        let mut everywhere = false;
        for (service, audience) in &mut self.audiences {
            audience.look(state, &wave, service);
            everywhere |= audience.sees_everywhere();
        }
        match &mut self.all {
            _ if !everywhere => self.all = None,
            Some(all) => all.follow_all(state, &wave),
            None => self.all = Some(Shared::of_all(state)),
        }
        let mut outcome = Outcome::default();
        for (service, audience) in &mut self.audiences {
            audience.follow(state, self.all.as_ref(), &wave, service, &mut outcome);
        }
        self.note_failure(wave.news);
        outcome.views
    }

    /// Where translation panicked, the next change goes through everything once more.
    fn note_failure(&mut self, news: News) {
        let failed = self.state.as_mut().map(|state| &mut state.failed);
        if failed.is_some_and(std::mem::take) {
            self.again.extend(news);
            self.again.mesh = true;
        }
    }
}

impl State {
    /// Makes again what all proxies share, as far as it may have changed.
    fn follow(&mut self, wave: &mut Wave, workloads: &Endpoints) {
        let snapshot = self.snapshot.clone();
        let news = &wave.news;
        let profiled = snapshot.services.iter().filter(|(_, node)| {
            let profile = node.service.spec.profile.as_ref();
            profile.is_some_and(|profile| news.profiles.contains(profile))
        });
        if !news.profiles.is_empty() {
            wave.profiled = profiled.map(|(name, _)| name.clone()).collect();
        }
        let edges = self.edges;
        let along = |edge, services: &BTreeSet<Name>| -> BTreeSet<Name> {
            match edges.has(edge) {
                true => services.clone(),
                false => BTreeSet::new(),
            }
        };
        let mut clusters = along(Edge::ServiceClusters, &news.services);
        clusters.extend(along(Edge::RoutesClusters, &news.routes));
        clusters.extend(along(Edge::ProfileClusters, &wave.profiled));
        if news.mesh && edges.has(Edge::MeshClusters) {
            clusters.extend(snapshot.services.keys().cloned());
        }
        let mut endpoints = along(Edge::ServiceEndpoints, &news.services);
        endpoints.extend(along(Edge::RoutesEndpoints, &news.routes));
        endpoints.extend(along(Edge::WorkloadsEndpoints, &news.workloads));
        for service in clusters {
            if self.make_clusters(&service) {
                wave.clusters.insert(service);
            }
        }
        for service in endpoints {
            if self.make_endpoints(&service, workloads) {
                wave.endpoints.insert(service);
            }
        }
        self.services
            .retain(|_, parts| !parts.clusters.is_empty() || !parts.endpoints.is_empty());
        if (news.mesh && edges.has(Edge::MeshHosts))
            || (!news.services.is_empty() && edges.has(Edge::ServiceHosts))
        {
            wave.hosts = self.make_hosts();
        }
        if (news.mesh || !news.services.is_empty()) && edges.has(Edge::ServicePorts) {
            wave.ports = self.make_ports();
        }
        if news.roots && edges.has(Edge::RootsTrust) {
            let roots = self.roots.clone();
            let made = || vec![heddle_translate::trust_secret(&roots)];
            let made = self.pool.remake(&self.trust, made);
            wave.trust = settle(&mut self.trust, made, &mut self.failed);
        }
    }

    /// Whether they came out different.
    fn make_clusters(&mut self, service: &Name) -> bool {
        let (snapshot, options) = (self.snapshot.clone(), self.options);
        let parts = self.services.entry(service.clone()).or_default();
        let made = || heddle_translate::clusters(&snapshot, service, &options);
        let made = self.pool.remake(&parts.clusters, made);
        settle(&mut parts.clusters, made, &mut self.failed)
    }

    /// Whether they came out different.
    fn make_endpoints(&mut self, service: &Name, workloads: &Endpoints) -> bool {
        static NONE: BTreeMap<ProxyId, Endpoint> = BTreeMap::new();
        let snapshot = self.snapshot.clone();
        let parts = self.services.entry(service.clone()).or_default();
        let workloads = workloads.get(service).unwrap_or(&NONE);
        let made = || heddle_translate::endpoints(&snapshot, service, workloads);
        let made = self.pool.remake(&parts.endpoints, made);
        settle(&mut parts.endpoints, made, &mut self.failed)
    }

    /// The services whose hosts came out different.
    fn make_hosts(&mut self) -> BTreeSet<Name> {
        let snapshot = self.snapshot.clone();
        let Some(hosts) = guarded(|| heddle_translate::hosts(&snapshot)) else {
            self.failed = true;
            return BTreeSet::new();
        };
        let old = std::mem::replace(&mut self.hosts, hosts);
        let services = snapshot.services.keys();
        let new = services.filter(|name| old.of(name) != self.hosts.of(name));
        new.cloned().collect()
    }
}

impl State {
    /// The services whose local ports came out different.
    fn make_ports(&mut self) -> BTreeSet<Name> {
        let snapshot = self.snapshot.clone();
        let Some(ports) = guarded(|| heddle_translate::local_ports(&snapshot)) else {
            self.failed = true;
            return BTreeSet::new();
        };
        let old = std::mem::replace(&mut self.ports, ports);
        self.ports.changes_from(&old)
    }
}

/// Takes what was made in the place of what was there. Whether it is different.
pub(super) fn settle(part: &mut Made, made: Option<Made>, failed: &mut bool) -> bool {
    let Some(made) = made else {
        *failed = true;
        return false;
    };
    let mut pairs = part.iter().zip(&made);
    let same = part.len() == made.len() && pairs.all(|(old, new)| Arc::ptr_eq(old, new));
    *part = made;
    !same
}
