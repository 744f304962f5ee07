//! One line of JSON on standard output per request. Paths without their queries: queries carry secrets.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, ComparisonFilter, OrFilter, ResponseFlagFilter, StatusCodeFilter,
    access_log, access_log_filter::FilterSpecifier, comparison_filter::Op,
};
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
use envoy_types::pb::google::protobuf::{Value, value::Kind};
use prost::{Message as _, Name as _};

use super::Any;
use super::core::RuntimeUInt32;

/// `StdoutAccessLog` with an ordered map: the generated type has a hash map, whose bytes differ from run to run.
#[derive(Clone, PartialEq, prost::Message)]
struct OrderedStdout {
    #[prost(message, optional, tag = "1")]
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

const FIELDS: [(&str, &str); 14] = [
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
];

fn stdout(fixed: &[(&str, &str)]) -> Any {
    let value = |text: &str| Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    // A fixed text goes through Envoy's format parser too: a percent sign would begin an operator. Names and
    // our own words have none.
    let fields = FIELDS
        .iter()
        .chain(fixed)
        .map(|(name, text)| ((*name).to_owned(), value(text)))
        .collect();
    let log = OrderedStdout {
        format: Some(OrderedFormat {
            json: Some(OrderedStruct { fields }),
        }),
    };
    Any {
        type_url: StdoutAccessLog::type_url(),
        value: log.encode_to_vec(),
    }
}

fn to_stdout(fixed: &[(&str, &str)], filter: Option<AccessLogFilter>) -> AccessLog {
    AccessLog {
        name: "envoy.access_loggers.stdout".to_owned(),
        filter,
        config_type: Some(access_log::ConfigType::TypedConfig(stdout(fixed))),
    }
}

/// Every request that reaches the service.
pub(crate) fn inbound(service: &str) -> AccessLog {
    to_stdout(&[("service", service), ("direction", "inbound")], None)
}

/// Requests that failed on their way out: 5xx, or anything that Envoy flags. The others stand in the callee's log.
pub(crate) fn outbound(service: &str) -> AccessLog {
    let of = |filter_specifier| AccessLogFilter {
        filter_specifier: Some(filter_specifier),
    };
    let server_error = StatusCodeFilter {
        comparison: Some(ComparisonFilter {
            op: Op::Ge.into(),
            value: Some(RuntimeUInt32 {
                default_value: 500,
                runtime_key: "heddle.outbound_access_log.min_status".to_owned(),
            }),
        }),
    };
    let failed = FilterSpecifier::OrFilter(OrFilter {
        filters: vec![
            of(FilterSpecifier::StatusCodeFilter(server_error)),
            of(FilterSpecifier::ResponseFlagFilter(
                ResponseFlagFilter::default(),
            )),
        ],
    });
    let fixed = [("service", service), ("direction", "outbound")];
    to_stdout(&fixed, Some(of(failed)))
}
