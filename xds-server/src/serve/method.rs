//! The methods that are served: which protocol each speaks, and about what.

use crate::engine::kind::Kind;
use crate::engine::session::Protocol;
use crate::graph::Lane;

/// A method of one of the discovery services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) protocol: Protocol,
    pub(super) lane: Lane,
}

/// The services by the last part of their method names. `Fetch` of any of them is not served: Envoy asks that way over
/// plain HTTP only, and what is fetched now and then is never pushed.
const SERVICES: [(&str, &str, Lane); 6] = [
    (
        "discovery.v3.AggregatedDiscoveryService",
        "AggregatedResources",
        Lane::Aggregated,
    ),
    (
        "cluster.v3.ClusterDiscoveryService",
        "Clusters",
        Lane::Single(Kind::Cluster),
    ),
    (
        "endpoint.v3.EndpointDiscoveryService",
        "Endpoints",
        Lane::Single(Kind::Endpoints),
    ),
    (
        "listener.v3.ListenerDiscoveryService",
        "Listeners",
        Lane::Single(Kind::Listener),
    ),
    (
        "route.v3.RouteDiscoveryService",
        "Routes",
        Lane::Single(Kind::Route),
    ),
    (
        "secret.v3.SecretDiscoveryService",
        "Secrets",
        Lane::Single(Kind::Secret),
    ),
];

impl Method {
    /// The method at a path, if it is served.
    pub(super) fn at(path: &str) -> Option<Self> {
        let (service, method) = path.strip_prefix("/envoy.service.")?.split_once('/')?;
        let (_, suffix, lane) = SERVICES.iter().find(|(name, ..)| *name == service)?;
        let protocol = match method.strip_suffix(suffix)? {
            "Delta" => Protocol::Delta,
            "Stream" => Protocol::Sotw,
            _ => return None,
        };
        let lane = *lane;
        Some(Self { protocol, lane })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_names_of_the_published_services() {
        let at = |path: &str| Method::at(path).map(|m| (m.protocol, m.lane));
        let ads = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
        assert_eq!(
            at(&format!("{ads}/DeltaAggregatedResources")),
            Some((Protocol::Delta, Lane::Aggregated))
        );
        assert_eq!(
            at("/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes"),
            Some((Protocol::Sotw, Lane::Single(Kind::Route)))
        );
        for path in [
            "/envoy.service.route.v3.RouteDiscoveryService/FetchRoutes",
            "/envoy.service.route.v3.RouteDiscoveryService/StreamClusters",
            "/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts",
            "/envoy.service.route.v3.RouteDiscoveryService",
            "/",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
    }
}
