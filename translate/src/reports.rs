//! What a proxy tells the control plane of the requests that it takes: those in plain text, and those that an access rule which only
//! reports would have refused. By Envoy's own logger for OpenTelemetry, to where its configuration comes from, with the certificate
//! that it has in the mesh: so a report is its own, and of nobody else.
//!
//! Nothing of it is asked of a service whose ports are `strict` and whose rules decide. Calls do not wait for it: while the control
//! plane is away, Envoy drops what it cannot send.

use std::time::Duration;

use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, MetadataFilter, access_log, access_log_filter::FilterSpecifier,
};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{DiscoveryType, DnsLookupFamily};
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::CommonGrpcAccessLogConfig;
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::opentelemetry::proto::common::v1::KeyValueList;
use heddle_model::kind::access_rule::Effect;
use heddle_model::kind::service::Port;
use heddle_model::snapshot::{MeshSnapshot, ServiceNode};

use crate::cluster::outside;
use crate::envoy::access_log::{pair, text};
use crate::envoy::core::grpc_service::{EnvoyGrpc, TargetSpecifier};
use crate::envoy::core::health_check::{GrpcHealthCheck, HealthChecker};
use crate::envoy::core::{ApiVersion, GrpcService, HeaderValue, HeaderValueOption, HealthCheck};
use crate::envoy::matcher::metadata_matcher::{PathSegment, path_segment};
use crate::envoy::matcher::value_matcher::MatchPattern;
use crate::envoy::matcher::{MetadataMatcher, ValueMatcher};
use crate::envoy::{boolean, duration, exact, http, number, tls};
use crate::naming;
use crate::origin::Source;
use crate::resource::{Resource, ResourceType, any};

/// How often a request that does not end is told of.
pub(crate) const AGAIN: Duration = Duration::from_secs(10);
/// How long a record waits for others, and how many bytes of them are sent together.
const GATHER: Duration = Duration::from_secs(1);
const GATHERED: u32 = 16 << 10;
/// How long the control plane may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a proxy says that it could report, and how often it tries when nobody hears it.
const ALIVE: Duration = Duration::from_secs(180);
const TRY: Duration = Duration::from_secs(5);
/// Proxies do not all say so at the same moment.
const JITTER_PERCENT: u32 = 10;

/// Where proxies report to: the address of the control plane, as it stands in their bootstrap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportsTo {
    /// Its host: a DNS name or an IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The authorities that its certificate is checked against, as PEM.
    pub ca_pem: String,
}

/// Whether a request at a port could be one that a rule which only reports would refuse.
pub(crate) fn would_deny(node: &ServiceNode, port: &Port) -> bool {
    let mut rules = node.access_rules.iter().map(|rule| &rule.spec);
    rules.any(|rule| {
        rule.action == Effect::Deny && rule.is_report_only() && rule.is_about(&port.name)
    })
}

/// Whether proxies of a service have anything to report.
pub(crate) fn any_of(snapshot: &MeshSnapshot, node: &ServiceNode) -> bool {
    let mut ports = node.service.spec.ports.iter();
    ports.any(|port| snapshot.mtls(node, port).mode.takes_plain_text() || would_deny(node, port))
}

/// `host:port`, as it stands in URIs.
fn authority(to: &ReportsTo) -> String {
    match to.host.contains(':') {
        true => format!("[{}]:{}", to.host, to.port),
        false => format!("{}:{}", to.host, to.port),
    }
}

/// Which mesh the certificate is to be checked against. Who says another one than its own is nobody there.
fn metadata(snapshot: &MeshSnapshot) -> HeaderValue {
    HeaderValue {
        key: naming::REPORTS_MESH.to_owned(),
        value: format!("{}/{}", snapshot.org, snapshot.mesh.id),
        ..HeaderValue::default()
    }
}

/// The control plane, once more: by the proxy's own certificate instead of its join token. That it is asked now and then whether it is
/// there tells it which proxies would report.
pub(crate) fn cluster(snapshot: &MeshSnapshot, node: &ServiceNode, to: &ReportsTo) -> Resource {
    let name = naming::REPORTS.to_owned();
    let alive = GrpcHealthCheck {
        authority: authority(to),
        initial_metadata: vec![HeaderValueOption {
            header: Some(metadata(snapshot)),
            ..HeaderValueOption::default()
        }],
        ..GrpcHealthCheck::default()
    };
    let check = HealthCheck {
        timeout: Some(duration(PATIENCE)),
        interval: Some(duration(ALIVE)),
        no_traffic_interval: Some(duration(TRY)),
        no_traffic_healthy_interval: Some(duration(ALIVE)),
        unhealthy_interval: Some(duration(TRY)),
        interval_jitter_percent: JITTER_PERCENT,
        unhealthy_threshold: number(1),
        healthy_threshold: number(1),
        // Whoever has nothing to report holds no connection.
        reuse_connection: boolean(false),
        health_checker: Some(HealthChecker::GrpcHealthCheck(alive)),
        ..HealthCheck::default()
    };
    let cluster = Cluster {
        transport_socket: Some(tls::control_plane(&to.host, &to.ca_pem)),
        dns_lookup_family: DnsLookupFamily::All.into(),
        health_checks: vec![check],
        ..outside(
            &name,
            &to.host,
            to.port,
            DiscoveryType::StrictDns,
            http::application(true),
        )
    };
    let origins = vec![Source::Service(node).at("", name.clone())];
    Resource::new(ResourceType::Cluster, name, &cluster, origins)
}

