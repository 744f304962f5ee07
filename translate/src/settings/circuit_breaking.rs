//! `circuit_breaking` becomes the thresholds of each cluster of the service.

use heddle_model::settings::circuit_breaking::MAX_IN_FLIGHT;
use heddle_model::settings::{CircuitBreaking, Levels};

use super::Applied;
use crate::envoy::cluster::circuit_breakers::Thresholds;
use crate::envoy::cluster::{CircuitBreakers, Cluster};
use crate::envoy::{UInt32Value, number};

/// The thresholds in force.
pub(crate) fn thresholds(levels: &Levels<'_>) -> CircuitBreakers {
    let resolved = CircuitBreaking::resolve(levels);
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: number(resolved.max_connections.value),
            max_pending_requests: number(resolved.max_pending_requests.value),
            max_requests: number(resolved.max_requests.value),
            max_retries: number(resolved.max_retries.value),
            ..Thresholds::default()
        }],
        ..CircuitBreakers::default()
    }
}

/// The same where every connection is a call by itself: as many at once as either limit says. One too many is refused at once;
/// at Envoy's own limit of connections it would wait for another one to end.
pub(crate) fn limit_connections(cluster: &mut Cluster) {
    let thresholds = cluster.circuit_breakers.iter_mut();
    for limits in thresholds.flat_map(|breakers| &mut breakers.thresholds) {
        let value =
            |limit: &Option<UInt32Value>| limit.as_ref().map_or(MAX_IN_FLIGHT, |limit| limit.value);
        let (connections, requests) = (value(&limits.max_connections), value(&limits.max_requests));
        limits.max_requests = number(connections.min(requests));
        limits.max_connections = number(connections.max(MAX_IN_FLIGHT));
    }
}

pub(super) fn apply(cluster: &mut Cluster, levels: &Levels<'_>, applied: &mut Vec<Applied>) {
    let resolved = CircuitBreaking::resolve(levels);
    cluster.circuit_breakers = Some(thresholds(levels));
    applied.extend(
        [
            (resolved.max_connections.from, "/max_connections"),
            (resolved.max_pending_requests.from, "/max_pending_requests"),
            (resolved.max_requests.from, "/max_requests"),
            (resolved.max_retries.from, "/max_retries"),
        ]
        .map(|(from, field)| Applied {
            from,
            pointer: format!("/circuit_breaking{field}"),
            within: "CircuitBreakersValidationError",
        }),
    );
}
