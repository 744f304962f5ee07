//! Every resource that was ever received, once: thousands of proxies that get the same bytes share one entry.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::ClusterDiscoveryType;
use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType as FilterConfig;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, UpstreamTlsContext,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use prost::Message as _;

use crate::moves::Move;
use crate::wire::{Kind, Malformed, Protocol, fields};

/// A resource as far as a client needs it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    /// Delta only.
    pub(crate) version: String,
    /// What it makes an Envoy ask for.
    pub(crate) refers: Vec<(Kind, Arc<str>)>,
    /// Of endpoints: how many.
    pub(crate) endpoints: Option<usize>,
    /// Of endpoints: those who move, and where they are.
    pub(crate) moves: Vec<Move>,
}

/// The shared entries, found by the hash of their bytes.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    entries: RwLock<HashMap<u64, Arc<Entry>>>,
}

impl Catalogue {
    /// The entry of a resource; decoded when its bytes are seen for the first time.
    pub(crate) fn entry(
        &self,
        protocol: Protocol,
        kind: Kind,
        bytes: &Bytes,
    ) -> Result<Arc<Entry>, Malformed> {
        let hash = foldhash::quality::FixedState::default().hash_one((kind as u8, bytes.as_ref()));
        if let Some(entry) = self
            .entries
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(&hash)
        {
            return Ok(entry.clone());
        }
        let entry = Arc::new(read(protocol, kind, bytes)?);
        let mut entries = self
            .entries
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(entries.entry(hash).or_insert(entry).clone())
    }
}

fn read(protocol: Protocol, kind: Kind, bytes: &Bytes) -> Result<Entry, Malformed> {
    let (mut name, mut version, mut any) = (String::new(), String::new(), None);
    match protocol {
        Protocol::Delta => fields(bytes.clone(), |tag, field| match tag {
            1 => version = String::from_utf8_lossy(&field).into_owned(),
            2 => any = Some(field),
            3 => name = String::from_utf8_lossy(&field).into_owned(),
            _ => {}
        })?,
        Protocol::Sotw => any = Some(bytes.clone()),
    }
    let mut value = Bytes::new();
    if let Some(any) = any {
        fields(any, |tag, field| {
            if tag == 2 {
                value = field;
            }
        })?;
    }
    if name.is_empty() {
        // The name is the first field of every resource that there is.
        fields(value.clone(), |tag, field| {
            if tag == 1 {
                name = String::from_utf8_lossy(&field).into_owned();
            }
        })?;
    }
    let (endpoints, moves) = match kind {
        Kind::Endpoints => {
            let assignment = ClusterLoadAssignment::decode(value.clone())?;
            let each = assignment.endpoints.iter().map(|l| l.lb_endpoints.len());
            (Some(each.sum()), moves(&assignment))
        }
        _ => (None, Vec::new()),
    };
    let refers = match kind {
        Kind::Cluster => cluster(&Cluster::decode(value)?),
        Kind::Listener => listener(&Listener::decode(value)?),
        Kind::Endpoints | Kind::Route | Kind::Secret => Vec::new(),
    };
    Ok(Entry {
        name: name.into(),
        version,
        refers,
        endpoints,
        moves,
    })
}

fn moves(assignment: &ClusterLoadAssignment) -> Vec<Move> {
    let endpoints = assignment.endpoints.iter().flat_map(|l| &l.lb_endpoints);
    let addresses = endpoints.filter_map(|endpoint| {
        let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else {
            return None;
        };
        match endpoint.address.as_ref()?.address.as_ref()? {
            Address::SocketAddress(socket) => Move::at(&socket.address),
            _ => None,
        }
    });
    addresses.collect()
}

fn cluster(cluster: &Cluster) -> Vec<(Kind, Arc<str>)> {
    let mut refers = Vec::new();
    // 3: EDS.
    if matches!(
        cluster.cluster_discovery_type,
        Some(ClusterDiscoveryType::Type(3))
    ) {
        let eds = cluster.eds_cluster_config.as_ref();
        let name = eds
            .map(|eds| eds.service_name.as_str())
            .filter(|name| !name.is_empty());
        refers.push((Kind::Endpoints, name.unwrap_or(&cluster.name).into()));
    }
    secrets(cluster.transport_socket.as_ref(), false, &mut refers);
    for one in &cluster.transport_socket_matches {
        secrets(one.transport_socket.as_ref(), false, &mut refers);
    }
    refers
}

fn listener(listener: &Listener) -> Vec<(Kind, Arc<str>)> {
    let mut refers = Vec::new();
    let chains = listener
        .filter_chains
        .iter()
        .chain(listener.default_filter_chain.as_ref());
    for chain in chains {
        secrets(chain.transport_socket.as_ref(), true, &mut refers);
        for filter in &chain.filters {
            let Some(FilterConfig::TypedConfig(any)) = &filter.config_type else {
                continue;
            };
            if !any.type_url.ends_with(".HttpConnectionManager") {
                continue;
            }
            let manager = HttpConnectionManager::decode(any.value.as_slice());
            if let Some(RouteSpecifier::Rds(rds)) = manager.ok().and_then(|m| m.route_specifier) {
                refers.push((Kind::Route, rds.route_config_name.as_str().into()));
            }
        }
    }
    refers
}

fn secrets(socket: Option<&TransportSocket>, downstream: bool, refers: &mut Vec<(Kind, Arc<str>)>) {
    let Some(SocketConfig::TypedConfig(any)) = socket.and_then(|s| s.config_type.as_ref()) else {
        return;
    };
    let bytes = any.value.as_slice();
    let common: Option<CommonTlsContext> = match downstream {
        true => DownstreamTlsContext::decode(bytes)
            .ok()
            .and_then(|c| c.common_tls_context),
        false => UpstreamTlsContext::decode(bytes)
            .ok()
            .and_then(|c| c.common_tls_context),
    };
    let Some(common) = common else {
        return;
    };
    let own = common
        .tls_certificate_sds_secret_configs
        .iter()
        .map(|s| s.name.clone());
    let roots = match common.validation_context_type {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(sds)) => Some(sds.name),
        Some(ValidationContextType::CombinedValidationContext(combined)) => combined
            .validation_context_sds_secret_config
            .map(|sds| sds.name),
        _ => None,
    };
    refers.extend(own.chain(roots).map(|name| (Kind::Secret, Arc::from(name))));
}
