//! Mutual TLS between the proxies of a mesh. Never resumed: a resumed session would carry a peer past the checks that its
//! certificate no longer passes. And how plain text is told from it where a port takes both.

use envoy_types::pb::envoy::config::listener::v3::{
    FilterChainMatch, ListenerFilter, listener_filter,
};
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
    SubjectAltNameMatcher, TlsParameters, UpstreamTlsContext, common_tls_context,
    downstream_tls_context::SessionTicketKeysType, subject_alt_name_matcher::SanType,
    tls_parameters::TlsProtocol,
};

use super::core::{TransportSocket, transport_socket};
use super::{ads, boolean, core, exact, inline_string, matcher, number, prefix};
use crate::naming;
use crate::resource::any;

fn secret(name: &str) -> SdsSecretConfig {
    SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(ads()),
    }
}

fn params() -> TlsParameters {
    TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        ..TlsParameters::default()
    }
}

/// Own certificate and the mesh's roots by SDS; the peer's URI by a typed matcher, so that a DNS name which
/// looks like a SPIFFE id is not one.
fn common(peer: matcher::StringMatcher, alpn: &[&str]) -> CommonTlsContext {
    let validation = common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: vec![SubjectAltNameMatcher {
                san_type: SanType::Uri.into(),
                matcher: Some(peer),
                ..SubjectAltNameMatcher::default()
            }],
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(secret(naming::TRUST)),
        ..common_tls_context::CombinedCertificateValidationContext::default()
    };
    CommonTlsContext {
        tls_params: Some(params()),
        alpn_protocols: alpn.iter().map(|p| (*p).to_owned()).collect(),
        tls_certificate_sds_secret_configs: vec![secret(naming::IDENTITY)],
        validation_context_type: Some(
            common_tls_context::ValidationContextType::CombinedValidationContext(validation),
        ),
        ..CommonTlsContext::default()
    }
}

fn socket<M: prost::Message + prost::Name>(context: &M) -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(context))),
    }
}

/// The caller's side: the callee must have exactly this SPIFFE id.
pub(crate) fn upstream(callee: &str, server_name: String) -> TransportSocket {
    socket(&UpstreamTlsContext {
        common_tls_context: Some(common(exact(callee), &["h2"])),
        sni: server_name,
        max_session_keys: number(0),
        ..UpstreamTlsContext::default()
    })
}

/// A server outside the mesh, with a certificate for its host by one of these authorities.
pub(crate) fn outside(host: &str, authorities: core::DataSource) -> TransportSocket {
    let (san_type, sni) = by_host(host);
    let validation = CertificateValidationContext {
        trusted_ca: Some(authorities),
        match_typed_subject_alt_names: vec![SubjectAltNameMatcher {
            san_type: san_type.into(),
            matcher: Some(exact(host)),
            ..SubjectAltNameMatcher::default()
        }],
        ..CertificateValidationContext::default()
    };
    socket(&UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(params()),
            alpn_protocols: vec!["http/1.1".to_owned()],
            validation_context_type: Some(
                common_tls_context::ValidationContextType::ValidationContext(validation),
            ),
            ..CommonTlsContext::default()
        }),
        sni,
        ..UpstreamTlsContext::default()
    })
}

/// The control plane, which is checked as the bootstrap has it checked, and is shown who this proxy is in its mesh.
pub(crate) fn control_plane(host: &str, authorities: &str) -> TransportSocket {
    let (san_type, sni) = by_host(host);
    let validation = CertificateValidationContext {
        trusted_ca: Some(inline_string(authorities)),
        match_typed_subject_alt_names: vec![SubjectAltNameMatcher {
            san_type: san_type.into(),
            matcher: Some(exact(host)),
            ..SubjectAltNameMatcher::default()
        }],
        ..CertificateValidationContext::default()
    };
    socket(&UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(params()),
            alpn_protocols: vec!["h2".to_owned()],
            tls_certificate_sds_secret_configs: vec![secret(naming::IDENTITY)],
            validation_context_type: Some(
                common_tls_context::ValidationContextType::ValidationContext(validation),
            ),
            ..CommonTlsContext::default()
        }),
        sni,
        max_session_keys: number(0),
        ..UpstreamTlsContext::default()
    })
}

/// As what a certificate names a host, and what is said when it is called.
fn by_host(host: &str) -> (SanType, String) {
    match host.parse::<std::net::IpAddr>() {
        Ok(_) => (SanType::IpAddress, String::new()),
        Err(_) => (SanType::Dns, host.to_owned()),
    }
}

/// The callee's side: the caller must have a certificate of this mesh's trust domain.
pub(crate) fn downstream(trust_domain: &str) -> TransportSocket {
    let peer = prefix(naming::spiffe_prefix(trust_domain));
    socket(&DownstreamTlsContext {
        common_tls_context: Some(common(peer, &["h2", "http/1.1"])),
        require_client_certificate: boolean(true),
        disable_stateful_session_resumption: true,
        session_ticket_keys_type: Some(SessionTicketKeysType::DisableStatelessSessionResumption(
            true,
        )),
        ..DownstreamTlsContext::default()
    })
}

/// Looks at the first bytes of a connection, so that its filter chain can be chosen by what they are.
pub(crate) fn inspector() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(any(
            &TlsInspector::default(),
        ))),
        ..ListenerFilter::default()
    }
}

/// Connections that begin as TLS does.
pub(crate) fn in_tls() -> FilterChainMatch {
    by_transport("tls")
}

/// All others.
pub(crate) fn in_plain_text() -> FilterChainMatch {
    by_transport("raw_buffer")
}

fn by_transport(protocol: &str) -> FilterChainMatch {
    FilterChainMatch {
        transport_protocol: protocol.to_owned(),
        ..FilterChainMatch::default()
    }
}
