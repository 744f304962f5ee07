//! `timeout` becomes the timeout of the route.

use std::time::Duration as Time;

use heddle_model::kind::service::Protocol;
use heddle_model::settings::timeout;

use super::{Applied, Call};
use crate::envoy::duration;
use crate::envoy::route::RouteAction;

/// When nobody sets one. A gRPC call has its own deadline or is a stream: no timeout, which Envoy spells zero.
const fn built_in(protocol: Protocol) -> Time {
    match protocol {
        Protocol::Http | Protocol::Http2 => Time::from_secs(15),
        Protocol::Grpc => Time::ZERO,
    }
}

pub(super) fn apply(action: &mut RouteAction, call: &Call<'_>, applied: &mut Vec<Applied>) {
    let resolved = timeout::resolve(&call.levels);
    let value = resolved
        .value
        .map_or_else(|| built_in(call.protocol), |value| value.get());
    action.timeout = Some(duration(value));
    applied.push(Applied {
        from: resolved.from,
        pointer: "/timeout",
        within: "RouteActionValidationError.Timeout",
    });
}
