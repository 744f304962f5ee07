//! The edges of the graph: what is derived from what. Few and static, so that they can be listed, and so that a test can
//! leave out each in turn and see that it was needed.

/// What is looked at again when something else has changed: `<what changed><what depends on it>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// The clusters of every service are of its mesh: its trust domain, its name.
    MeshClusters,
    /// A service's ports are clusters.
    ServiceClusters,
    /// The versions that its routes and splits name are clusters.
    RoutesClusters,
    /// A profile may say how a service is called.
    ProfileClusters,
    /// Each cluster has endpoints, also when there is no workload.
    ServiceEndpoints,
    /// See [`Edge::RoutesClusters`].
    RoutesEndpoints,
    /// Where the workloads are.
    WorkloadsEndpoints,
    /// Hosts end in the name of the mesh.
    MeshHosts,
    /// Which host leads to which service depends on all of them: the first one gets it.
    ServiceHosts,
    /// Whom a service calls.
    CallerReach,
    /// Where the routes of those lead to.
    RoutesReach,
    /// Outbound routes have the settings of the mesh.
    MeshOutbound,
    /// The exceptions that a service makes for its own calls.
    CallerOutbound,
    /// The ports and settings of a service that is called; whether it is there at all.
    CalleeOutbound,
    /// Its routes and their splits.
    RoutesOutbound,
    /// Its profile.
    ProfileOutbound,
    /// Its hosts.
    HostsOutbound,
    /// The ports of a service that a route leads to; whether it is there at all.
    BackendOutbound,
    /// A listener takes the identities of its mesh, and what nobody allowed by the mesh's default.
    MeshInbound,
    /// A service's ports are listeners.
    ServiceInbound,
    /// Its access rules are in their routes.
    RulesInbound,
    /// A profile may say how a service is protected.
    ProfileInbound,
    /// Which local port leads to which service depends on all of them: the first one has it.
    ServicePorts,
    /// A listener for each `tcp` port of a service that is called.
    PortsListeners,
    /// The roots are a secret.
    RootsTrust,
    /// A proxy gets the clusters within its reach.
    ClustersTables,
    /// And their endpoints.
    EndpointsTables,
    /// The outbound routes, and the clusters that only they name.
    OutboundTables,
    /// The trust.
    TrustTables,
    /// What it shares with others is in its view.
    TablesView,
    /// What it has for itself is in its view.
    InboundView,
}

/// Which edges there are: all of them, but for a test.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Edges {
    /// The one that is left out.
    #[cfg(test)]
    pub(super) without: Option<Edge>,
}

impl Edges {
    /// Whether this edge is followed.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test leaves out edges")]
    pub(super) const fn has(&self, _: Edge) -> bool {
        true
    }

    /// Whether this edge is followed.
    #[cfg(test)]
    pub(super) fn has(&self, edge: Edge) -> bool {
        self.without != Some(edge)
    }
}

#[cfg(test)]
impl Edge {
    /// Every edge.
    pub(super) const ALL: [Self; 31] = [
        Self::MeshClusters,
        Self::ServiceClusters,
        Self::RoutesClusters,
        Self::ProfileClusters,
        Self::ServiceEndpoints,
        Self::RoutesEndpoints,
        Self::WorkloadsEndpoints,
        Self::MeshHosts,
        Self::ServiceHosts,
        Self::CallerReach,
        Self::RoutesReach,
        Self::MeshOutbound,
        Self::CallerOutbound,
        Self::CalleeOutbound,
        Self::RoutesOutbound,
        Self::ProfileOutbound,
        Self::HostsOutbound,
        Self::BackendOutbound,
        Self::MeshInbound,
        Self::ServiceInbound,
        Self::RulesInbound,
        Self::ProfileInbound,
        Self::ServicePorts,
        Self::PortsListeners,
        Self::RootsTrust,
        Self::ClustersTables,
        Self::EndpointsTables,
        Self::OutboundTables,
        Self::TrustTables,
        Self::TablesView,
        Self::InboundView,
    ];

    /// Those that the worlds of the test do not need: they draw no setting of a profile that is about clusters or inbound
    /// listeners. Real Envoys show that these are followed.
    pub(super) const SPARE: [Self; 2] = [Self::ProfileClusters, Self::ProfileInbound];
}
