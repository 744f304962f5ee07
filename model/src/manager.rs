//! Who looks after an object: a program outside of Heddle that writes it again and again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;
use crate::violation::{Pointer, Violations};

/// A program that looks after objects, such as one workspace of Terraform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedBy {
    /// What kind of program it is.
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,62}$", example = "terraform")]
    pub kind: String,
    /// Which one of its kind.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "app.terraform.io/acme/payments"
    )]
    pub r#ref: String,
    /// Where people find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        max_length = 2000,
        pattern = "^https?://",
        example = "https://app.terraform.io/app/acme/payments"
    )]
    pub url: Option<String>,
}

/// The text of a header is none that names a manager.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a manager is written as `terraform; ref=\"app.terraform.io/acme/payments\"; url=\"https://...\"`, where `url` may be absent"
)]
pub struct ParseManagerError;

impl ManagedBy {
    /// Whether it is the same one; where people find it does not matter.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.r#ref == other.r#ref
    }

    /// Adds the rules that the schema cannot express.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        for (field, text) in [("ref", Some(&self.r#ref)), ("url", self.url.as_ref())] {
            if text.is_some_and(|text| text.chars().any(char::is_control)) {
                violations.add(&at.field(field), Code::BadFormat, "no control characters");
            }
        }
    }

    fn is_valid(&self) -> bool {
        let value = serde_json::to_value(self).unwrap_or_default();
        let mut violations = crate::wire::violations_of::<Self>(&value);
        self.validate(&Pointer::Root, &mut violations);
        violations.is_empty()
    }
}

impl std::fmt::Display for ManagedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.kind, self.r#ref)
    }
}

impl std::str::FromStr for ManagedBy {
    type Err = ParseManagerError;

    /// The form of a header: `<kind>; ref="<ref>"`, and `; url="<url>"` if there is one.
    fn from_str(text: &str) -> Result<Self, ParseManagerError> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_owned();
        let (mut reference, mut url) = (None, None);
        for part in parts {
            let (name, value) = part.split_once('=').ok_or(ParseManagerError)?;
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            let value = value
                .filter(|v| !v.contains('"'))
                .ok_or(ParseManagerError)?;
            let slot = match name {
                "ref" => &mut reference,
                "url" => &mut url,
                _ => return Err(ParseManagerError),
            };
            if slot.replace(value.to_owned()).is_some() {
                return Err(ParseManagerError);
            }
        }
        let manager = Self {
            kind,
            r#ref: reference.ok_or(ParseManagerError)?,
            url,
        };
        if manager.is_valid() {
            Ok(manager)
        } else {
            Err(ParseManagerError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_header() {
        let full: ManagedBy = r#"terraform; ref="app/acme"; url="https://a.example/x""#
            .parse()
            .unwrap();
        assert_eq!(full.kind, "terraform");
        assert_eq!(full.r#ref, "app/acme");
        assert_eq!(full.url.as_deref(), Some("https://a.example/x"));
        let short: ManagedBy = r#"terraform;ref="app/acme""#.parse().unwrap();
        assert!(short.is(&full) && short != full);
        for bad in [
            "",
            "terraform",
            "terraform; ref=app",
            "terraform; ref=\"\"",
            "terraform; url=\"https://a.example\"",
            "Terraform; ref=\"a\"",
            "terraform; ref=\"a\"; ref=\"b\"",
            "terraform; ref=\"a\"; name=\"b\"",
            "terraform; ref=\"a\"; url=\"javascript:x\"",
            "; ref=\"a\"",
            "terraform; ref=\"a\u{7}\"",
        ] {
            assert_eq!(bad.parse::<ManagedBy>(), Err(ParseManagerError), "{bad}");
        }
    }
}
