//! What the operations for whoever got a link by mail have in common.

use axum::http::{HeaderMap, header};
use heddle_model::code::Code;
use heddle_store::devices::Wait;
use heddle_store::sessions::Refused;

use super::sessions::refused;
use crate::problem::Problem;

/// A link that leads to nothing. Why is not said.
pub(crate) fn unusable() -> Problem {
    Problem::new(
        Code::LinkUnusable,
        "the link is mistyped, was used or taken back before, or has expired",
    )
}

/// Too much of it.
pub(crate) fn wait(wait: Wait) -> Problem {
    refused(Refused::Wait(wait.0), "")
}

/// What the client calls itself.
pub(crate) fn client(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok())
}
