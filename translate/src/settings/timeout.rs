//! `timeout` becomes the timeout of the route.

use heddle_model::settings::timeout;

use super::{Applied, Call};
use crate::envoy::duration;
use crate::envoy::route::RouteAction;

pub(super) fn apply(action: &mut RouteAction, call: &Call<'_>, applied: &mut Vec<Applied>) {
    let resolved = timeout::resolve(&call.levels);
    let built_in = timeout::built_in(call.protocol);
    let value = resolved.value.map(|value| value.get()).or(built_in);
    // Envoy spells "none" zero.
    let value = value.unwrap_or_default();
    action.timeout = Some(duration(value));
    applied.push(Applied {
        from: resolved.from,
        pointer: "/timeout".to_owned(),
        within: "RouteActionValidationError.Timeout",
    });
}
