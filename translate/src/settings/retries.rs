//! `retries` becomes the retry policy of the route, on another workload than the one that failed when there is one.

use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use heddle_model::kind::service::Protocol;
use heddle_model::settings::Retries;
use heddle_model::settings::retries::RetryOn;

use super::{Applied, Call};
use crate::envoy::route::RouteAction;
use crate::envoy::route::{
    RetryPolicy,
    retry_policy::{RetryHostPredicate, retry_host_predicate},
};
use crate::envoy::{duration, number};
use crate::resource::any;

/// How often Envoy picks again when it picked a workload that was already tried. Many: a workload that just died has
/// the fewest requests under way, so it is the one that balancing prefers.
const PICKS: i64 = 24;

/// Envoy's words for a kind of failure. gRPC answers with status 200 and says "unavailable" in a trailer.
const fn conditions(on: RetryOn, protocol: Protocol) -> &'static [&'static str] {
    match (on, protocol) {
        (RetryOn::ConnectFailure, _) => &["connect-failure"],
        (RetryOn::RefusedStream, _) => &["refused-stream"],
        (RetryOn::ResetBeforeRequest, _) => &["reset-before-request"],
        (RetryOn::Reset, _) => &["reset"],
        (RetryOn::GatewayError, Protocol::Grpc) => &["gateway-error", "unavailable"],
        (RetryOn::GatewayError, _) => &["gateway-error"],
        (RetryOn::ServerError, Protocol::Grpc) => &["5xx", "unavailable", "internal"],
        (RetryOn::ServerError, _) => &["5xx"],
    }
}

pub(super) fn apply(action: &mut RouteAction, call: &Call<'_>, applied: &mut Vec<Applied>) {
    let resolved = Retries::resolve(&call.levels);
    let mut on: Vec<&str> = Vec::new();
    for one in &resolved.on.value {
        for word in conditions(*one, call.protocol) {
            if !on.contains(word) {
                on.push(word);
            }
        }
    }
    let set_by = |from, pointer: &str, within| Applied {
        from,
        pointer: pointer.to_owned(),
        within,
    };
    let attempts = "RetryPolicyValidationError.NumRetries";
    let per_try = "RetryPolicyValidationError.PerTryTimeout";
    applied.extend([
        set_by(resolved.attempts.from, "/retries/attempts", attempts),
        set_by(
            resolved.on.from,
            "/retries/on",
            "RetryPolicyValidationError",
        ),
        set_by(
            resolved.per_try_timeout.from,
            "/retries/per_try_timeout",
            per_try,
        ),
    ]);
    if resolved.attempts.value == 0 {
        return;
    }
    action.retry_policy = Some(RetryPolicy {
        retry_on: on.join(","),
        num_retries: number(resolved.attempts.value),
        per_try_timeout: resolved.per_try_timeout.value.map(|d| duration(d.get())),
        retry_host_predicate: vec![RetryHostPredicate {
            name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
            config_type: Some(retry_host_predicate::ConfigType::TypedConfig(any(
                &PreviousHostsPredicate::default(),
            ))),
        }],
        host_selection_retry_max_attempts: PICKS,
        ..RetryPolicy::default()
    });
}
