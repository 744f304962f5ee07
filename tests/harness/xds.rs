//! A proxy without an Envoy: speaks delta ADS, so that a test can ask for anything.

use std::collections::BTreeMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::{BuildVersion, Node};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Request, Status, Streaming};

use crate::server::Server;

/// One delta ADS stream.
pub struct XdsClient {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    node: Option<Node>,
}

fn text(value: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(value.to_owned())),
    }
}

fn number(value: u16) -> Value {
    Value {
        kind: Some(Kind::NumberValue(f64::from(value))),
    }
}

fn object(fields: Vec<(&str, Value)>) -> Value {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Value {
        kind: Some(Kind::StructValue(Struct { fields })),
    }
}

/// A node as a bootstrap of ours describes it.
#[must_use]
pub fn node(id: &str, cluster: &str) -> Node {
    let heddle = object(vec![
        ("bind_address", text("127.0.0.1")),
        ("advertise_address", text("127.0.0.1")),
        ("app_address", text("127.0.0.1")),
        ("outbound_port", number(15001)),
        ("inbound_ports", object(vec![("http", number(15006))])),
    ]);
    let fields = [(String::from("heddle"), heddle)].into();
    Node {
        id: id.to_owned(),
        cluster: cluster.to_owned(),
        metadata: Some(Struct { fields }),
        ..Node::default()
    }
}

/// The same, by an Envoy of this release.
#[must_use]
pub fn node_of_release(id: &str, cluster: &str, (major, minor, patch): (u32, u32, u32)) -> Node {
    let version = SemanticVersion {
        major_number: major,
        minor_number: minor,
        patch,
    };
    let build = BuildVersion {
        version: Some(version),
        ..BuildVersion::default()
    };
    Node {
        user_agent_name: "envoy".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(build)),
        ..node(id, cluster)
    }
}

impl XdsClient {
    /// Opens a stream; the server may refuse it now or at the first request.
    ///
    /// # Errors
    /// What the server says.
    pub async fn connect(server: &Server, token: &str, node: Node) -> Result<Self, Status> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(server.xds_ca_pem()));
        let channel = Channel::from_shared(format!("https://127.0.0.1:{}", server.xds_port()))
            .expect("an address")
            .tls_config(tls)
            .expect("a TLS configuration")
            .connect()
            .await
            .expect("the xDS server can be reached");
        let (requests, receiver) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(receiver));
        if !token.is_empty() {
            let value = MetadataValue::try_from(format!("Bearer {token}")).expect("plain text");
            request.metadata_mut().insert("authorization", value);
        }
        // The first message may have to be there before the server answers with headers.
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let first = DeltaDiscoveryRequest {
            node: Some(node.clone()),
            type_url: String::from("type.googleapis.com/envoy.config.cluster.v3.Cluster"),
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(first).await.expect("the stream is open");
        let responses = client
            .delta_aggregated_resources(request)
            .await?
            .into_inner();
        Ok(Self {
            requests,
            responses,
            node: Some(node),
        })
    }

    /// Subscribes to names of a type (`envoy.config.cluster.v3.Cluster`).
    pub async fn subscribe(&mut self, kind: &str, names: &[&str]) {
        let request = DeltaDiscoveryRequest {
            type_url: format!("type.googleapis.com/{kind}"),
            resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests
            .send(request)
            .await
            .expect("the stream is open");
    }

    /// Reads and acknowledges until nothing came for `quiet`. Name to bytes, and the names said not to exist.
    ///
    /// # Errors
    /// The server closed the stream.
    pub async fn drain(
        &mut self,
        quiet: Duration,
    ) -> Result<(BTreeMap<String, Vec<u8>>, Vec<String>), Status> {
        let mut resources = BTreeMap::new();
        let mut removed = Vec::new();
        while let Ok(message) = tokio::time::timeout(quiet, self.responses.message()).await {
            let response = message?.ok_or_else(|| Status::unavailable("the stream ended"))?;
            for resource in response.resources {
                let body = resource.resource.map(|any| any.value).unwrap_or_default();
                resources.insert(resource.name, body);
            }
            removed.extend(response.removed_resources);
            let ack = DeltaDiscoveryRequest {
                type_url: response.type_url,
                response_nonce: response.nonce,
                node: self.node.take(),
                ..DeltaDiscoveryRequest::default()
            };
            let _ = self.requests.send(ack).await;
        }
        Ok((resources, removed))
    }
}
