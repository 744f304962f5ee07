//! Where the control plane is and how a proxy proves itself there: equal in every bootstrap and overlay.

use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::socket;
use crate::naming;

/// Longest pause between two attempts to reach the control plane. Envoy's default of 30 s left proxies without
/// it for half a minute after it was back.
const MAX_BACK_OFF: &str = "5s";
const BASE_BACK_OFF: &str = "0.5s";
/// Makes a stream of gRPC's own client wait for the connection. By default it fails at once while there is none, and
/// what follows is Envoy's back-off between streams: up to 30 s, and a `retry_policy` changes it for `envoy_grpc` only.
/// A stream that waits begins with the connection, and how long that takes is in the channel's arguments.
const WAIT_FOR_READY: &str = r#"{"methodConfig":[{"name":[{}],"waitForReady":true}]}"#;
/// How long Envoy waits for its first configuration before it goes on without. Never `0s`, which is for ever.
const INITIAL_FETCH: &str = "5s";
/// The largest message that the control plane may send over gRPC's own client.
const MAX_MESSAGE_BYTES: u32 = 16 << 20;

/// Where the control plane is, and how the proxy proves itself there.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// Its host: a DNS name or an IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The authorities that its certificate is checked against, as PEM.
    pub ca_pem: String,
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

impl ControlPlane {
    /// Writes the aggregated stream into a bootstrap, and the cluster that it needs, if it needs one.
    pub(super) fn write(&self, document: &mut Value) {
        let grpc = match &self.credential {
            Credential::Inline(token) => {
                document["static_resources"] = json!({"clusters": [cluster(self)]});
                envoy_grpc(self, token)
            }
            Credential::File(path) => google_grpc(self, path),
        };
        document["dynamic_resources"]["ads_config"] = json!({
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [grpc],
        });
    }
}

/// A source of configuration: the aggregated stream, waited for as long as at the start of a proxy.
pub(super) fn by_ads() -> Value {
    json!({
        "resource_api_version": "V3",
        "ads": {},
        "initial_fetch_timeout": INITIAL_FETCH,
    })
}

/// `host:port` of the control plane, as it stands in URIs.
fn authority(of: &ControlPlane) -> String {
    match of.host.parse() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", of.port),
        _ => format!("{}:{}", of.host, of.port),
    }
}

fn envoy_grpc(of: &ControlPlane, token: &SecretString) -> Value {
    let value = format!("Bearer {}", token.expose_secret());
    json!({
        "envoy_grpc": {
            "cluster_name": naming::XDS,
            // Envoy would send the cluster's name, which has a slash and is no authority.
            "authority": authority(of),
            "retry_policy": {"retry_back_off":
                {"base_interval": BASE_BACK_OFF, "max_interval": MAX_BACK_OFF}},
        },
        "initial_metadata": [{"key": "authorization", "value": value}],
    })
}

/// The control plane as a static cluster.
fn cluster(of: &ControlPlane) -> Value {
    let host = of.host.as_str();
    let ip: Option<IpAddr> = host.parse().ok();
    let san_type = if ip.is_some() { "IP_ADDRESS" } else { "DNS" };
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2",
                           "tls_maximum_protocol_version": "TLSv1_3"},
            "validation_context": {
                "trusted_ca": {"inline_string": of.ca_pem},
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
                [{"endpoint": {"address": socket(host, of.port)}}]}],
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

fn google_grpc(of: &ControlPlane, token_file: &str) -> Value {
    json!({
        "google_grpc": {
            "target_uri": authority(of),
            "stat_prefix": "heddle_xds",
            "channel_credentials": {"ssl_credentials":
                {"root_certs": {"inline_string": of.ca_pem}}},
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
            // gRPC's own back-off between connections: without these the gaps grow to two minutes.
            "channel_args": {"args": {
                "grpc.service_config": {"string_value": WAIT_FOR_READY},
                "grpc.initial_reconnect_backoff_ms": {"int_value": 500},
                // No pause, in spite of its name: how long an attempt may take, handshakes included.
                "grpc.min_reconnect_backoff_ms": {"int_value": 2000},
                "grpc.max_reconnect_backoff_ms": {"int_value": 5000},
                "grpc.keepalive_time_ms": {"int_value": 10000},
                "grpc.keepalive_timeout_ms": {"int_value": 5000},
                "grpc.max_receive_message_length": {"int_value": MAX_MESSAGE_BYTES},
            }},
        },
    })
}
