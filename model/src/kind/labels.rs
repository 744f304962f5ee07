//! Labels: short pairs for filters and selectors.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::violation::{Pointer, Violations};

/// Key to value, at most 64 pairs.
pub type Labels = BTreeMap<String, String>;

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
    for (key, value) in labels {
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
