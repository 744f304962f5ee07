//! `health_check` in three places. The callee's own proxy checks its application; an HTTP filter before the access rules
//! answers for it; callers ask that filter over the same mutual TLS as calls. So an application is checked once and not by
//! everybody, the access rules need no hole, and nothing of it counts as a call.

use std::collections::HashMap;

use envoy_types::pb::envoy::extensions::filters::http::health_check::v3::HealthCheck as Filter;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::envoy::r#type::v3::{CodecClientType, Int64Range, Percent};
use heddle_model::kind::service::{Port, Protocol};
use heddle_model::settings::health_check::{Check, ResolvedHealthCheck, Status};
use heddle_model::settings::{HealthCheck, Levels};

use super::{Applied, Callee};
use crate::envoy::cluster::Cluster;
use crate::envoy::core::HealthCheck as Envoys;
use crate::envoy::core::health_check::{
    GrpcHealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck,
};
use crate::envoy::route::HeaderMatcher;
use crate::envoy::route::header_matcher::HeaderMatchSpecifier;
use crate::envoy::{boolean, duration, exact, http, number};
use crate::naming;
use crate::resource::any;

/// Callers do not all ask at the same moment.
const JITTER_PERCENT: u32 = 10;

/// The check of a service, if there is one that its first port can be checked with.
pub(crate) fn resolve(levels: &Levels<'_>, first: Option<&Port>) -> Option<ResolvedHealthCheck> {
    let resolved = HealthCheck::resolve(levels);
    let check = resolved.check.value;
    let fits = match first {
        Some(port) => port.protocol.can_be_checked(check),
        None => check != Check::Grpc,
    };
    let usable = check != Check::None && fits;
    usable.then_some(resolved)
}

/// What is wrong with a check that [`resolve`] does not take.
pub(crate) fn problem(levels: &Levels<'_>, first: Option<&Port>) -> Option<Applied> {
    let check = HealthCheck::resolve(levels).check;
    let passed_over = check.value != Check::None && resolve(levels, first).is_none();
    passed_over.then_some(Applied {
        from: check.from,
        pointer: "/health_check/check".to_owned(),
        within: "",
    })
}

pub(crate) fn applied(resolved: &ResolvedHealthCheck) -> Vec<Applied> {
    let whole = "HealthCheckValidationError";
    [
        (resolved.check.from, "/check", whole),
        (
            resolved.path.from,
            "/path",
            "HttpHealthCheckValidationError.Path",
        ),
        (
            resolved.statuses.from,
            "/statuses",
            "HttpHealthCheckValidationError.ExpectedStatuses",
        ),
        (
            resolved.grpc_service.from,
            "/grpc_service",
            "GrpcHealthCheckValidationError",
        ),
        (
            resolved.interval.from,
            "/interval",
            "HealthCheckValidationError.Interval",
        ),
        (
            resolved.timeout.from,
            "/timeout",
            "HealthCheckValidationError.Timeout",
        ),
        (
            resolved.unhealthy_threshold.from,
            "/unhealthy_threshold",
            "HealthCheckValidationError.UnhealthyThreshold",
        ),
        (
            resolved.healthy_threshold.from,
            "/healthy_threshold",
            "HealthCheckValidationError.HealthyThreshold",
        ),
    ]
    .map(|(from, field, within)| Applied {
        from,
        pointer: format!("/health_check{field}"),
        within,
    })
    .into()
}

fn check(resolved: &ResolvedHealthCheck, checker: HealthChecker) -> Envoys {
    Envoys {
        interval: Some(duration(resolved.interval.value.get())),
        timeout: Some(duration(resolved.timeout.value.get())),
        unhealthy_threshold: number(resolved.unhealthy_threshold.value),
        healthy_threshold: number(resolved.healthy_threshold.value),
        interval_jitter_percent: JITTER_PERCENT,
        health_checker: Some(checker),
        ..Envoys::default()
    }
}

/// A caller asks the proxy of a workload. Everything but 503 is an answer of somebody who is there. Before its first call a caller
/// asks as often as after it: with Envoy's default of a minute, what the first answer said would hold for that long.
pub(super) fn apply(cluster: &mut Cluster, callee: &Callee<'_>, out: &mut Vec<Applied>) {
    let Some(resolved) = resolve(&callee.levels, callee.first) else {
        return;
    };
    let range = |start, end| Int64Range { start, end };
    let http = HttpHealthCheck {
        // Without one Envoy takes the name of the cluster, and a slash in it is a protocol error to the proxy that is asked.
        host: callee.host.clone(),
        path: naming::HEALTH_PATH.to_owned(),
        expected_statuses: vec![range(100, 503), range(504, 600)],
        codec_client_type: CodecClientType::Http2.into(),
        ..HttpHealthCheck::default()
    };
    let checker = HealthChecker::HttpHealthCheck(http);
    cluster.health_checks = vec![Envoys {
        no_traffic_interval: Some(duration(resolved.interval.value.get())),
        ..check(&resolved, checker)
    }];
    out.extend(applied(&resolved));
}

/// A proxy checks its own application, as a call for `host` would reach it.
pub(crate) fn apply_to_application(
    cluster: &mut Cluster,
    resolved: &ResolvedHealthCheck,
    protocol: Protocol,
    host: String,
) {
    let codec = match protocol.is_http2() {
        true => CodecClientType::Http2,
        false => CodecClientType::Http1,
    };
    let status = |status: &Status| Int64Range {
        start: status.0.into(),
        end: i64::from(status.0) + 1,
    };
    let checker = match resolved.check.value {
        Check::Tcp | Check::None => HealthChecker::TcpHealthCheck(TcpHealthCheck::default()),
        Check::Http => HealthChecker::HttpHealthCheck(HttpHealthCheck {
            host,
            path: resolved.path.value.clone(),
            expected_statuses: resolved.statuses.value.iter().map(status).collect(),
            codec_client_type: codec.into(),
            ..HttpHealthCheck::default()
        }),
        Check::Grpc => HealthChecker::GrpcHealthCheck(GrpcHealthCheck {
            authority: host,
            service_name: resolved.grpc_service.value.clone().unwrap_or_default(),
            ..GrpcHealthCheck::default()
        }),
    };
    cluster.health_checks = vec![Envoys {
        // Also before the first call.
        no_traffic_interval: Some(duration(resolved.interval.value.get())),
        ..check(resolved, checker)
    }];
}

/// Answers callers: 200 while the application behind the first port is healthy, else 503. Every inbound listener has it, so that
/// none changes when a check comes or goes: a listener that changes drains, and a caller could go on asking the old one.
/// An application that is not checked is healthy; so is one whose first port takes no calls at this proxy.
pub(crate) fn filter(first: Option<&Port>) -> HttpFilter {
    let all = |port: &Port| (naming::local(&port.name), Percent { value: 100.0 });
    let config = Filter {
        pass_through_mode: boolean(false),
        // One entry at most: a hash map of one has one order.
        cluster_min_healthy_percentages: first.map(all).into_iter().collect::<HashMap<_, _>>(),
        headers: vec![HeaderMatcher {
            name: ":path".to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(exact(
                naming::HEALTH_PATH,
            ))),
            ..HeaderMatcher::default()
        }],
        ..Filter::default()
    };
    http::http_filter(naming::HEALTH, any(&config))
}
