//! One JSON object per request, or the same as a record of OpenTelemetry. Paths without their queries: queries carry
//! secrets.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, AndFilter, ComparisonFilter, LogTypeFilter, NotHealthCheckFilter,
    OrFilter, ResponseFlagFilter, RuntimeFilter, StatusCodeFilter, access_log,
    access_log_filter::FilterSpecifier, comparison_filter::Op,
};
use envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::CommonGrpcAccessLogConfig;
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::{Value, value::Kind};
use envoy_types::pb::opentelemetry::proto::common::v1::{
    AnyValue, KeyValue, KeyValueList, any_value,
};
use heddle_model::settings::access_log::{Otlp, Sink};
use prost::{Message as _, Name as _};

use super::Any;
use super::core::grpc_service::{EnvoyGrpc, TargetSpecifier};
use super::core::{ApiVersion, GrpcService, RuntimeUInt32};
use crate::naming;

/// `StdoutAccessLog` with an ordered map: the generated type has a hash map, whose bytes differ from run to run.
#[derive(Clone, PartialEq, prost::Message)]
struct OrderedStdout {
    #[prost(message, optional, tag = "1")]
    format: Option<OrderedFormat>,
}

/// `FileAccessLog`, likewise.
#[derive(Clone, PartialEq, prost::Message)]
struct OrderedFile {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(message, optional, tag = "5")]
    format: Option<OrderedFormat>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OrderedFormat {
    #[prost(message, optional, tag = "2")]
    json: Option<OrderedStruct>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OrderedStruct {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, Value>,
}

const FIELDS: [(&str, &str); 16] = [
    ("time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("path", "%PATH(NQ:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("duration_ms", "%DURATION%"),
    ("route", "%ROUTE_NAME%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_failure", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("downstream_peer_uri_san", "%DOWNSTREAM_PEER_URI_SAN%"),
    (
        "would_deny",
        "%DYNAMIC_METADATA(envoy.filters.http.rbac:heddle_would_deny_shadow_effective_policy_id)%",
    ),
    (
        "would_allow",
        "%DYNAMIC_METADATA(envoy.filters.http.rbac:heddle_would_allow_shadow_effective_policy_id)%",
    ),
];

/// What is logged beside that of connections that carry anything.
const FIELDS_OF_TCP: [(&str, &str); 3] = [
    ("local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
];

/// What is logged of one listener.
pub(crate) struct Of<'a> {
    pub(crate) service: &'a str,
    pub(crate) inbound: bool,
    /// Connections instead of requests.
    pub(crate) tcp: bool,
    pub(crate) failed_alone: bool,
    /// Whether requests that do not end are told of in between, too: to whoever is told of them, which is not this log.
    pub(crate) told_again: bool,
    pub(crate) sample_percent: f64,
}

impl<'a> Of<'a> {
    pub(crate) const fn new(service: &'a str, inbound: bool) -> Self {
        Self {
            service,
            inbound,
            tcp: false,
            failed_alone: false,
            told_again: false,
            sample_percent: 100.0,
        }
    }

    const fn direction(&self) -> &'static str {
        if self.inbound { "inbound" } else { "outbound" }
    }

    /// Each field with its format.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        // A fixed text goes through Envoy's format parser too: a percent sign would begin an operator. Names and
        // our own words have none.
        let fixed = [("service", self.service), ("direction", self.direction())];
        let further = FIELDS_OF_TCP.into_iter().filter(|_| self.tcp);
        FIELDS.into_iter().chain(further).chain(fixed)
    }

    fn format(&self) -> OrderedFormat {
        let value = |text: &str| Value {
            kind: Some(Kind::StringValue(text.to_owned())),
        };
        let fields = self
            .fields()
            .map(|(name, text)| (name.to_owned(), value(text)));
        OrderedFormat {
            json: Some(OrderedStruct {
                fields: fields.collect(),
            }),
        }
    }

    fn filter(&self) -> Option<AccessLogFilter> {
        let of = |filter_specifier| AccessLogFilter {
            filter_specifier: Some(filter_specifier),
        };
        let mut filters = Vec::new();
        // Callers ask whether the application is healthy; that is not a call.
        if self.inbound {
            filters.push(of(FilterSpecifier::NotHealthCheckFilter(
                NotHealthCheckFilter::default(),
            )));
        }
        if self.told_again {
            filters.push(of(FilterSpecifier::LogTypeFilter(LogTypeFilter {
                types: vec![AccessLogType::DownstreamPeriodic.into()],
                exclude: true,
            })));
        }
        if self.failed_alone {
            filters.push(of(failed(self.direction())));
        }
        if self.sample_percent < 100.0 {
            filters.push(of(FilterSpecifier::RuntimeFilter(RuntimeFilter {
                runtime_key: format!("heddle.{}_access_log.sampled", self.direction()),
                percent_sampled: Some(millionths(self.sample_percent)),
                use_independent_randomness: true,
            })));
        }
        match filters.len() {
            0 | 1 => filters.pop(),
            _ => Some(of(FilterSpecifier::AndFilter(AndFilter { filters }))),
        }
    }
}

// Between 0 and 100 by the schema; a cast of anything else saturates.
fn millionths(percent: f64) -> FractionalPercent {
    FractionalPercent {
        numerator: (percent * 10_000.0).round() as u32,
        denominator: DenominatorType::Million.into(),
    }
}

/// Requests that failed: 5xx, or anything that Envoy flags.
fn failed(direction: &str) -> FilterSpecifier {
    let of = |filter_specifier| AccessLogFilter {
        filter_specifier: Some(filter_specifier),
    };
    let server_error = StatusCodeFilter {
        comparison: Some(ComparisonFilter {
            op: Op::Ge.into(),
            value: Some(RuntimeUInt32 {
                default_value: 500,
                runtime_key: format!("heddle.{direction}_access_log.min_status"),
            }),
        }),
    };
    FilterSpecifier::OrFilter(OrFilter {
        filters: vec![
            of(FilterSpecifier::StatusCodeFilter(server_error)),
            of(FilterSpecifier::ResponseFlagFilter(
                ResponseFlagFilter::default(),
            )),
        ],
    })
}

/// The log of one listener into one sink.
pub(crate) fn to(sink: &Sink, of: &Of<'_>) -> AccessLog {
    let (name, config) = if let Some(file) = &sink.file {
        let log = OrderedFile {
            path: file.path.clone(),
            format: Some(of.format()),
        };
        (
            "envoy.access_loggers.file",
            (FileAccessLog::type_url(), log.encode_to_vec()),
        )
    } else if let Some(otlp) = &sink.otlp {
        let log = open_telemetry(otlp, of);
        (
            "envoy.access_loggers.open_telemetry",
            (
                OpenTelemetryAccessLogConfig::type_url(),
                log.encode_to_vec(),
            ),
        )
    } else {
        let log = OrderedStdout {
            format: Some(of.format()),
        };
        (
            "envoy.access_loggers.stdout",
            (StdoutAccessLog::type_url(), log.encode_to_vec()),
        )
    };
    let (type_url, value) = config;
    AccessLog {
        name: name.to_owned(),
        filter: of.filter(),
        config_type: Some(access_log::ConfigType::TypedConfig(Any { type_url, value })),
    }
}

/// A text of OpenTelemetry.
pub(crate) fn text(text: &str) -> AnyValue {
    AnyValue {
        value: Some(any_value::Value::StringValue(text.to_owned())),
    }
}

/// One with a name.
pub(crate) fn pair(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    }
}

/// The same fields as in JSON, as attributes of a log record.
#[expect(
    deprecated,
    reason = "the field that took its place is unknown to the oldest supported Envoy"
)]
fn open_telemetry(otlp: &Otlp, of: &Of<'_>) -> OpenTelemetryAccessLogConfig {
    let collector = EnvoyGrpc {
        cluster_name: naming::collector(otlp),
        // Without one Envoy takes the name of the cluster, and a slash in it is a protocol error to most collectors.
        authority: format!("{}:{}", otlp.host, otlp.port),
        ..EnvoyGrpc::default()
    };
    OpenTelemetryAccessLogConfig {
        common_config: Some(CommonGrpcAccessLogConfig {
            log_name: "heddle".to_owned(),
            grpc_service: Some(GrpcService {
                target_specifier: Some(TargetSpecifier::EnvoyGrpc(collector)),
                ..GrpcService::default()
            }),
            transport_api_version: ApiVersion::V3.into(),
            ..CommonGrpcAccessLogConfig::default()
        }),
        resource_attributes: Some(KeyValueList {
            values: vec![pair("service.name", of.service)],
        }),
        body: Some(text(match of.tcp {
            true => "tcp %BYTES_RECEIVED% %BYTES_SENT%",
            false => "%REQ(:METHOD)% %PATH(NQ:PATH)% %RESPONSE_CODE%",
        })),
        attributes: Some(KeyValueList {
            values: of.fields().map(|(name, value)| pair(name, value)).collect(),
        }),
        ..OpenTelemetryAccessLogConfig::default()
    }
}
