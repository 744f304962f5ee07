//! The settings of a call: one struct, used at every level, and how the levels resolve.
//!
//! `mesh.defaults` < `profile.settings` < `service.defaults` < `route.settings` < the one exception of the caller,
//! `upstreams[].override`; below them what Heddle does when nobody says anything. One object per level, so there is
//! no order to explain: the highest level that names a field wins it; a list replaces the whole list.

pub mod access_log;
pub mod authentication;
pub mod circuit_breaking;
pub mod health_check;
pub mod outlier_detection;
pub mod retries;
pub mod timeout;

mod effective;
mod narrow;

use std::time::Duration as Time;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use access_log::AccessLog;
pub use authentication::Authentication;
pub use circuit_breaking::CircuitBreaking;
pub use effective::Effective;
pub use health_check::HealthCheck;
pub use narrow::{OverrideSettings, RouteSettings, belongs};
pub use outlier_detection::OutlierDetection;
pub use retries::Retries;

use crate::code::Code;
use crate::duration::HumanDuration;
use crate::kind::service::Protocol;
use crate::violation::{Pointer, Violations};

/// Settings of a call; every field may be absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How long a call may take in all, retries included: 1 ms to 24 h.
    pub timeout: Option<HumanDuration>,
    /// Which failed calls are tried again, and how often.
    pub retries: Option<Retries>,
    /// Which workloads get no calls for a while because their answers fail.
    pub outlier_detection: Option<OutlierDetection>,
    /// How much one proxy asks of the service at once.
    pub circuit_breaking: Option<CircuitBreaking>,
    /// Active checks of the workloads.
    pub health_check: Option<HealthCheck>,
    /// Which requests the service's own proxies write down, and where.
    pub access_log: Option<AccessLog>,
    /// Which tokens of end users the service's own proxies check.
    pub authentication: Option<Authentication>,
}

/// Adds a violation when a duration lies outside its bounds.
fn within(
    value: Option<&HumanDuration>,
    (least, most): (Time, Time),
    at: &Pointer<'_>,
    violations: &mut Violations,
) {
    if let Some(value) = value
        && (value.get() < least || value.get() > most)
    {
        let detail = format!("{value} is not between {least:?} and {most:?}");
        violations.add(at, Code::OutOfRange, detail);
    }
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
        if let Some(outlier_detection) = &self.outlier_detection {
            outlier_detection.validate(&at.field("outlier_detection"), violations);
        }
        if let Some(health_check) = &self.health_check {
            health_check.validate(&at.field("health_check"), violations);
        }
        if let Some(access_log) = &self.access_log {
            access_log.validate(&at.field("access_log"), violations);
        }
        if let Some(authentication) = &self.authentication {
            authentication.validate(&at.field("authentication"), violations);
        }
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({
            "timeout": timeout::sample(),
            "retries": Retries::sample(),
            "outlier_detection": OutlierDetection::sample(),
            "circuit_breaking": CircuitBreaking::sample(),
            "health_check": HealthCheck::sample(),
            "access_log": AccessLog::sample(),
            "authentication": Authentication::sample(),
        })
    }

    /// The table of resolutions: every field, the value in force, and the level that won. In the order of the fields.
    #[must_use]
    pub fn effective(levels: &Levels<'_>) -> Vec<Effective> {
        let mut table = vec![timeout::effective(levels)];
        table.extend(Retries::effective(levels));
        table.extend(OutlierDetection::effective(levels));
        table.extend(CircuitBreaking::effective(levels));
        table.extend(HealthCheck::effective(levels));
        table.extend(AccessLog::effective(levels));
        table.extend(Authentication::effective(levels));
        table
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
    /// The `settings` of the profile that the service names.
    Profile,
    /// The service's `defaults`.
    Service,
    /// The route's `settings`.
    Route,
    /// The caller's exception: its `upstreams[].override`.
    Upstream,
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
    /// `profile.settings`, of the profile that the service names.
    pub profile: Option<&'a Settings>,
    /// `service.defaults`.
    pub service: Option<&'a Settings>,
    /// `route.settings`.
    pub route: Option<&'a Settings>,
    /// `upstreams[].override` of the caller.
    pub upstream: Option<&'a Settings>,
    /// What the call is made in: some built-in values depend on it.
    pub protocol: Option<Protocol>,
}

impl<'a> Levels<'a> {
    /// The value of one field: from the highest level that names it.
    pub fn resolve<T>(
        &self,
        field: impl Fn(&'a Settings) -> Option<T>,
        built_in: T,
    ) -> Resolved<T> {
        let levels = [
            (self.upstream, Level::Upstream),
            (self.route, Level::Route),
            (self.service, Level::Service),
            (self.profile, Level::Profile),
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
            ..Levels::default()
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

    /// The leaves of a value, as the table of resolutions names them. A list is one.
    fn leaves(at: &str, value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    let dot = if at.is_empty() { "" } else { "." };
                    leaves(&format!("{at}{dot}{name}"), value, found);
                }
            }
            _ => found.push(at.to_owned()),
        }
    }

    #[test]
    fn every_field_stands_in_the_table_of_resolutions() {
        let sample = Settings::sample();
        let all: Settings = serde_json::from_value(sample.clone()).unwrap();
        let mut fields = Vec::new();
        leaves("", &sample, &mut fields);
        fields.sort();
        let at = |levels: Levels<'_>| {
            let table = Settings::effective(&levels);
            let mut names: Vec<_> = table.iter().map(|one| one.field).collect();
            names.sort_unstable();
            assert_eq!(names, fields);
            table
        };
        for one in at(Levels::default()) {
            assert_eq!(one.from, Level::BuiltIn, "{one:?}");
        }
        let all = Some(&all);
        let mut levels = Levels::default();
        for level in [
            Level::Mesh,
            Level::Profile,
            Level::Service,
            Level::Route,
            Level::Upstream,
        ] {
            match level {
                Level::BuiltIn => {}
                Level::Mesh => levels.mesh = all,
                Level::Profile => levels.profile = all,
                Level::Service => levels.service = all,
                Level::Route => levels.route = all,
                Level::Upstream => levels.upstream = all,
            }
            for one in at(levels) {
                assert_eq!(one.from, level, "{one:?}");
                let pointer = format!("/{}", one.field.replace('.', "/"));
                assert_eq!(Some(&one.value), sample.pointer(&pointer), "{one:?}");
            }
        }
    }

    #[test]
    fn what_a_protocol_decides_is_shown_once_it_is_known() {
        let timeout = |protocol| {
            let levels = Levels {
                protocol,
                ..Levels::default()
            };
            Settings::effective(&levels).swap_remove(0).value
        };
        assert_eq!(timeout(Some(Protocol::Http)), "15s");
        assert_eq!(timeout(Some(Protocol::Grpc)), serde_json::Value::Null);
        assert_eq!(timeout(None), serde_json::Value::Null);
    }
}