/// Tells of every request that comes in plain text to a port that takes that. The same of a port that is `permissive` and of one that is
/// `off`: a listener that says which would be made anew between the two, and connections with it.
pub(crate) fn of_plain_text(
    snapshot: &MeshSnapshot,
    node: &ServiceNode,
    port: &Port,
    to: &ReportsTo,
) -> AccessLog {
    log(snapshot, node, to, port, "true", None)
}

/// Tells of requests in mutual TLS that a rule which only reports would have refused.
pub(crate) fn of_would_deny(
    snapshot: &MeshSnapshot,
    node: &ServiceNode,
    port: &Port,
    to: &ReportsTo,
) -> AccessLog {
    let matcher = MetadataMatcher {
        filter: naming::RBAC_METADATA.to_owned(),
        path: vec![PathSegment {
            segment: Some(path_segment::Segment::Key(format!(
                "{}shadow_engine_result",
                naming::WOULD_DENY
            ))),
        }],
        value: Some(ValueMatcher {
            match_pattern: Some(MatchPattern::StringMatch(exact("denied"))),
        }),
        ..MetadataMatcher::default()
    };
    let filter = FilterSpecifier::MetadataFilter(MetadataFilter {
        matcher: Some(matcher),
        match_if_key_not_found: boolean(false),
    });
    log(snapshot, node, to, port, "", Some(filter))
}

/// `plain` says that it is plain text, and is empty in mutual TLS.
#[expect(
    deprecated,
    reason = "the field that took its place is unknown to the oldest supported Envoy"
)]
fn log(
    snapshot: &MeshSnapshot,
    node: &ServiceNode,
    to: &ReportsTo,
    port: &Port,
    plain: &str,
    filter: Option<FilterSpecifier>,
) -> AccessLog {
    let would_deny = format!(
        "%DYNAMIC_METADATA({}:{}shadow_effective_policy_id)%",
        naming::RBAC_METADATA,
        naming::WOULD_DENY
    );
    let values = [
        ("service", node.service.name.as_str()),
        ("port", port.name.as_str()),
        ("plain", plain),
        // The peer of the connection, as access rules see it, and nothing that a header says.
        ("from", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
        ("peer", "%DOWNSTREAM_PEER_URI_SAN%"),
        ("rule", would_deny.as_str()),
        ("answer", "%RESPONSE_CODE_DETAILS%"),
        ("type", "%ACCESS_LOG_TYPE%"),
    ];
    let control_plane = EnvoyGrpc {
        cluster_name: naming::REPORTS.to_owned(),
        authority: authority(to),
        ..EnvoyGrpc::default()
    };
    let config = OpenTelemetryAccessLogConfig {
        common_config: Some(CommonGrpcAccessLogConfig {
            log_name: "heddle".to_owned(),
            grpc_service: Some(GrpcService {
                target_specifier: Some(TargetSpecifier::EnvoyGrpc(control_plane)),
                timeout: Some(duration(PATIENCE)),
                initial_metadata: vec![metadata(snapshot)],
                ..GrpcService::default()
            }),
            transport_api_version: ApiVersion::V3.into(),
            buffer_flush_interval: Some(duration(GATHER)),
            buffer_size_bytes: number(GATHERED),
            ..CommonGrpcAccessLogConfig::default()
        }),
        disable_builtin_labels: true,
        attributes: Some(KeyValueList {
            values: values.map(|(key, value)| pair(key, value)).into(),
        }),
        body: Some(text("")),
        ..OpenTelemetryAccessLogConfig::default()
    };
    AccessLog {
        name: "envoy.access_loggers.open_telemetry".to_owned(),
        filter: filter.map(|filter_specifier| AccessLogFilter {
            filter_specifier: Some(filter_specifier),
        }),
        config_type: Some(access_log::ConfigType::TypedConfig(any(&config))),
    }
}
