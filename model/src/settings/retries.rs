//! `retries`: which failed calls are tried again, and how often.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Effective, Levels, Resolved, timeout};
use crate::code::Code;
use crate::duration::HumanDuration;
use crate::violation::{Pointer, Violations};

/// Which failed calls are tried again, and how often.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// How often a call is tried again; 0 turns retries off. 2 when absent.
    #[schema(minimum = 0, maximum = 10, example = 2)]
    pub attempts: Option<u32>,
    /// What counts as a failure. When absent, only failures in which the request was not processed.
    #[schema(min_items = 1, max_items = 6)]
    pub on: Option<Vec<RetryOn>>,
    /// How long each try may take: 1 ms to 24 h. Unlimited within the whole timeout when absent.
    pub per_try_timeout: Option<HumanDuration>,
}

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// No connection could be made.
    ConnectFailure,
    /// The peer refused the stream before looking at it.
    RefusedStream,
    /// The connection broke before the request was sent.
    ResetBeforeRequest,
    /// The connection broke before an answer came. The request may have been processed.
    Reset,
    /// Status 502, 503 or 504.
    GatewayError,
    /// Any 5xx status.
    ServerError,
}

/// What is tried again when nobody says anything: only what was certainly not processed.
pub const DEFAULT_ON: [RetryOn; 3] = [
    RetryOn::ConnectFailure,
    RetryOn::RefusedStream,
    RetryOn::ResetBeforeRequest,
];

/// How often, when nobody says anything.
pub const DEFAULT_ATTEMPTS: u32 = 2;

/// The values in force.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedRetries {
    /// See [`Retries::attempts`].
    pub attempts: Resolved<u32>,
    /// See [`Retries::on`].
    pub on: Resolved<Vec<RetryOn>>,
    /// See [`Retries::per_try_timeout`].
    pub per_try_timeout: Resolved<Option<HumanDuration>>,
}

impl Retries {
    /// The values in force.
    #[must_use]
    pub fn resolve(levels: &Levels<'_>) -> ResolvedRetries {
        ResolvedRetries {
            attempts: levels.resolve(|s| s.retries.as_ref()?.attempts, DEFAULT_ATTEMPTS),
            on: levels.resolve(|s| s.retries.as_ref()?.on.clone(), DEFAULT_ON.to_vec()),
            per_try_timeout: levels.resolve(
                |s| s.retries.as_ref()?.per_try_timeout.clone().map(Some),
                None,
            ),
        }
    }

    /// Its lines in the table of resolutions.
    pub(super) fn effective(levels: &Levels<'_>) -> [Effective; 3] {
        let resolved = Self::resolve(levels);
        [
            Effective::of("retries.attempts", &resolved.attempts),
            Effective::of("retries.on", &resolved.on),
            Effective::of("retries.per_try_timeout", &resolved.per_try_timeout),
        ]
    }

    /// Adds the rules that this breaks.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        let on = at.field("on");
        let mut seen = std::collections::BTreeSet::new();
        for (i, one) in self.on.iter().flatten().enumerate() {
            if !seen.insert(*one) {
                violations.add(
                    &on.index(i),
                    Code::Duplicate,
                    "this kind of failure is listed twice",
                );
            }
        }
        if let Some(per_try) = &self.per_try_timeout {
            timeout::validate(per_try, &at.field("per_try_timeout"), violations);
        }
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({
            "attempts": 2,
            "on": ["connect_failure", "refused_stream", "gateway_error"],
            "per_try_timeout": "2s",
        })
    }
}
