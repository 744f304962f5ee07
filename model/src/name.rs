//! The name that a user picks for an object: immutable, a DNS label.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a name must match; also published in the OpenAPI document.
pub const NAME_PATTERN: &str = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";

/// A DNS label: 1 to 63 lower-case letters, digits and hyphens, starting with a letter, not ending with a hyphen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", max_length = 63, example = "payments")]
pub struct Name(String);

/// The text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to 63 lower-case letters, digits and hyphens, starts with a letter and does not end with a hyphen"
)]
pub struct ParseNameError;

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let bytes = text.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let ok = (1..=63).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes.iter().all(inner)
            && bytes[bytes.len() - 1] != b'-';
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseNameError)
        }
    }
}

impl TryFrom<String> for Name {
    type Error = ParseNameError;

    fn try_from(text: String) -> Result<Self, ParseNameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sec_i07_names_are_dns_labels() {
        for good in ["a", "payments", "a-b", "a1", &"a".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "1a",
            "A",
            "a_b",
            "a.b",
            "..",
            "a/b",
            "%2f",
            "é",
            "a\u{202e}b",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_published_pattern_and_the_parser_agree(text in "[a-zA-Z0-9_.-]{0,66}") {
            let pattern = regex_lite::Regex::new(NAME_PATTERN).unwrap();
            prop_assert_eq!(pattern.is_match(&text), text.parse::<Name>().is_ok());
        }
    }
}
