//! What the settings of a call do to an Envoy route. One file per setting; the order of the list is the order in
//! which they are applied.

mod retries;
mod timeout;

use heddle_model::kind::service::Protocol;
use heddle_model::settings::{Level, Levels};

use crate::envoy::route::RouteAction;

/// A call: the levels that speak about it, and what it is made in.
pub(crate) struct Call<'a> {
    pub(crate) levels: Levels<'a>,
    pub(crate) protocol: Protocol,
}

/// A field that some level set, and what Envoy calls the part that it ended up in.
pub(crate) struct Applied {
    pub(crate) from: Level,
    /// The pointer below `defaults` or `settings`.
    pub(crate) pointer: &'static str,
    /// Envoy's name of it in an error message.
    pub(crate) within: &'static str,
}

/// Applies all settings; says which levels set what.
pub(crate) fn apply(action: &mut RouteAction, call: &Call<'_>) -> Vec<Applied> {
    let mut applied = Vec::new();
    timeout::apply(action, call, &mut applied);
    retries::apply(action, call, &mut applied);
    applied.retain(|one| one.from != Level::BuiltIn);
    applied
}
