//! `timeout`: how long a call may take in all.

use std::time::Duration as Time;

use super::{Effective, Level, Levels, Resolved};
use crate::code::Code;
use crate::duration::HumanDuration;
use crate::kind::service::Protocol;
use crate::violation::{Pointer, Violations};

/// The shortest and longest that may be set.
pub const BOUNDS: (Time, Time) = (Time::from_millis(1), Time::from_secs(24 * 3600));

/// What holds when nobody sets one. A gRPC call has its own deadline or is a stream: none. Of connections without requests none
/// is ever in force.
#[must_use]
pub const fn built_in(protocol: Protocol) -> Option<Time> {
    match protocol {
        Protocol::Http | Protocol::Http2 => Some(Time::from_secs(15)),
        Protocol::Grpc | Protocol::Tcp => None,
    }
}

/// The value in force; `None` when nobody set one: then [`built_in`] holds.
#[must_use]
pub fn resolve(levels: &Levels<'_>) -> Resolved<Option<HumanDuration>> {
    levels.resolve(|s| s.timeout.clone().map(Some), None)
}

/// Its line in the table of resolutions.
pub(super) fn effective(levels: &Levels<'_>) -> Effective {
    let resolved = resolve(levels);
    let mut line = Effective::of("timeout", &resolved);
    if let (Level::BuiltIn, Some(time)) = (line.from, levels.protocol.and_then(built_in)) {
        line.value = format!("{}s", time.as_secs()).into();
    }
    line
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
