//! HTTP connections: the hardening that every listener gets, and the protocols towards clusters.

use std::time::Duration as Time;

use envoy_types::pb::envoy::config::accesslog::v3::AccessLog;
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager as manager, http_filter,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::{
    HttpProtocolOptions as UpstreamOptions, http_protocol_options as upstream,
};

use super::core::http_protocol_options::HeadersWithUnderscoresAction;
use super::core::{
    Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions, KeepaliveSettings,
};
use super::{Any, ads, boolean, duration, number};
use crate::resource::any;

/// The key under which a cluster carries its HTTP options.
pub(crate) const UPSTREAM_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// How long a client may take to send its headers.
const HEADERS: Time = Time::from_secs(10);
/// How long a stream may be silent.
const STREAM_IDLE: Time = Time::from_secs(300);
/// How often an HTTP/2 connection is probed, and how long the answer may take.
const KEEPALIVE: (Time, Time) = (Time::from_secs(30), Time::from_secs(5));
/// Streams per HTTP/2 connection. Callers open a further connection beyond it.
const MAX_STREAMS: u32 = 1000;
/// Flow-control windows: enough for fast links, and a bound on what one connection can make Envoy hold.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// How long a connection to an application may be idle. Shorter than the idle timeout of common HTTP/1.1 servers
/// (5 s in Node, 2 s in gunicorn): otherwise Envoy now and then sends a request on a connection that the
/// application is just closing, and that request fails.
const APPLICATION_IDLE: Time = Time::from_secs(1);

/// Connections end after half the life of the certificates that they were made with.
pub(crate) fn max_connection_duration(leaf_lifetime: Time) -> Time {
    leaf_lifetime / 2
}

fn http2() -> Http2ProtocolOptions {
    Http2ProtocolOptions {
        max_concurrent_streams: number(MAX_STREAMS),
        initial_stream_window_size: number(STREAM_WINDOW),
        initial_connection_window_size: number(CONNECTION_WINDOW),
        connection_keepalive: Some(KeepaliveSettings {
            interval: Some(duration(KEEPALIVE.0)),
            timeout: Some(duration(KEEPALIVE.1)),
            ..KeepaliveSettings::default()
        }),
        ..Http2ProtocolOptions::default()
    }
}

/// What differs between the connection managers of a proxy.
pub(crate) struct Manager {
    pub(crate) stat_prefix: String,
    /// The route configuration, by RDS.
    pub(crate) routes: String,
    /// Before the router, in this order.
    pub(crate) filters: Vec<HttpFilter>,
    pub(crate) access_log: Vec<AccessLog>,
    /// Set on the side that other proxies connect to.
    pub(crate) mesh_side: Option<MeshSide>,
}

/// What only the side that other proxies connect to has.
#[derive(Clone, Copy)]
pub(crate) struct MeshSide {
    pub(crate) leaf_lifetime: Time,
    /// Whether callers have shown a certificate.
    pub(crate) knows_callers: bool,
    /// How often a request that does not end is told of, if it is.
    pub(crate) told_every: Option<Time>,
}

