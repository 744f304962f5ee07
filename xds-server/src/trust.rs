//! Whom the proxies of a mesh trust, and which of their leaves are replaced before they are due.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::id::AuthorityId;

/// What the proxies of a mesh are told of its authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The roots that they trust, as PEM.
    pub roots: String,
    /// Which leaves are to be replaced before they are due.
    pub replacing: Replacing,
}

/// Which leaves are to be replaced before they are due, because what signed them gives way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replacing {
    /// Authorities that sign no more.
    pub retired: BTreeSet<AuthorityId>,
    /// Since when, and over which time; `None` while their leaves may stay as they are.
    pub window: Option<(DateTime<Utc>, Duration)>,
}

impl Replacing {
    /// When to replace a leaf at the latest. Spread over the time that there is, by its serial: so not all come at once, and each
    /// server, before and after a restart, says the same.
    #[must_use]
    pub fn due(&self, authority: AuthorityId, serial: &str) -> Option<DateTime<Utc>> {
        let (from, over) = self.window.filter(|_| self.retired.contains(&authority))?;
        // The last digits of a serial are uniform.
        let tail = serial.get(serial.len().saturating_sub(4)..)?;
        let part = u32::from_str_radix(tail, 16).unwrap_or_default();
        let after = over / 65_536 * part.min(65_535);
        Some(from + TimeDelta::from_std(after).unwrap_or_default())
    }
}

/// A leaf that a proxy holds and may go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// When it is due.
    pub renew_at: DateTime<Utc>,
    /// What signed it.
    pub authority: AuthorityId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spiffe_s57_leaves_of_what_gives_way_are_replaced_one_by_one_over_the_time_that_there_is() {
        let from = DateTime::from_timestamp(1_900_000_000, 0).expect("a time");
        let id = |n| AuthorityId::from_uuid(uuid::Uuid::from_u128(n));
        let over = Duration::from_secs(600);
        let replacing = Replacing {
            retired: BTreeSet::from([id(1)]),
            window: Some((from, over)),
        };
        assert_eq!(replacing.due(id(2), &"0".repeat(32)), None, "it signs");
        let parts: Vec<_> = (0..10_u32)
            .map(|tenth| {
                let serial = format!("{:032x}", tenth * 6_553 + 3_000);
                let due = replacing.due(id(1), &serial).expect("due");
                (due - from).num_seconds() / 60
            })
            .collect();
        assert_eq!(parts, (0..10).collect::<Vec<_>>(), "one a minute");
        let waiting = Replacing {
            window: None,
            ..replacing
        };
        assert_eq!(waiting.due(id(1), &"0".repeat(32)), None, "not yet");
    }
}
