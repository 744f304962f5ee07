//! A delta client that does what Envoy does: asks in Envoy's order, follows references, acknowledges.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node as PbNode;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind as ValueKind};
use envoy_types::pb::google::rpc::Status as PbStatus;
use heddle_xds_server::engine::kind::Kind;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::world::World;

/// What a bootstrap of ours makes an Envoy say.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) service: String,
    pub(crate) id: String,
    pub(crate) cluster: String,
    pub(crate) address: String,
}

impl Node {
    /// A proxy of this service; its token names the service, the node only its own id.
    pub(crate) fn new(service: &str, id: &str, address: &str) -> Self {
        Self {
            service: service.to_owned(),
            id: id.to_owned(),
            cluster: String::new(),
            address: address.to_owned(),
        }
    }

    pub(crate) fn message(&self) -> PbNode {
        let text = |text: &str| ValueKind::StringValue(text.to_owned());
        let object = |fields: Vec<(&str, ValueKind)>| {
            let field = |(name, kind): (&str, ValueKind)| {
                let value = Value { kind: Some(kind) };
                (name.to_owned(), value)
            };
            Struct {
                fields: fields.into_iter().map(field).collect(),
            }
        };
        let ports = object(vec![("http", ValueKind::NumberValue(15006.0))]);
        let heddle = object(vec![
            ("bind_address", text(&self.address)),
            ("advertise_address", text(&self.address)),
            ("app_address", text("127.0.0.1")),
            ("outbound_port", ValueKind::NumberValue(15001.0)),
            ("inbound_ports", ValueKind::StructValue(ports)),
        ]);
        PbNode {
            id: self.id.clone(),
            cluster: self.cluster.clone(),
            metadata: Some(object(vec![("heddle", ValueKind::StructValue(heddle))])),
            ..PbNode::default()
        }
    }
}

/// What it has of one resource.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) version: String,
    pub(crate) content: Vec<u8>,
}

/// One stream.
pub(crate) struct Ads {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    pub(crate) held: BTreeMap<Kind, BTreeMap<String, Held>>,
    pub(crate) names: BTreeMap<Kind, BTreeSet<String>>,
    barriers: usize,
    service: String,
}

pub(crate) async fn channel(world: &World) -> Channel {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&world.ca))
        .domain_name("localhost");
    Endpoint::from_shared(format!("https://{}", world.address))
        .unwrap()
        .tls_config(tls)
        .unwrap()
        // As small as Envoy might choose: what is not read fills them.
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535)
        .connect()
        .await
        .unwrap()
}

pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

