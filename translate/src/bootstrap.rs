//! The file that a stock Envoy starts with: who it is, where the control plane is, how it proves itself.
//!
//! What it says about time decides how fast a proxy is back after the control plane was away, and how long it
//! waits for it at its own start; the figures are measured, not guessed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use heddle_model::name::Name;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::naming;

/// Longest pause between two attempts to reach the control plane. Envoy's default of 30 s left proxies without
/// it for half a minute after it was back.
const MAX_BACK_OFF: &str = "5s";
const BASE_BACK_OFF: &str = "0.5s";
/// How long Envoy waits for its first configuration before it goes on without. Never `0s`, which is for ever.
const INITIAL_FETCH: &str = "5s";
/// Connections that clients may hold open at once, over all listeners.
const MAX_DOWNSTREAM_CONNECTIONS: u32 = 50_000;
/// The largest message that the control plane may send over gRPC's own client.
const MAX_MESSAGE_BYTES: u32 = 16 << 20;

/// Everything that a bootstrap says.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The organisation's name; a label of the proxy's statistics.
    pub org: String,
    /// The mesh's name; a label of the proxy's statistics.
    pub mesh: Name,
    /// The service, which becomes `node.cluster`.
    pub service: Name,
    /// The proxy's name within the service, which becomes `node.id`.
    pub node_id: String,
    /// The version of the service that the application is, if it says so.
    pub version: Option<Name>,
    /// Where the proxy's listeners bind.
    pub bind_address: IpAddr,
    /// Where other proxies reach it.
    pub advertise_address: IpAddr,
    /// Where the application listens.
    pub app_address: IpAddr,
    /// The port of the inbound listener of each port of the service.
    pub inbound_ports: BTreeMap<Name, u16>,
    /// The port of the outbound listener.
    pub outbound_port: u16,
    /// Where Envoy's admin interface listens.
    pub admin_address: IpAddr,
    /// The port of it.
    pub admin_port: u16,
    /// The control plane's host: a DNS name or an IP address.
    pub xds_host: String,
    /// The control plane's port.
    pub xds_port: u16,
    /// The authorities that the control plane's certificate is checked against, as PEM.
    pub xds_ca_pem: String,
    /// The join token, or where it is.
    pub credential: Credential,
}

/// How the proxy gets at its join token.
#[derive(Debug, Clone)]
pub enum Credential {
    /// It stands in the bootstrap. Envoy's own gRPC client sends it.
    Inline(SecretString),
    /// It stands in this file, which is read again at each connection: it can be replaced without a restart.
    /// Only the Google gRPC client can do that.
    File(String),
}

/// The bootstrap as JSON, which Envoy reads as it reads YAML. It contains the token if that is inlined.
#[must_use]
pub fn render(bootstrap: &Bootstrap) -> Value {
    let ads = |grpc: Value| {
        json!({
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [grpc],
        })
    };
    let by_ads = json!({
        "resource_api_version": "V3",
        "ads": {},
        "initial_fetch_timeout": INITIAL_FETCH,
    });
    let mut document = json!({
        "node": node(bootstrap),
        "admin": {"address": socket(&bootstrap.admin_address.to_string(), bootstrap.admin_port)},
        "dynamic_resources": {"cds_config": by_ads, "lds_config": by_ads},
        "stats_config": {"stats_tags": [
            {"tag_name": "heddle_org", "fixed_value": bootstrap.org},
            {"tag_name": "heddle_mesh", "fixed_value": bootstrap.mesh},
            {"tag_name": "heddle_service", "fixed_value": bootstrap.service},
        ]},
        "overload_manager": overload_manager(),
    });
    let ads_config = match &bootstrap.credential {
        Credential::Inline(token) => {
            document["static_resources"] = json!({"clusters": [control_plane(bootstrap)]});
            ads(envoy_grpc(bootstrap, token))
        }
        Credential::File(path) => ads(google_grpc(bootstrap, path)),
    };
    document["dynamic_resources"]["ads_config"] = ads_config;
    document
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn node(bootstrap: &Bootstrap) -> Value {
    let mut heddle = json!({
        "bind_address": bootstrap.bind_address,
        "advertise_address": bootstrap.advertise_address,
        "app_address": bootstrap.app_address,
        "outbound_port": bootstrap.outbound_port,
        "inbound_ports": bootstrap.inbound_ports,
    });
    if let Some(version) = &bootstrap.version {
        heddle["version"] = json!(version);
    }
    json!({
        "id": bootstrap.node_id,
        "cluster": bootstrap.service,
        "metadata": {"heddle": heddle},
    })
}

fn overload_manager() -> Value {
    json!({"resource_monitors": [{
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.\
                      downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": MAX_DOWNSTREAM_CONNECTIONS,
        },
    }]})
}

