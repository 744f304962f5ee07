//! A proxy without an Envoy that goes from server to server, and minds what it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Request, Streaming};

use crate::server::Server;

/// Clusters, endpoints, listeners and routes, in the order in which Envoy asks for them.
const TYPES: [&str; 4] = [
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
];
/// A server that does not answer for so long has lost something.
const PATIENCE: Duration = Duration::from_secs(20);

/// What it holds: type to name to version.
pub type Held = BTreeMap<String, BTreeMap<String, String>>;

/// What one connection brought.
#[derive(Debug, Default)]
pub struct Hop {
    /// The oldest revision that a response named, and the newest.
    pub revisions: Option<(u64, u64)>,
    /// How many resources came.
    pub resources: usize,
    /// Those that it had in that very version.
    pub unchanged: Vec<String>,
}

/// The names that follow from a resource.
type Pick = fn(&str, &[u8]) -> Vec<String>;

/// A delta client that remembers from connection to connection what it holds.
pub struct Hopper {
    token: String,
    node: Node,
    /// What it holds.
    pub held: Held,
    hops: u64,
}

/// An open stream.
pub struct Stay {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Hopper {
    /// One that holds nothing.
    #[must_use]
    pub fn new(token: &str, node: Node) -> Self {
        Self {
            token: token.to_owned(),
            node,
            held: Held::new(),
            hops: 0,
        }
    }

    /// Connects, says what it holds, and takes what it is sent until it has everything. What was read can be trusted: each type is
    /// asked for a name that nobody has, and the answer to that comes after everything that is due.
    pub async fn hop(&mut self, server: &Server) -> (Hop, Stay) {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(server.xds_ca_pem()));
        let channel = Channel::from_shared(format!("https://127.0.0.1:{}", server.xds_port()))
            .expect("an address")
            .tls_config(tls)
            .expect("a TLS configuration")
            .connect()
            .await
            .expect("the xDS server can be reached");
        self.hops += 1;
        let (requests, receiver) = mpsc::channel(64);
        let mut request = Request::new(ReceiverStream::new(receiver));
        let value = format!("Bearer {}", self.token);
        let value = MetadataValue::try_from(value).expect("plain text");
        request.metadata_mut().insert("authorization", value);
        for kind in TYPES {
            let first = self.first(kind);
            requests.send(first).await.expect("the stream is open");
        }
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let responses = client.delta_aggregated_resources(request).await;
        let responses = responses.expect("the stream is let in").into_inner();
        let mut stay = Stay {
            requests,
            responses,
        };
        let mut hop = Hop::default();
        let mut open: Vec<&str> = TYPES.to_vec();
        let mut asked = BTreeSet::new();
        while !(open.is_empty() && asked.is_empty()) {
            let response = stay.next().await;
            let nobody = self.nobody();
            if response.removed_resources.contains(&nobody) {
                open.retain(|kind| *kind != response.type_url);
            }
            self.take(&response, &mut hop);
            let came = response.resources.iter().map(|resource| &resource.name);
            for name in came.chain(&response.removed_resources) {
                asked.remove(&(response.type_url.clone(), name.clone()));
            }
            if let Some((kind, names)) = self.wanted_by(&response) {
                asked.extend(names.iter().map(|name| (kind.to_owned(), name.clone())));
                stay.subscribe(kind, names).await;
            }
        }
        (hop, stay)
    }

    /// Waits on an open stream until a response of at least this revision came.
    pub async fn until_revision(&mut self, stay: &mut Stay, revision: u64) {
        let mut hop = Hop::default();
        while hop.revisions.is_none_or(|(_, newest)| newest < revision) {
            let response = stay.next().await;
            self.take(&response, &mut hop);
        }
    }

    fn nobody(&self) -> String {
        format!("nobody-{}", self.hops)
    }

