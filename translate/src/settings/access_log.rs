//! `access_log` becomes the logs of the listeners of the service's own proxies, and a cluster for each collector.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::accesslog::v3::AccessLog as Envoys;
use heddle_model::settings::access_log::{Logged, Otlp};
use heddle_model::settings::{AccessLog, Levels};

use super::Applied;
use crate::envoy::access_log::{self, Of};

/// The logs of one listener; which levels set what.
pub(crate) fn logs(levels: &Levels<'_>, mut of: Of<'_>) -> (Vec<Envoys>, Vec<Applied>) {
    let resolved = AccessLog::resolve(levels);
    let set = |from, field: &str, within| Applied {
        from,
        pointer: format!("/access_log{field}"),
        within,
    };
    let (logged, field) = match of.inbound {
        true => (resolved.inbound, "/inbound"),
        false => (resolved.outbound, "/outbound"),
    };
    let mut applied = vec![
        set(logged.from, field, "AccessLogFilterValidationError"),
        set(
            resolved.sample_percent.from,
            "/sample_percent",
            "RuntimeFilterValidationError",
        ),
        set(resolved.to.from, "/to", "AccessLogValidationError"),
    ];
    // Envoy opens a file when it takes the listener, and repeats these words when it cannot.
    for (i, sink) in resolved.to.value.iter().enumerate() {
        if sink.file.is_some() {
            let field = format!("/to/{i}/file/path");
            applied.push(set(resolved.to.from, &field, "unable to open file"));
        }
    }
    if logged.value == Logged::None {
        return (Vec::new(), applied);
    }
    of.failed_alone = logged.value == Logged::Failed;
    of.sample_percent = resolved.sample_percent.value;
    let logs = resolved
        .to
        .value
        .iter()
        .map(|sink| access_log::to(sink, &of));
    (logs.collect(), applied)
}

/// The collectors that the proxies of a service send to.
pub(crate) fn collectors(levels: &Levels<'_>) -> BTreeSet<Otlp> {
    let resolved = AccessLog::resolve(levels);
    let logged = [resolved.inbound.value, resolved.outbound.value];
    if logged == [Logged::None; 2] {
        return BTreeSet::new();
    }
    resolved
        .to
        .value
        .into_iter()
        .filter_map(|sink| sink.otlp)
        .collect()
}
