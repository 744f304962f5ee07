//! Labels: short pairs for filters and selectors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::code::Code;
use crate::violation::{Pointer, Violations};

/// Key to value, at most 64 pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

impl std::ops::Deref for Labels {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// By hand: derived, it would be published under the name of the map.
impl PartialSchema for Labels {
    fn schema() -> RefOr<Schema> {
        // Null is absent, here as everywhere.
        let types = SchemaType::from_iter([Type::String, Type::Null]);
        let value: RefOr<Schema> = ObjectBuilder::new().schema_type(types).into();
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(value))
            .description(Some(
                "Pairs for filters and selectors, at most 64. A key has 1 to 63 letters, digits and any of `-_./`; a value \
                 at most 255 bytes without control characters.",
            ))
            .examples([serde_json::json!({"team": "pay"})])
            .into()
    }
}

impl ToSchema for Labels {}

/// Adds a violation for each pair that is too long, and for too many pairs.
pub fn validate(labels: Option<&Labels>, at: &Pointer<'_>, violations: &mut Violations) {
    let Some(labels) = labels else { return };
    if labels.len() > 64 {
        violations.add(
            at,
            Code::OutOfRange,
            format!("{} labels; at most 64", labels.len()),
        );
    }
    let key_ok = |key: &str| {
        (1..=63).contains(&key.len())
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
    };
    for (key, value) in labels.iter() {
        if !key_ok(key) {
            violations.add(
                &at.field(key),
                Code::BadFormat,
                "a label key is 1 to 63 letters, digits and any of `-_./`",
            );
        }
        if value.len() > 255 || value.chars().any(char::is_control) {
            violations.add(
                &at.field(key),
                Code::BadFormat,
                "a label value is at most 255 bytes without control characters",
            );
        }
    }
}
