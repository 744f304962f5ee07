//! The settings of a call: one struct, used at every level, and how the levels resolve.
//!
//! `mesh.defaults` < `service.defaults` < `route.settings`; below them what Heddle does when nobody says
//! anything. One object per level, so there is no order to explain: the highest level that names a field wins
//! it; a list replaces the whole list.

pub mod retries;
pub mod timeout;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use retries::Retries;

use crate::duration::HumanDuration;
use crate::violation::{Pointer, Violations};

/// Settings of a call; every field may be absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How long a call may take in all, retries included: 1 ms to 24 h.
    pub timeout: Option<HumanDuration>,
    /// Which failed calls are tried again, and how often.
    pub retries: Option<Retries>,
}

impl Settings {
    /// Adds the rules that this breaks.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        if let Some(timeout) = &self.timeout {
            timeout::validate(timeout, &at.field("timeout"), violations);
        }
        if let Some(retries) = &self.retries {
            retries.validate(&at.field("retries"), violations);
        }
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({"timeout": timeout::sample(), "retries": Retries::sample()})
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nobody said anything: what Heddle does then.
    BuiltIn,
    /// The mesh's `defaults`.
    Mesh,
    /// The service's `defaults`.
    Service,
    /// The route's `settings`.
    Route,
}

/// A value with the level that set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolved<T> {
    /// The value in force.
    pub value: T,
    /// Who set it.
    pub from: Level,
}

/// The levels that apply to one call, lowest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Levels<'a> {
    /// `mesh.defaults`.
    pub mesh: Option<&'a Settings>,
    /// `service.defaults`.
    pub service: Option<&'a Settings>,
    /// `route.settings`.
    pub route: Option<&'a Settings>,
}

impl<'a> Levels<'a> {
    /// The value of one field: from the highest level that names it.
    pub fn resolve<T>(
        &self,
        field: impl Fn(&'a Settings) -> Option<T>,
        built_in: T,
    ) -> Resolved<T> {
        let levels = [
            (self.route, Level::Route),
            (self.service, Level::Service),
            (self.mesh, Level::Mesh),
        ];
        levels
            .into_iter()
            .find_map(|(settings, from)| {
                settings
                    .and_then(&field)
                    .map(|value| Resolved { value, from })
            })
            .unwrap_or(Resolved {
                value: built_in,
                from: Level::BuiltIn,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_level_that_names_a_field_wins_it() {
        let settings = |text: &str| serde_json::from_str::<Settings>(text).unwrap();
        let mesh =
            settings(r#"{"timeout": "15s", "retries": {"attempts": 2, "per_try_timeout": "2s"}}"#);
        let service = settings(r#"{"retries": {"attempts": 1}}"#);
        let levels = Levels {
            mesh: Some(&mesh),
            service: Some(&service),
            route: None,
        };
        let retries = Retries::resolve(&levels);
        assert_eq!(
            retries.attempts,
            Resolved {
                value: 1,
                from: Level::Service
            }
        );
        assert_eq!(retries.per_try_timeout.from, Level::Mesh);
        assert_eq!(retries.on.from, Level::BuiltIn);
        assert_eq!(
            timeout::resolve(&levels).value.map(|d| d.get().as_secs()),
            Some(15)
        );
    }
}
