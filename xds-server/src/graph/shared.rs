//! What proxies get in common: all that see everywhere, or those of one service.

use std::collections::BTreeSet;
use std::sync::Arc;

use heddle_model::name::Name;
use heddle_translate::Reach;

use super::compile::Made;
use super::derive::{Parts, State, Wave, settle};
use super::edge::Edge;
use crate::engine::kind::Kind;
use crate::engine::resource::Resource;
use crate::engine::view::Tables;

/// Outbound routes, and the tables of what they lead to.
#[derive(Debug, Default)]
pub(super) struct Shared {
    outbound: Made,
    pub(super) tables: Tables,
}

/// Which tables to make again.
#[derive(Default)]
struct Stale {
    clusters: bool,
    endpoints: bool,
    outbound: bool,
    trust: bool,
}

/// Whether two sets have something in common.
fn meet(one: &BTreeSet<Name>, other: &BTreeSet<Name>) -> bool {
    let (few, many) = match one.len() < other.len() {
        true => (one, other),
        false => (other, one),
    };
    few.iter().any(|name| many.contains(name))
}

impl Shared {
    /// What those see who see everywhere.
    pub(super) fn of_all(state: &mut State) -> Self {
        let mut shared = Self::default();
        shared.make_outbound_to_all(state);
        shared.fill(state, None, &Stale::everything());
        shared
    }

    /// What the proxies of one service see.
    pub(super) fn of(state: &mut State, service: &Name, reach: &Reach) -> Self {
        let mut shared = Self::default();
        shared.make_outbound_of(state, service, reach);
        shared.fill(state, Some(reach), &Stale::everything());
        shared
    }

    /// Whether it could be made at all.
    pub(super) const fn is_made(&self) -> bool {
        !self.outbound.is_empty()
    }

    fn make_outbound_to_all(&mut self, state: &mut State) -> bool {
        let (snapshot, options) = (state.snapshot.clone(), state.options);
        let made = || heddle_translate::outbound_to_all(&snapshot, &state.hosts, &options);
        let made = state.pool.remake(&self.outbound, made);
        settle(&mut self.outbound, made, &mut state.failed)
    }

    fn make_outbound_of(&mut self, state: &mut State, service: &Name, reach: &Reach) -> bool {
        let (snapshot, options) = (state.snapshot.clone(), state.options);
        let hosts = &state.hosts;
        let made = || heddle_translate::outbound_of(&snapshot, hosts, service, reach, &options);
        let made = state.pool.remake(&self.outbound, made);
        settle(&mut self.outbound, made, &mut state.failed)
    }

    /// Follows a change.
    pub(super) fn follow_all(&mut self, state: &mut State, wave: &Wave) {
        let (news, edges) = (&wave.news, state.edges);
        let outbound = (news.mesh && edges.has(Edge::MeshOutbound))
            || (!news.services.is_empty() && edges.has(Edge::CalleeOutbound))
            || (!news.routes.is_empty() && edges.has(Edge::RoutesOutbound))
            || (!wave.profiled.is_empty() && edges.has(Edge::ProfileOutbound))
            || (!wave.hosts.is_empty() && edges.has(Edge::HostsOutbound));
        let stale = Stale {
            clusters: !wave.clusters.is_empty() && edges.has(Edge::ClustersTables),
            endpoints: !wave.endpoints.is_empty() && edges.has(Edge::EndpointsTables),
            outbound: outbound
                && self.make_outbound_to_all(state)
                && edges.has(Edge::OutboundTables),
            trust: wave.trust && edges.has(Edge::TrustTables),
        };
        self.fill(state, None, &stale);
    }

    /// Follows a change. `moved`: the reach is another.
    pub(super) fn follow_of(
        &mut self,
        state: &mut State,
        wave: &Wave,
        service: &Name,
        reach: &Reach,
        moved: bool,
    ) {
        let (news, edges) = (&wave.news, state.edges);
        let called = |services: &BTreeSet<Name>| meet(services, &reach.callees);
        let seen = |services: &BTreeSet<Name>| called(services) || meet(services, &reach.backends);
        let outbound = (news.mesh && edges.has(Edge::MeshOutbound))
            || (news.services.contains(service) && edges.has(Edge::CallerOutbound))
            || (called(&news.services) && edges.has(Edge::CalleeOutbound))
            || (called(&news.routes) && edges.has(Edge::RoutesOutbound))
            || (called(&wave.profiled) && edges.has(Edge::ProfileOutbound))
            || (called(&wave.hosts) && edges.has(Edge::HostsOutbound))
            || (meet(&news.services, &reach.backends) && edges.has(Edge::BackendOutbound));
        let outbound = outbound && self.make_outbound_of(state, service, reach);
        let stale = Stale {
            clusters: seen(&wave.clusters) && edges.has(Edge::ClustersTables),
            endpoints: seen(&wave.endpoints) && edges.has(Edge::EndpointsTables),
            outbound: (outbound || moved) && edges.has(Edge::OutboundTables),
            trust: wave.trust && edges.has(Edge::TrustTables),
        };
        self.fill(state, Some(reach), &stale);
    }

    /// Fills the tables that are stale.
    fn fill(&mut self, state: &State, reach: Option<&Reach>, stale: &Stale) {
        if stale.clusters || stale.outbound {
            let shared = self.within(state, reach, |parts| &parts.clusters);
            // What the outbound part has under the name of something shared takes its place.
            let own = self.outbound.iter().filter(|r| r.kind == Kind::Cluster);
            let all: Vec<_> = shared.into_iter().chain(own.cloned()).collect();
            self.tables.replace(Kind::Cluster, all);
        }
        if stale.endpoints || stale.outbound {
            let all = self.within(state, reach, |parts| &parts.endpoints);
            self.tables.replace(Kind::Endpoints, all);
        }
        if stale.outbound {
            let routes = self.outbound.iter().filter(|r| r.kind == Kind::Route);
            self.tables.replace(Kind::Route, routes.cloned());
        }
        if stale.trust {
            self.tables
                .replace(Kind::Secret, state.trust.iter().cloned());
        }
    }

    /// Clusters, or their endpoints, as far as they are within reach. Those of callees are all there: a version that gets
    /// no share yet is warm before it gets one.
    fn within(
        &self,
        state: &State,
        reach: Option<&Reach>,
        of: impl Fn(&Parts) -> &Made,
    ) -> Vec<Arc<Resource>> {
        let Some(reach) = reach else {
            return state.services.values().flat_map(of).cloned().collect();
        };
        let parts = |services: &BTreeSet<Name>| -> Vec<Arc<Resource>> {
            let parts = services.iter().filter_map(|name| state.services.get(name));
            parts.flat_map(&of).cloned().collect()
        };
        let named: BTreeSet<&str> = self
            .outbound
            .iter()
            .flat_map(|r| &r.needs)
            .map(|n| &**n)
            .collect();
        let backends = parts(&reach.backends);
        let backends = backends.into_iter().filter(|r| named.contains(&*r.name));
        parts(&reach.callees).into_iter().chain(backends).collect()
    }
}

impl Stale {
    const fn everything() -> Self {
        Self {
            clusters: true,
            endpoints: true,
            outbound: true,
            trust: true,
        }
    }
}
