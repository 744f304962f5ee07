//! One line of the table of resolutions.

use serde::Serialize;
use serde_json::Value;

use super::{Level, Resolved};

/// A field of the settings, its value in force, and who set it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effective {
    /// The path of the field, joined by dots: `retries.attempts`.
    pub field: &'static str,
    /// The value in force, as it would be written; null: none.
    pub value: Value,
    /// Who set it.
    pub from: Level,
}

impl Effective {
    /// The line of a resolved field.
    pub(super) fn of<T: Serialize>(field: &'static str, resolved: &Resolved<T>) -> Self {
        Self {
            field,
            // Settings are text, numbers and lists of them: nothing that JSON cannot say.
            value: serde_json::to_value(&resolved.value).unwrap_or_default(),
            from: resolved.from,
        }
    }
}
