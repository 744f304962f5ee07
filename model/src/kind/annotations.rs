//! Annotations: free text for people and programs. Nothing selects by them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::code::Code;
use crate::violation::{Pointer, Violations};

/// Key to any text, at most 16 KiB in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Annotations(BTreeMap<String, String>);

impl std::ops::Deref for Annotations {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// By hand: derived, it would be published under the name of the map.
impl PartialSchema for Annotations {
    fn schema() -> RefOr<Schema> {
        // Null is absent, here as everywhere.
        let types = SchemaType::from_iter([Type::String, Type::Null]);
        let value: RefOr<Schema> = ObjectBuilder::new().schema_type(types).into();
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(value))
            .description(Some(
                "Free text for people and programs, at most 16 KiB in all. A key has 1 to 253 bytes without control \
                 characters. Nothing selects by them.",
            ))
            .examples([serde_json::json!({"runbook": "https://wiki.example/payments"})])
            .into()
    }
}

impl ToSchema for Annotations {}

/// The most bytes that the keys and values of one object may have together.
pub const MAX_BYTES: usize = 16 * 1024;

/// Adds a violation for keys that are empty or too long, and for too much in all.
pub fn validate(annotations: Option<&Annotations>, at: &Pointer<'_>, violations: &mut Violations) {
    let Some(annotations) = annotations else {
        return;
    };
    for key in annotations.keys() {
        if !(1..=253).contains(&key.len()) || key.chars().any(char::is_control) {
            violations.add(
                &at.field(key),
                Code::BadFormat,
                "an annotation's key is 1 to 253 bytes without control characters",
            );
        }
    }
    let bytes: usize = annotations.iter().map(|(k, v)| k.len() + v.len()).sum();
    if bytes > MAX_BYTES {
        violations.add(
            at,
            Code::OutOfRange,
            format!("{bytes} bytes of annotations; at most {MAX_BYTES}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(pairs: &[(&str, usize)]) -> Vec<Code> {
        let annotations = pairs
            .iter()
            .map(|(key, bytes)| ((*key).to_owned(), "x".repeat(*bytes)))
            .collect();
        let annotations = Annotations(annotations);
        let mut violations = Violations::new();
        validate(Some(&annotations), &Pointer::Root, &mut violations);
        violations
            .into_sorted()
            .into_iter()
            .map(|v| v.code)
            .collect()
    }

    #[test]
    fn both_ends_of_each_bound() {
        assert_eq!(codes(&[("a", MAX_BYTES - 1)]), []);
        assert_eq!(codes(&[("a", MAX_BYTES)]), [Code::OutOfRange]);
        assert_eq!(codes(&[("", 0)]), [Code::BadFormat]);
        assert_eq!(codes(&[(&"k".repeat(253), 0)]), []);
        assert_eq!(codes(&[(&"k".repeat(254), 0)]), [Code::BadFormat]);
        assert_eq!(codes(&[("a\n", 0)]), [Code::BadFormat]);
    }
}