impl Ads {
    /// Opens a stream whose first message asks for all clusters.
    pub(crate) async fn open(world: &World, token: &str, node: &Node) -> Result<Self, Status> {
        let first = DeltaDiscoveryRequest {
            node: Some(node.message()),
            type_url: Kind::Cluster.type_url().to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        Self::open_with(world, token, &node.service, first).await
    }

    pub(crate) async fn open_with(
        world: &World,
        token: &str,
        service: &str,
        first: DeltaDiscoveryRequest,
    ) -> Result<Self, Status> {
        let (requests, outgoing) = mpsc::channel(64);
        requests.send(first).await.unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(channel(world).await);
        let request = with_token(ReceiverStream::new(outgoing), token);
        let responses = client
            .delta_aggregated_resources(request)
            .await?
            .into_inner();
        Ok(Self {
            requests,
            responses,
            held: BTreeMap::new(),
            names: BTreeMap::new(),
            barriers: 0,
            service: service.to_owned(),
        })
    }

    /// A new stream of the same Envoy: it says what it has.
    pub(crate) async fn resume(self, world: &World, token: &str, node: &Node) -> Self {
        let versions = |kind: Kind| -> HashMap<String, String> {
            let held = self.held.get(&kind).into_iter().flatten();
            held.map(|(name, held)| (name.clone(), held.version.clone()))
                .collect()
        };
        let first = DeltaDiscoveryRequest {
            node: Some(node.message()),
            type_url: Kind::Cluster.type_url().to_owned(),
            initial_resource_versions: versions(Kind::Cluster),
            ..DeltaDiscoveryRequest::default()
        };
        let mut ads = Self::open_with(world, token, &node.service, first)
            .await
            .unwrap();
        for kind in &Kind::ALL[1..] {
            let names = self
                .names
                .get(kind)
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            let request = DeltaDiscoveryRequest {
                type_url: kind.type_url().to_owned(),
                resource_names_subscribe: names,
                initial_resource_versions: versions(*kind),
                ..DeltaDiscoveryRequest::default()
            };
            ads.requests.send(request).await.unwrap();
        }
        ads.held = self.held;
        ads.names = self.names;
        ads
    }

    pub(crate) async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, kind: Kind, names: impl IntoIterator<Item = String>) {
        let known = self.names.entry(kind).or_default();
        let new: Vec<_> = names
            .into_iter()
            .filter(|name| known.insert(name.clone()))
            .collect();
        if new.is_empty() && kind != Kind::Listener {
            return;
        }
        let request = DeltaDiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: new,
            ..DeltaDiscoveryRequest::default()
        };
        self.send(request).await;
    }

    /// The next response; not applied, not answered.
    pub(crate) async fn receive(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.responses.message());
        let message = next.await.expect("a response comes");
        message.and_then(|message| message.ok_or_else(|| Status::ok("the stream ended")))
    }

    /// How the stream ends.
    pub(crate) async fn end(mut self) -> Status {
        loop {
            if let Err(status) = self.receive().await {
                return status;
            }
        }
    }

    pub(crate) async fn answer(&self, response: &DeltaDiscoveryResponse, error: Option<&str>) {
        let error_detail = error.map(|message| PbStatus {
            code: 13,
            message: message.to_owned(),
            ..PbStatus::default()
        });
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail,
            ..DeltaDiscoveryRequest::default()
        };
        self.send(request).await;
    }

    /// Takes the next response as Envoy would. Returns it in short form: "cds heddle/a/http -heddle/b/http".
    pub(crate) async fn step(&mut self) -> String {
        let response = self.receive().await.unwrap();
        let kind = Kind::from_type_url(&response.type_url).unwrap();
        let mut text = kind.short().to_owned();
        let held = self.held.entry(kind).or_default();
        for resource in &response.resources {
            text.push_str(&format!(" {}", resource.name));
            let any = resource.resource.as_ref().unwrap();
            assert_eq!(any.type_url, kind.type_url());
            let content = Held {
                version: resource.version.clone(),
                content: any.value.clone(),
            };
            held.insert(resource.name.clone(), content);
        }
        for name in &response.removed_resources {
            text.push_str(&format!(" -{name}"));
            held.remove(name);
        }
        // Warming asks before the response is acknowledged, and clusters are acknowledged when they are warm.
        match kind {
            Kind::Cluster => {
                let eds = |r: &&_| !AsRef::<str>::as_ref(*r).starts_with("heddle-local");
                let names: Vec<String> =
                    response.resources.iter().map(|r| r.name.clone()).collect();
                let names: Vec<String> = names.iter().filter(eds).cloned().collect();
                self.subscribe(Kind::Endpoints, names).await;
                let secrets = ["heddle/identity", "heddle/trust"].map(str::to_owned);
                self.subscribe(Kind::Secret, secrets).await;
            }
            Kind::Listener => {
                let routes = response
                    .resources
                    .iter()
                    .map(|r| routes_of(&self.service, &r.name));
                let routes: Vec<String> = routes.collect();
                self.subscribe(Kind::Route, routes).await;
            }
            _ => {}
        }
        self.answer(&response, None).await;
        text
    }

    /// Takes responses until it has everything that a sidecar has.
    pub(crate) async fn load(&mut self) {
        self.step().await;
        self.subscribe(Kind::Listener, []).await;
        let complete = |ads: &Self| {
            let has = |kind: &Kind, names: &BTreeSet<String>| {
                let held = ads.held.get(kind);
                names
                    .iter()
                    .all(|name| held.is_some_and(|held| held.contains_key(name)))
            };
            ads.held.contains_key(&Kind::Listener)
                && ads.names.iter().all(|(kind, names)| has(kind, names))
        };
        while !complete(self) {
            self.step().await;
        }
    }

    /// Everything that the server had to say up to now: asks for something that does not exist and collects what
    /// comes before the answer.
    pub(crate) async fn drain(&mut self) -> Vec<String> {
        self.barriers += 1;
        let name = format!("barrier/{}", self.barriers);
        let request = DeltaDiscoveryRequest {
            type_url: Kind::Endpoints.type_url().to_owned(),
            resource_names_subscribe: vec![name.clone()],
            resource_names_unsubscribe: Vec::new(),
            ..DeltaDiscoveryRequest::default()
        };
        self.send(request).await;
        let mut seen = Vec::new();
        loop {
            let text = self.step().await;
            let rest = text.replace(&format!(" -{name}"), "");
            if rest == text {
                seen.push(text);
                continue;
            }
            if rest != "eds" {
                seen.push(rest);
            }
            return seen;
        }
    }

    pub(crate) fn version(&self, kind: Kind, name: &str) -> &str {
        &self.held[&kind][name].version
    }

    /// The addresses of a cluster, each with its health.
    pub(crate) fn endpoints(&self, cluster: &str) -> Vec<(String, i32)> {
        let held = &self.held[&Kind::Endpoints][cluster];
        let assignment = ClusterLoadAssignment::decode(&held.content[..]).unwrap();
        let mut found = Vec::new();
        for endpoint in assignment
            .endpoints
            .into_iter()
            .flat_map(|l| l.lb_endpoints)
        {
            let Some(HostIdentifier::Endpoint(host)) = endpoint.host_identifier else {
                panic!("an endpoint without an address");
            };
            let address = format!("{:?}", host.address.unwrap());
            let ip = address.split('"').nth(1).unwrap().to_owned();
            found.push((ip, endpoint.health_status));
        }
        found
    }

    /// Takes responses until the cluster has these endpoints.
    pub(crate) async fn until_endpoints(&mut self, cluster: &str, expected: &[(&str, i32)]) {
        loop {
            let now = self.endpoints(cluster);
            let now: Vec<_> = now
                .iter()
                .map(|(ip, health)| (ip.as_str(), *health))
                .collect();
            if now == expected {
                return;
            }
            self.step().await;
        }
    }
}

/// What the listener's `rds` refers to.
fn routes_of(service: &str, listener: &str) -> String {
    match listener.strip_prefix("heddle/inbound/") {
        Some(port) => format!("heddle/inbound/{service}/{port}"),
        None => listener.to_owned(),
    }
}
