//! How a mesh may be changed, and by whom.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the objects of a mesh may be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MeshChanges)]
pub struct Changes {
    /// What happens to a write without a manager to an object that has one. `warn` when absent.
    pub external_edits: Option<ExternalEdits>,
    /// Whether what exists is only changed with `If-Match` (or `meta.etag` in the body). False when absent.
    pub require_if_match: Option<bool>,
}

/// What happens to a write without a manager to an object that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExternalEdits {
    /// It passes.
    Allow,
    /// It passes, and the answer says whose object it was.
    Warn,
    /// It is refused.
    Block,
}

impl Changes {
    /// What is in force for writes without a manager.
    #[must_use]
    pub fn external_edits(&self) -> ExternalEdits {
        self.external_edits.unwrap_or(ExternalEdits::Warn)
    }

    /// Whether a write must name the state that it changes.
    #[must_use]
    pub fn requires_if_match(&self) -> bool {
        self.require_if_match.unwrap_or(false)
    }
}
