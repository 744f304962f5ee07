//! `access_log`: which requests a service's own proxies write down, and where.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Effective, Levels, Resolved};
use crate::code::Code;
use crate::net::Host;
use crate::violation::{Pointer, Violations};

/// Which requests the proxies of a service write down, and where: one JSON object for each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// Of the requests that reach the service. `all` when absent.
    pub inbound: Option<Logged>,
    /// Of the requests that the service makes. `failed` when absent: the others stand in the log of whom it called.
    pub outbound: Option<Logged>,
    /// How many of them, in percent, chosen at random. 100 when absent.
    #[schema(minimum = 0.0, maximum = 100.0, example = 10.0)]
    pub sample_percent: Option<f64>,
    /// Where they are written: each of these. The proxy's standard output when absent.
    #[schema(min_items = 1, max_items = 4)]
    pub to: Option<Vec<Sink>>,
}

/// Which requests are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LoggedRequests)]
pub enum Logged {
    /// Every one.
    All,
    /// Those that ended with a 5xx status or about which the proxy has something to say (a timeout, a broken connection).
    Failed,
    /// None.
    None,
}

/// Where requests are written: exactly one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessLogSink)]
pub struct Sink {
    /// The standard output of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Stdout>,
    /// A file on the proxy's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// A collector that speaks OTLP over gRPC, without TLS: one on the same host or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
}

/// The standard output of the proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessLogStdout)]
pub struct Stdout {}

/// A file on the proxy's host, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessLogFile)]
pub struct File {
    /// Its absolute path. The folder must exist, and the proxy must be able to write there.
    #[schema(
        pattern = "^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$",
        max_length = 255,
        example = "/var/log/envoy/access.json"
    )]
    pub path: String,
}

/// A collector that speaks OTLP over gRPC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessLogOtlp)]
pub struct Otlp {
    /// Its DNS name or IPv4 address, as the proxy sees it.
    pub host: Host,
    /// Its port.
    #[schema(minimum = 1, maximum = 65535, example = 4317)]
    pub port: u16,
}

/// The values in force.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedAccessLog {
    /// See [`AccessLog::inbound`].
    pub inbound: Resolved<Logged>,
    /// See [`AccessLog::outbound`].
    pub outbound: Resolved<Logged>,
    /// See [`AccessLog::sample_percent`].
    pub sample_percent: Resolved<f64>,
    /// See [`AccessLog::to`].
    pub to: Resolved<Vec<Sink>>,
}

impl AccessLog {
    /// The values in force.
    #[must_use]
    pub fn resolve(levels: &Levels<'_>) -> ResolvedAccessLog {
        let stdout = Sink {
            stdout: Some(Stdout {}),
            ..Sink::default()
        };
        ResolvedAccessLog {
            inbound: levels.resolve(|s| s.access_log.as_ref()?.inbound, Logged::All),
            outbound: levels.resolve(|s| s.access_log.as_ref()?.outbound, Logged::Failed),
            sample_percent: levels.resolve(|s| s.access_log.as_ref()?.sample_percent, 100.0),
            to: levels.resolve(|s| s.access_log.as_ref()?.to.clone(), vec![stdout]),
        }
    }

    /// Its lines in the table of resolutions.
    pub(super) fn effective(levels: &Levels<'_>) -> [Effective; 4] {
        let resolved = Self::resolve(levels);
        [
            Effective::of("access_log.inbound", &resolved.inbound),
            Effective::of("access_log.outbound", &resolved.outbound),
            Effective::of("access_log.sample_percent", &resolved.sample_percent),
            Effective::of("access_log.to", &resolved.to),
        ]
    }

    /// Adds the rules that this breaks.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        let to = at.field("to");
        let mut seen = Vec::new();
        for (i, sink) in self.to.iter().flatten().enumerate() {
            let given = [
                sink.stdout.is_some(),
                sink.file.is_some(),
                sink.otlp.is_some(),
            ];
            if given.iter().filter(|given| **given).count() != 1 {
                let detail = "exactly one of `stdout`, `file` and `otlp`";
                violations.add(&to.index(i), Code::ExactlyOne, detail);
            } else if seen.contains(&sink) {
                violations.add(&to.index(i), Code::Duplicate, "this is listed twice");
            }
            seen.push(sink);
        }
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({
            "inbound": "all",
            "outbound": "failed",
            "sample_percent": 25.0,
            "to": [{"stdout": {}}, {"otlp": {"host": "collector.internal", "port": 4317}}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_is_one_thing_and_stands_once() {
        let text = r#"{"to": [{}, {"stdout": {}, "file": {"path": "/a"}}, {"stdout": {}}, {"stdout": {}}]}"#;
        let value: AccessLog = serde_json::from_str(text).unwrap();
        let mut violations = Violations::new();
        value.validate(&Pointer::Root, &mut violations);
        let broken = violations.into_sorted().into_iter().map(|v| v.pointer);
        assert_eq!(broken.collect::<Vec<_>>(), ["/to/0", "/to/1", "/to/3"]);
    }
}
