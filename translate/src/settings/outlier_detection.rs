//! `outlier_detection` becomes that of each cluster of the service.

use heddle_model::settings::{Levels, OutlierDetection};

use super::Applied;
use crate::envoy::cluster::{Cluster, OutlierDetection as Envoys};
use crate::envoy::{duration, number};

pub(super) fn apply(cluster: &mut Cluster, levels: &Levels<'_>, applied: &mut Vec<Applied>) {
    let resolved = OutlierDetection::resolve(levels);
    let (all, gateway) = (
        resolved.consecutive_5xx.value,
        resolved.consecutive_gateway_errors.value,
    );
    let whole = "OutlierDetectionValidationError";
    applied.extend(
        [
            (resolved.consecutive_5xx.from, "/consecutive_5xx", whole),
            (
                resolved.consecutive_gateway_errors.from,
                "/consecutive_gateway_errors",
                whole,
            ),
            (
                resolved.interval.from,
                "/interval",
                "OutlierDetectionValidationError.Interval",
            ),
            (
                resolved.base_ejection.from,
                "/base_ejection",
                "OutlierDetectionValidationError.BaseEjectionTime",
            ),
            (
                resolved.max_ejected_percent.from,
                "/max_ejected_percent",
                "OutlierDetectionValidationError.MaxEjectionPercent",
            ),
        ]
        .map(|(from, field, within)| Applied {
            from,
            pointer: format!("/outlier_detection{field}"),
            within,
        }),
    );
    if all == 0 && gateway == 0 {
        return;
    }
    // Envoy takes no zero for a number of failures, and enforces what it has a default for: what is off is not enforced.
    let enforced = |count: u32| number(if count == 0 { 0 } else { 100 });
    let count = |count: u32| (count > 0).then_some(count).and_then(number);
    cluster.outlier_detection = Some(Envoys {
        consecutive_5xx: count(all),
        enforcing_consecutive_5xx: enforced(all),
        consecutive_gateway_failure: count(gateway),
        enforcing_consecutive_gateway_failure: enforced(gateway),
        interval: Some(duration(resolved.interval.value.get())),
        base_ejection_time: Some(duration(resolved.base_ejection.value.get())),
        max_ejection_percent: number(resolved.max_ejected_percent.value),
        // Nobody asked for it: without these Envoy also ejects by comparing workloads.
        enforcing_success_rate: number(0),
        enforcing_failure_percentage: number(0),
        ..Envoys::default()
    });
}
