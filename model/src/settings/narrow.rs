//! Where not every setting may stand: on a route, and in the exception of a caller.
//!
//! What Envoy keeps for a whole cluster cannot differ from route to route, and what a service's own proxies do is not
//! a caller's to say. The schema of those places has the other settings alone, so that nothing is accepted that has no
//! effect.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{CircuitBreaking, OutlierDetection, Retries, Settings, timeout};
use crate::duration::HumanDuration;

/// What may differ from route to route. The other settings are about all calls of a service: they stand in its
/// `defaults` or its profile.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a schema: what passes it is read as `Settings`")]
pub struct RouteSettings {
    /// How long a call may take in all, retries included: 1 ms to 24 h.
    timeout: Option<HumanDuration>,
    /// Which failed calls are tried again, and how often.
    retries: Option<Retries>,
}

/// What may differ for the calls of one service. The other settings are about the workloads of the service that is called,
/// or about one's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a schema: what passes it is read as `Settings`")]
pub struct OverrideSettings {
    /// How long a call may take in all, retries included: 1 ms to 24 h.
    timeout: Option<HumanDuration>,
    /// Which failed calls are tried again, and how often.
    retries: Option<Retries>,
    /// Which workloads get no calls for a while because their answers fail.
    outlier_detection: Option<OutlierDetection>,
    /// How much one proxy asks of the service at once.
    circuit_breaking: Option<CircuitBreaking>,
}

impl RouteSettings {
    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({"timeout": timeout::sample(), "retries": Retries::sample()})
    }
}

impl Settings {
    /// Whether anything in it is about a whole cluster of Envoy.
    #[must_use]
    pub const fn is_about_clusters(&self) -> bool {
        self.outlier_detection.is_some() || self.circuit_breaking.is_some()
    }
}

/// Where a setting belongs that somebody wrote in a place that has none of its name.
#[must_use]
pub fn belongs(field: &str) -> Option<&'static str> {
    match field {
        "outlier_detection" | "circuit_breaking" => Some(
            "this is about all calls of a service: it stands in the service's `defaults`, its profile, the mesh's `defaults` or an `override`",
        ),
        "health_check" | "access_log" | "authentication" => Some(
            "this is about a service's own workloads: it stands in the service's `defaults`, its profile or the mesh's `defaults`",
        ),
        _ => None,
    }
}