/// An HTTP filter with its configuration.
pub(crate) fn http_filter(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

/// A connection manager: one spelling per path, one host per host, nothing that a client says about itself
/// believed. Without this, access rules about paths and hosts can be walked around.
pub(crate) fn manager(spec: Manager) -> Filter {
    let router = Router {
        suppress_envoy_headers: true,
        ..Router::default()
    };
    let mut filters = spec.filters;
    filters.push(http_filter("envoy.filters.http.router", any(&router)));
    let mut http = HttpConnectionManager {
        codec_type: manager::CodecType::Auto.into(),
        stat_prefix: spec.stat_prefix,
        http_filters: filters,
        access_log: spec.access_log,
        route_specifier: Some(manager::RouteSpecifier::Rds(Rds {
            config_source: Some(ads()),
            route_config_name: spec.routes,
        })),
        common_http_protocol_options: Some(HttpProtocolOptions {
            headers_with_underscores_action: HeadersWithUnderscoresAction::RejectRequest.into(),
            ..HttpProtocolOptions::default()
        }),
        http2_protocol_options: Some(http2()),
        // Envoy's own name, times and hints are nobody's business.
        server_header_transformation: manager::ServerHeaderTransformation::PassThrough.into(),
        normalize_path: boolean(true),
        merge_slashes: true,
        path_with_escaped_slashes_action: manager::PathWithEscapedSlashesAction::RejectRequest
            .into(),
        strip_trailing_host_dot: true,
        request_headers_timeout: Some(duration(HEADERS)),
        stream_idle_timeout: Some(duration(STREAM_IDLE)),
        use_remote_address: boolean(false),
        // Present and empty: no peer counts as internal, so `x-envoy-*` headers of requests are removed.
        internal_address_config: Some(manager::InternalAddressConfig::default()),
        forward_client_cert_details: manager::ForwardClientCertDetails::Sanitize.into(),
        ..HttpConnectionManager::default()
    };
    if let Some(side) = spec.mesh_side {
        if side.knows_callers {
            let set = manager::ForwardClientCertDetails::SanitizeSet;
            http.forward_client_cert_details = set.into();
            http.set_current_client_cert_details = Some(manager::SetCurrentClientCertDetails {
                uri: true,
                ..manager::SetCurrentClientCertDetails::default()
            });
        }
        http.access_log_options = side.told_every.map(|every| manager::HcmAccessLogOptions {
            access_log_flush_interval: Some(duration(every)),
            ..manager::HcmAccessLogOptions::default()
        });
        http.strip_port_mode = Some(manager::StripPortMode::StripAnyHostPort(true));
        if let Some(options) = &mut http.common_http_protocol_options {
            let at_most = max_connection_duration(side.leaf_lifetime);
            options.max_connection_duration = Some(duration(at_most));
        }
    }
    Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(any(&http))),
    }
}

fn upstream(
    common: HttpProtocolOptions,
    protocol: upstream::explicit_http_config::ProtocolConfig,
) -> Any {
    let explicit = upstream::ExplicitHttpConfig {
        protocol_config: Some(protocol),
    };
    any(&UpstreamOptions {
        common_http_protocol_options: Some(common),
        upstream_protocol_options: Some(upstream::UpstreamProtocolOptions::ExplicitHttpConfig(
            explicit,
        )),
        ..UpstreamOptions::default()
    })
}

/// Between proxies: HTTP/2, whatever the applications speak.
pub(crate) fn mesh_hop(leaf_lifetime: Time) -> Any {
    use upstream::explicit_http_config::ProtocolConfig;
    let common = HttpProtocolOptions {
        max_connection_duration: Some(duration(max_connection_duration(leaf_lifetime))),
        ..HttpProtocolOptions::default()
    };
    upstream(common, ProtocolConfig::Http2ProtocolOptions(http2()))
}

/// The same where each connection of an application has one of its own: none waits for another that nobody reads from.
pub(crate) fn mesh_hop_each(leaf_lifetime: Time) -> Any {
    use upstream::explicit_http_config::ProtocolConfig;
    let common = HttpProtocolOptions {
        max_connection_duration: Some(duration(max_connection_duration(leaf_lifetime))),
        max_requests_per_connection: number(1),
        ..HttpProtocolOptions::default()
    };
    upstream(common, ProtocolConfig::Http2ProtocolOptions(http2()))
}

/// From a proxy to its application: what the application speaks.
pub(crate) fn application(is_http2: bool) -> Any {
    use upstream::explicit_http_config::ProtocolConfig;
    if is_http2 {
        let protocol = ProtocolConfig::Http2ProtocolOptions(http2());
        return upstream(HttpProtocolOptions::default(), protocol);
    }
    let common = HttpProtocolOptions {
        idle_timeout: Some(duration(APPLICATION_IDLE)),
        ..HttpProtocolOptions::default()
    };
    let protocol = ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default());
    upstream(common, protocol)
}
