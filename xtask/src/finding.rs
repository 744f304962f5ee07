//! What a check has to say.

use std::fmt;

/// Something that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file, with a line where there is one, or the crate.
    pub(crate) place: String,
    /// What is wrong, with the rule that says so and what to do.
    pub(crate) message: String,
    /// Whether the check fails for it.
    pub(crate) fatal: bool,
}

impl Finding {
    pub(crate) fn error(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
            fatal: true,
        }
    }

    pub(crate) fn warning(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            fatal: false,
            ..Self::error(place, message)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.fatal { "error" } else { "warning" };
        write!(f, "{level}: {}: {}", self.place, self.message)
    }
}
