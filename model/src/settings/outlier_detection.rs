//! `outlier_detection`: which workloads are left alone for a while because their answers fail.

use std::time::Duration as Time;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Effective, Levels, Resolved, within};
use crate::duration::HumanDuration;
use crate::violation::{Pointer, Violations};

/// Which workloads get no calls for a while because their answers fail. Each proxy that calls judges for itself, by the
/// answers that it gets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutlierDetection {
    /// So many answers in a row with a 5xx status, or calls that broke, eject a workload; 0 turns this off. 0 when absent.
    #[schema(minimum = 0, maximum = 1000, example = 5)]
    pub consecutive_5xx: Option<u32>,
    /// The same for status 502, 503, 504 and calls that broke. 0 when absent.
    #[schema(minimum = 0, maximum = 1000, example = 3)]
    pub consecutive_gateway_errors: Option<u32>,
    /// How often it is looked whether the time of an ejected workload is over: 100 ms to 5 min. 10 s when absent.
    pub interval: Option<HumanDuration>,
    /// How long a workload is ejected, times how often it was before: 100 ms to 1 h. 30 s when absent.
    pub base_ejection: Option<HumanDuration>,
    /// No more than this share of a service's workloads is ejected at once. 50 when absent.
    #[schema(minimum = 0, maximum = 100, example = 50)]
    pub max_ejected_percent: Option<u32>,
}

/// The shortest and longest `interval`.
pub const INTERVAL: (Time, Time) = (Time::from_millis(100), Time::from_secs(300));
/// The shortest and longest `base_ejection`.
pub const EJECTION: (Time, Time) = (Time::from_millis(100), Time::from_secs(3600));

/// The values in force.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedOutlierDetection {
    /// See [`OutlierDetection::consecutive_5xx`].
    pub consecutive_5xx: Resolved<u32>,
    /// See [`OutlierDetection::consecutive_gateway_errors`].
    pub consecutive_gateway_errors: Resolved<u32>,
    /// See [`OutlierDetection::interval`].
    pub interval: Resolved<HumanDuration>,
    /// See [`OutlierDetection::base_ejection`].
    pub base_ejection: Resolved<HumanDuration>,
    /// See [`OutlierDetection::max_ejected_percent`].
    pub max_ejected_percent: Resolved<u32>,
}

impl OutlierDetection {
    /// The values in force.
    #[must_use]
    pub fn resolve(levels: &Levels<'_>) -> ResolvedOutlierDetection {
        let number = |field: fn(&Self) -> Option<u32>, built_in| {
            levels.resolve(|s| field(s.outlier_detection.as_ref()?), built_in)
        };
        let time = |field: fn(&Self) -> Option<HumanDuration>, built_in| {
            let built_in = HumanDuration::from_secs(built_in);
            levels.resolve(|s| field(s.outlier_detection.as_ref()?), built_in)
        };
        ResolvedOutlierDetection {
            consecutive_5xx: number(|o| o.consecutive_5xx, 0),
            consecutive_gateway_errors: number(|o| o.consecutive_gateway_errors, 0),
            interval: time(|o| o.interval.clone(), 10),
            base_ejection: time(|o| o.base_ejection.clone(), 30),
            max_ejected_percent: number(|o| o.max_ejected_percent, 50),
        }
    }

    /// Its lines in the table of resolutions.
    pub(super) fn effective(levels: &Levels<'_>) -> [Effective; 5] {
        let resolved = Self::resolve(levels);
        [
            Effective::of(
                "outlier_detection.consecutive_5xx",
                &resolved.consecutive_5xx,
            ),
            Effective::of(
                "outlier_detection.consecutive_gateway_errors",
                &resolved.consecutive_gateway_errors,
            ),
            Effective::of("outlier_detection.interval", &resolved.interval),
            Effective::of("outlier_detection.base_ejection", &resolved.base_ejection),
            Effective::of(
                "outlier_detection.max_ejected_percent",
                &resolved.max_ejected_percent,
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
        let at = at.field("base_ejection");
        within(self.base_ejection.as_ref(), EJECTION, &at, violations);
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({
            "consecutive_5xx": 5,
            "consecutive_gateway_errors": 3,
            "interval": "5s",
            "base_ejection": "30s",
            "max_ejected_percent": 50,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let broken = |text: &str| {
            let value: OutlierDetection = serde_json::from_str(text).unwrap();
            let mut violations = Violations::new();
            value.validate(&Pointer::Root, &mut violations);
            let pointers = violations.into_sorted().into_iter().map(|v| v.pointer);
            pointers.collect::<Vec<_>>()
        };
        assert_eq!(
            broken(r#"{"interval": "99ms", "base_ejection": "3601s"}"#),
            ["/base_ejection", "/interval"]
        );
        let fine = r#"{"interval": "100ms", "base_ejection": "1h"}"#;
        assert!(broken(fine).is_empty());
        let fine = r#"{"interval": "5m", "base_ejection": "100ms"}"#;
        assert!(broken(fine).is_empty());
    }
}
