//! `timeout`: how long a call may take in all.

use std::time::Duration as Time;

use super::{Levels, Resolved};
use crate::code::Code;
use crate::duration::HumanDuration;
use crate::violation::{Pointer, Violations};

/// The shortest and longest that may be set.
pub const BOUNDS: (Time, Time) = (Time::from_millis(1), Time::from_secs(24 * 3600));

/// The value in force; `None` when nobody set one (translation then chooses by protocol).
#[must_use]
pub fn resolve(levels: &Levels<'_>) -> Resolved<Option<HumanDuration>> {
    levels.resolve(|s| s.timeout.clone().map(Some), None)
}

/// Adds a violation when the value lies outside its bounds.
pub fn validate(value: &HumanDuration, at: &Pointer<'_>, violations: &mut Violations) {
    if value.get() < BOUNDS.0 || value.get() > BOUNDS.1 {
        violations.add(
            at,
            Code::OutOfRange,
            format!("{value} is not between 1ms and 24h"),
        );
    }
}

/// A valid value.
#[must_use]
pub fn sample() -> serde_json::Value {
    serde_json::json!("15s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        for (text, ok) in [("0ms", false), ("1ms", true), ("24h", true), ("25h", false)] {
            let mut violations = Violations::new();
            validate(&text.parse().unwrap(), &Pointer::Root, &mut violations);
            assert_eq!(violations.is_empty(), ok, "{text}");
        }
    }
}
