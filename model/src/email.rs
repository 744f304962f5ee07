//! An e-mail address, as the name by which a member signs in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest address that mail can be sent to, in bytes.
const LONGEST: usize = 254;

/// An e-mail address in lower case. Two spellings that differ in case only are the same member.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = r"^[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,189}$", max_length = 254, example = "ada@example.com")]
pub struct Email(String);

/// The text is not an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an e-mail address is up to 64 printable ASCII characters, an `@` and a domain; at most 254 characters"
)]
pub struct ParseEmailError;

impl Email {
    /// The text, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = ParseEmailError;

    fn from_str(text: &str) -> Result<Self, ParseEmailError> {
        let (local, domain) = text.split_once('@').ok_or(ParseEmailError)?;
        let local_ok =
            (1..=64).contains(&local.len()) && local.bytes().all(|b| b.is_ascii_graphic());
        let label = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        let domain_ok = (1..=189).contains(&domain.len()) && domain.bytes().all(label);
        if local_ok && domain_ok && text.len() <= LONGEST {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ParseEmailError)
        }
    }
}

impl TryFrom<String> for Email {
    type Error = ParseEmailError;

    fn try_from(text: String) -> Result<Self, ParseEmailError> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_form_does() {
        let one: Email = "Ada+x@Example.COM".parse().unwrap();
        assert_eq!(one.as_str(), "ada+x@example.com");
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "ada@exa mple.com",
            "ada@@example.com",
            "ad\u{e4}@example.com",
            "ada@example.com\n",
            &format!("{}@example.com", "a".repeat(65)),
        ] {
            assert_eq!(bad.parse::<Email>(), Err(ParseEmailError), "{bad:?}");
        }
    }
}