fn retry_policy() -> Value {
    json!({"retry_back_off": {"base_interval": BASE_BACK_OFF, "max_interval": MAX_BACK_OFF}})
}

/// `host:port` of the control plane, as it stands in URIs.
fn authority(bootstrap: &Bootstrap) -> String {
    match bootstrap.xds_host.parse() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", bootstrap.xds_port),
        _ => format!("{}:{}", bootstrap.xds_host, bootstrap.xds_port),
    }
}

fn envoy_grpc(bootstrap: &Bootstrap, token: &SecretString) -> Value {
    let value = format!("Bearer {}", token.expose_secret());
    json!({
        "envoy_grpc": {
            "cluster_name": naming::XDS,
            // Envoy would send the cluster's name, which has a slash and is no authority.
            "authority": authority(bootstrap),
            "retry_policy": retry_policy(),
        },
        "initial_metadata": [{"key": "authorization", "value": value}],
    })
}

/// The control plane as a static cluster.
fn control_plane(bootstrap: &Bootstrap) -> Value {
    let host = bootstrap.xds_host.as_str();
    let ip: Option<IpAddr> = host.parse().ok();
    let san_type = if ip.is_some() { "IP_ADDRESS" } else { "DNS" };
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2",
                           "tls_maximum_protocol_version": "TLSv1_3"},
            "validation_context": {
                "trusted_ca": {"inline_string": bootstrap.xds_ca_pem},
                "match_typed_subject_alt_names":
                    [{"san_type": san_type, "matcher": {"exact": host}}],
            },
        },
    });
    if ip.is_none() {
        context["sni"] = json!(host);
    }
    let mut cluster = json!({
        "name": naming::XDS,
        "type": if ip.is_some() { "STATIC" } else { "STRICT_DNS" },
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": naming::XDS,
            "endpoints": [{"lb_endpoints":
                [{"endpoint": {"address": socket(host, bootstrap.xds_port)}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {
                    // Without probes a frozen control plane goes unnoticed.
                    "connection_keepalive": {"interval": "5s", "timeout": "2s"},
                }},
            },
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": context,
        },
    });
    if ip.is_none() {
        cluster["dns_lookup_family"] = json!("ALL");
    }
    cluster
}

/// Both the name of the credentials' factory and of the plug-in in it.
const PLUGIN: &str = "envoy.grpc_credentials.file_based_metadata";

fn google_grpc(bootstrap: &Bootstrap, token_file: &str) -> Value {
    json!({
        "google_grpc": {
            "target_uri": authority(bootstrap),
            "stat_prefix": "heddle_xds",
            "channel_credentials": {"ssl_credentials":
                {"root_certs": {"inline_string": bootstrap.xds_ca_pem}}},
            "credentials_factory_name": PLUGIN,
            "call_credentials": [{"from_plugin": {
                "name": PLUGIN,
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.\
                              FileBasedMetadataConfig",
                    "secret_data": {"filename": token_file},
                    "header_key": "authorization",
                    "header_prefix": "Bearer ",
                },
            }}],
            // gRPC's own back-off is not Envoy's: without these the gaps grow to 44 s.
            "channel_args": {"args": {
                "grpc.initial_reconnect_backoff_ms": {"int_value": 500},
                "grpc.min_reconnect_backoff_ms": {"int_value": 500},
                "grpc.max_reconnect_backoff_ms": {"int_value": 5000},
                "grpc.keepalive_time_ms": {"int_value": 10000},
                "grpc.keepalive_timeout_ms": {"int_value": 5000},
                "grpc.max_receive_message_length": {"int_value": MAX_MESSAGE_BYTES},
            }},
        },
        "retry_policy": retry_policy(),
    })
}
