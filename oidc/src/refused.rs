//! Why nobody is let in, in words that whoever looks after the provider understands.

use heddle_egress::Failed;

use crate::id_token::Invalid;

/// Why nobody is let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Whoever comes back is not who began, or not from where they were sent.
    #[error("{0}")]
    Returned(&'static str),
    /// The provider says no, in its own words.
    #[error("the provider answered `{error}`{}", described(.description))]
    Provider {
        /// Its code, such as `access_denied`.
        error: String,
        /// What it says besides.
        description: Option<String>,
    },
    /// The provider was not reached.
    #[error("{what} cannot be read: {why}")]
    Unreachable {
        /// What was asked for, with its address.
        what: String,
        /// Why there is no answer.
        why: Failed,
    },
    /// The provider's answer is not what the specification says.
    #[error("{what}: {why}")]
    Unfit {
        /// Which answer.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The ID token vouches for nobody here and now.
    #[error("the ID token is not accepted: {0}")]
    Token(#[from] Invalid),
}

fn described(description: &Option<String>) -> String {
    let with = |text: &String| format!(": {text}");
    description.as_ref().map(with).unwrap_or_default()
}

/// The longest text of a provider that is shown to anybody.
const LONGEST: usize = 300;

/// A text of a provider, fit to be shown and logged.
pub(crate) fn plain(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(LONGEST).collect()
}
