//! Hosts and ports as a mesh's users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a host must match; also published in the OpenAPI document.
pub const HOST_PATTERN: &str =
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";

/// A DNS name in lower case, without a port and without a trailing dot; at most 253 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    value_type = String,
    pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
    max_length = 253,
    example = "payments.internal"
)]
pub struct Host(String);

/// The text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a host is a lower-case DNS name of at most 253 bytes, without a port")]
pub struct ParseHostError;

impl Host {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = ParseHostError;

    fn from_str(text: &str) -> Result<Self, ParseHostError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(inner)
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseHostError)
        }
    }
}

impl TryFrom<String> for Host {
    type Error = ParseHostError;

    fn try_from(text: String) -> Result<Self, ParseHostError> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_published_pattern_and_the_parser_agree(text in "[a-zA-Z0-9.-]{0,40}") {
            let pattern = regex_lite::Regex::new(HOST_PATTERN).unwrap();
            prop_assert_eq!(pattern.is_match(&text), text.parse::<Host>().is_ok());
        }
    }
}
