//! `circuit_breaking`: how much one proxy asks of a service at once.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Effective, Levels, Resolved};

/// How much one proxy asks of a service at once; what exceeds it is answered with 503 at once. Each proxy that calls counts
/// for itself, and for each version that routes name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaking {
    /// Connections. 65536 when absent.
    #[schema(minimum = 1, maximum = 1_000_000, example = 1024)]
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection. 65536 when absent.
    #[schema(minimum = 1, maximum = 1_000_000, example = 1024)]
    pub max_pending_requests: Option<u32>,
    /// Requests under way. 65536 when absent.
    #[schema(minimum = 1, maximum = 1_000_000, example = 1024)]
    pub max_requests: Option<u32>,
    /// Retries under way. 1024 when absent.
    #[schema(minimum = 0, maximum = 1_000_000, example = 64)]
    pub max_retries: Option<u32>,
}

/// Envoy's own limits (1024 requests, 3 retries at once) are met by ordinary load and answered with 503. Ours are where only
/// a runaway meets them.
pub const MAX_IN_FLIGHT: u32 = 65_536;
/// The same for retries.
pub const MAX_RETRIES: u32 = 1_024;

/// The values in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedCircuitBreaking {
    /// See [`CircuitBreaking::max_connections`].
    pub max_connections: Resolved<u32>,
    /// See [`CircuitBreaking::max_pending_requests`].
    pub max_pending_requests: Resolved<u32>,
    /// See [`CircuitBreaking::max_requests`].
    pub max_requests: Resolved<u32>,
    /// See [`CircuitBreaking::max_retries`].
    pub max_retries: Resolved<u32>,
}

impl CircuitBreaking {
    /// The values in force.
    #[must_use]
    pub fn resolve(levels: &Levels<'_>) -> ResolvedCircuitBreaking {
        let number = |field: fn(&Self) -> Option<u32>, built_in| {
            levels.resolve(|s| field(s.circuit_breaking.as_ref()?), built_in)
        };
        ResolvedCircuitBreaking {
            max_connections: number(|c| c.max_connections, MAX_IN_FLIGHT),
            max_pending_requests: number(|c| c.max_pending_requests, MAX_IN_FLIGHT),
            max_requests: number(|c| c.max_requests, MAX_IN_FLIGHT),
            max_retries: number(|c| c.max_retries, MAX_RETRIES),
        }
    }

    /// Its lines in the table of resolutions.
    pub(super) fn effective(levels: &Levels<'_>) -> [Effective; 4] {
        let resolved = Self::resolve(levels);
        [
            Effective::of(
                "circuit_breaking.max_connections",
                &resolved.max_connections,
            ),
            Effective::of(
                "circuit_breaking.max_pending_requests",
                &resolved.max_pending_requests,
            ),
            Effective::of("circuit_breaking.max_requests", &resolved.max_requests),
            Effective::of("circuit_breaking.max_retries", &resolved.max_retries),
        ]
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({
            "max_connections": 1024,
            "max_pending_requests": 1024,
            "max_requests": 4096,
            "max_retries": 64,
        })
    }
}
