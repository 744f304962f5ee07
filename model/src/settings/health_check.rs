//! `health_check`: workloads whose application does not answer get no calls.

use std::collections::BTreeSet;
use std::time::Duration as Time;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{Effective, Levels, Resolved, within};
use crate::code::Code;
use crate::duration::HumanDuration;
use crate::violation::{Pointer, Violations};

/// Active checks: a workload whose application does not answer gets no calls. Its own proxy checks the application, on the
/// first port of the service; callers ask that proxy, as often. None of it is a call: access rules do not apply, and it is
/// neither logged nor counted as a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// How the application is checked. `none` when absent.
    pub check: Option<Check>,
    /// For `http`: the path of the GET. `/` when absent.
    #[schema(pattern = r"^/[!-\[\]-~]*$", max_length = 1024, example = "/healthz")]
    pub path: Option<String>,
    /// For `http`: the statuses that mean healthy. 200 alone when absent.
    #[schema(min_items = 1, max_items = 16)]
    pub statuses: Option<Vec<Status>>,
    /// For `grpc`: the service of which the health is asked; the whole server when absent.
    #[schema(
        pattern = "^[A-Za-z0-9_.]*$",
        max_length = 255,
        example = "fx.v1.Quotes"
    )]
    pub grpc_service: Option<String>,
    /// The time between two checks: 100 ms to 10 min. 10 s when absent.
    pub interval: Option<HumanDuration>,
    /// How long a check may take: 10 ms to 1 min. 2 s when absent.
    pub timeout: Option<HumanDuration>,
    /// So many checks in a row fail before a workload gets no more calls; a wrong status counts at once. 3 when absent.
    #[schema(minimum = 1, maximum = 100, example = 3)]
    pub unhealthy_threshold: Option<u32>,
    /// So many checks in a row succeed before it gets calls again. 2 when absent.
    #[schema(minimum = 1, maximum = 100, example = 2)]
    pub healthy_threshold: Option<u32>,
}

/// How an application is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HealthCheckKind)]
pub enum Check {
    /// Not at all: it counts as healthy.
    None,
    /// By the status of a GET.
    Http,
    /// By gRPC's own health service; the port must not speak HTTP/1.1.
    Grpc,
    /// By whether it takes a connection.
    Tcp,
}

/// An HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status(pub u16);

impl PartialSchema for Status {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(100))
            .maximum(Some(599))
            .description(Some("An HTTP status."))
            .examples([200])
            .into()
    }
}

impl ToSchema for Status {
    fn name() -> std::borrow::Cow<'static, str> {
        "HttpStatus".into()
    }
}

/// The shortest and longest `interval`.
pub const INTERVAL: (Time, Time) = (Time::from_millis(100), Time::from_secs(600));
/// The shortest and longest `timeout`.
pub const TIMEOUT: (Time, Time) = (Time::from_millis(10), Time::from_secs(60));

/// The values in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedHealthCheck {
    /// See [`HealthCheck::check`].
    pub check: Resolved<Check>,
    /// See [`HealthCheck::path`].
    pub path: Resolved<String>,
    /// See [`HealthCheck::statuses`].
    pub statuses: Resolved<Vec<Status>>,
    /// See [`HealthCheck::grpc_service`].
    pub grpc_service: Resolved<Option<String>>,
    /// See [`HealthCheck::interval`].
    pub interval: Resolved<HumanDuration>,
    /// See [`HealthCheck::timeout`].
    pub timeout: Resolved<HumanDuration>,
    /// See [`HealthCheck::unhealthy_threshold`].
    pub unhealthy_threshold: Resolved<u32>,
    /// See [`HealthCheck::healthy_threshold`].
    pub healthy_threshold: Resolved<u32>,
}

impl HealthCheck {
    /// The values in force.
    #[must_use]
    pub fn resolve(levels: &Levels<'_>) -> ResolvedHealthCheck {
        fn field<T>(
            levels: &Levels<'_>,
            field: impl Fn(&HealthCheck) -> Option<T>,
            built_in: T,
        ) -> Resolved<T> {
            levels.resolve(|s| field(s.health_check.as_ref()?), built_in)
        }
        let time = HumanDuration::from_secs;
        ResolvedHealthCheck {
            check: field(levels, |h| h.check, Check::None),
            path: field(levels, |h| h.path.clone(), "/".to_owned()),
            statuses: field(levels, |h| h.statuses.clone(), vec![Status(200)]),
            grpc_service: field(levels, |h| h.grpc_service.clone().map(Some), None),
            interval: field(levels, |h| h.interval.clone(), time(10)),
            timeout: field(levels, |h| h.timeout.clone(), time(2)),
            unhealthy_threshold: field(levels, |h| h.unhealthy_threshold, 3),
            healthy_threshold: field(levels, |h| h.healthy_threshold, 2),
        }
    }

    /// Its lines in the table of resolutions.
    pub(super) fn effective(levels: &Levels<'_>) -> [Effective; 8] {
        let resolved = Self::resolve(levels);
        [
            Effective::of("health_check.check", &resolved.check),
            Effective::of("health_check.path", &resolved.path),
            Effective::of("health_check.statuses", &resolved.statuses),
            Effective::of("health_check.grpc_service", &resolved.grpc_service),
            Effective::of("health_check.interval", &resolved.interval),
            Effective::of("health_check.timeout", &resolved.timeout),
            Effective::of(
                "health_check.unhealthy_threshold",
                &resolved.unhealthy_threshold,
            ),
            Effective::of(
                "health_check.healthy_threshold",
                &resolved.healthy_threshold,
            ),
        ]
    }

    /// Adds the rules that this breaks.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        within(
            self.interval.as_ref(),
            INTERVAL,
            &at.field("interval"),
            violations,
        );
        within(
            self.timeout.as_ref(),
            TIMEOUT,
            &at.field("timeout"),
            violations,
        );
        let path = self.path.as_deref().unwrap_or_default();
        if path.contains('#') {
            violations.add(&at.field("path"), Code::BadFormat, "a path has no fragment");
        }
        let statuses = at.field("statuses");
        let mut seen = BTreeSet::new();
        for (i, status) in self.statuses.iter().flatten().enumerate() {
            if !seen.insert(status) {
                let detail = format!("status {} is listed twice", status.0);
                violations.add(&statuses.index(i), Code::Duplicate, detail);
            }
        }
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({
            "check": "http",
            "path": "/healthz",
            "statuses": [200, 204],
            "grpc_service": "fx.v1.Quotes",
            "interval": "5s",
            "timeout": "1s",
            "unhealthy_threshold": 2,
            "healthy_threshold": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let broken = |text: &str| {
            let value: HealthCheck = serde_json::from_str(text).unwrap();
            let mut violations = Violations::new();
            value.validate(&Pointer::Root, &mut violations);
            let pointers = violations.into_sorted().into_iter().map(|v| v.pointer);
            pointers.collect::<Vec<_>>()
        };
        let all =
            r#"{"interval": "601s", "timeout": "9ms", "path": "/a#b", "statuses": [200, 200]}"#;
        assert_eq!(
            broken(all),
            ["/interval", "/path", "/statuses/1", "/timeout"]
        );
        let both = r#"{"interval": "99ms", "timeout": "61s"}"#;
        assert_eq!(broken(both), ["/interval", "/timeout"]);
        assert!(broken(r#"{"interval": "100ms", "timeout": "10ms"}"#).is_empty());
        assert!(broken(r#"{"interval": "10m", "timeout": "1m"}"#).is_empty());
    }
}
