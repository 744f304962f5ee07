//! Why a call came to nothing, for whoever named the address.

use std::error::Error as _;

use crate::guard::Kept;

/// Why a call came to nothing. The texts are for whoever named the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The address, or all of those that its name stands for, are not called.
    #[error("not called: {0}")]
    Kept(#[from] Kept),
    /// The name stands for no address.
    #[error("the host name cannot be resolved")]
    Resolve,
    /// Nobody listens there, or not for TLS with a certificate that is trusted.
    #[error("no connection: {0}")]
    Connect(String),
    /// No answer, or not all of it, in time.
    #[error("no complete answer within {} seconds", crate::LONGEST.as_secs())]
    Slow,
    /// An answer that is longer than what is read.
    #[error("the answer is longer than {} bytes", crate::MOST_BYTES)]
    Long,
    /// The connection broke, or what came over it was not HTTP.
    #[error("the connection broke: {0}")]
    Broke(String),
}

/// A name that stands for no address that may be called; travels through the HTTP client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error(transparent)]
    Kept(#[from] Kept),
    #[error("the host name cannot be resolved")]
    Nothing,
}

impl From<reqwest::Error> for Failed {
    fn from(error: reqwest::Error) -> Self {
        let mut cause = error.source();
        let mut deepest = None;
        while let Some(one) = cause {
            match one.downcast_ref::<Unresolved>() {
                Some(Unresolved::Kept(kept)) => return Self::Kept(*kept),
                Some(Unresolved::Nothing) => return Self::Resolve,
                None => deepest = Some(one),
            }
            cause = one.source();
        }
        let why = deepest.map_or_else(String::new, ToString::to_string);
        if error.is_timeout() {
            Self::Slow
        } else if error.is_connect() {
            Self::Connect(why)
        } else {
            Self::Broke(why)
        }
    }
}