    fn first(&self, kind: &str) -> DeltaDiscoveryRequest {
        let held = self.held.get(kind).cloned().unwrap_or_default();
        let mut names = vec![self.nobody()];
        if kind.ends_with(".Cluster") || kind.ends_with(".Listener") {
            names.push(String::from("*"));
        } else {
            names.extend(held.keys().cloned());
        }
        DeltaDiscoveryRequest {
            node: Some(self.node.clone()),
            type_url: kind.to_owned(),
            resource_names_subscribe: names,
            initial_resource_versions: held.into_iter().collect(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn take(&mut self, response: &DeltaDiscoveryResponse, hop: &mut Hop) {
        if let Ok(revision) = response.system_version_info.parse::<u64>() {
            let (oldest, newest) = hop.revisions.unwrap_or((revision, revision));
            hop.revisions = Some((oldest.min(revision), newest.max(revision)));
        }
        let held = self.held.entry(response.type_url.clone()).or_default();
        for resource in &response.resources {
            hop.resources += 1;
            let (name, version) = (resource.name.clone(), resource.version.clone());
            if held.insert(name, version.clone()).as_ref() == Some(&version) {
                hop.unchanged.push(resource.name.clone());
            }
        }
        for name in &response.removed_resources {
            held.remove(name);
        }
    }

    /// What follows from clusters and listeners and is not held yet: their endpoints and routes.
    fn wanted_by(&self, response: &DeltaDiscoveryResponse) -> Option<(&'static str, Vec<String>)> {
        let (of, pick): (&'static str, Pick) = match response.type_url.as_str() {
            kind if kind == TYPES[0] => (TYPES[1], endpoints_of),
            kind if kind == TYPES[2] => (TYPES[3], routes_of),
            _ => return None,
        };
        let held = self.held.get(of);
        let mut names = Vec::new();
        for resource in &response.resources {
            let body = resource.resource.as_ref().map(|any| any.value.as_slice());
            names.extend(pick(&resource.name, body.unwrap_or_default()));
        }
        names.retain(|name| held.is_none_or(|held| !held.contains_key(name)));
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then_some((of, names))
    }
}

fn endpoints_of(name: &str, body: &[u8]) -> Vec<String> {
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use prost::Message as _;
    let cluster = Cluster::decode(body).expect("a cluster");
    let eds = cluster
        .eds_cluster_config
        .map(|eds| match eds.service_name {
            own if own.is_empty() => name.to_owned(),
            other => other,
        });
    eds.into_iter().collect()
}

fn routes_of(_: &str, body: &[u8]) -> Vec<String> {
    use envoy_types::pb::envoy::config::listener::v3::Listener;
    use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
    use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, http_connection_manager::RouteSpecifier,
    };
    use prost::Message as _;
    let listener = Listener::decode(body).expect("a listener");
    let chains = listener.filter_chains.into_iter();
    let chains = chains.chain(listener.default_filter_chain);
    let filters = chains.flat_map(|chain| chain.filters);
    filters
        .filter_map(|filter| match filter.config_type {
            Some(ConfigType::TypedConfig(any))
                if any.type_url.ends_with(".HttpConnectionManager") =>
            {
                let manager = HttpConnectionManager::decode(any.value.as_slice()).ok()?;
                match manager.route_specifier {
                    Some(RouteSpecifier::Rds(rds)) => Some(rds.route_config_name),
                    _ => None,
                }
            }
            _ => None,
        })
        .collect()
}

impl Stay {
    async fn next(&mut self) -> DeltaDiscoveryResponse {
        let message = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        let response = message
            .expect("the server answers")
            .expect("the stream goes on")
            .expect("the stream does not end");
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        let _gone = self.requests.send(ack).await;
        response
    }

    async fn subscribe(&self, kind: &str, names: Vec<String>) {
        let request = DeltaDiscoveryRequest {
            type_url: kind.to_owned(),
            resource_names_subscribe: names,
            ..DeltaDiscoveryRequest::default()
        };
        self.requests
            .send(request)
            .await
            .expect("the stream is open");
    }

    /// How the stream ends, within this time.
    ///
    /// # Panics
    /// It does not.
    pub async fn ended(mut self, within: Duration) -> tonic::Code {
        let end = async {
            loop {
                match self.responses.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return tonic::Code::Ok,
                    Err(status) => return status.code(),
                }
            }
        };
        tokio::time::timeout(within, end)
            .await
            .expect("the stream ends in time")
    }
}
