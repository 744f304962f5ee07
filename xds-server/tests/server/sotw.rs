//! The state-of-the-world protocol over the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::google::rpc::Status as PbStatus;
use heddle_xds_server::engine::kind::Kind;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::client::{Node, channel, with_token};
use crate::world::World;

/// What a client has to repeat in every message.
#[derive(Debug, Clone, Default)]
struct Said {
    names: Vec<String>,
    version: String,
    nonce: String,
}

/// One stream.
struct StateAds {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
    said: BTreeMap<Kind, Said>,
}

impl StateAds {
    async fn open(world: &World, token: &str, node: &Node) -> Result<Self, Status> {
        let (requests, outgoing) = mpsc::channel(64);
        let first = DiscoveryRequest {
            node: Some(node.message()),
            type_url: Kind::Cluster.type_url().to_owned(),
            ..DiscoveryRequest::default()
        };
        Self::open_with(world, token, requests, outgoing, first).await
    }

    async fn open_with(
        world: &World,
        token: &str,
        requests: mpsc::Sender<DiscoveryRequest>,
        outgoing: mpsc::Receiver<DiscoveryRequest>,
        first: DiscoveryRequest,
    ) -> Result<Self, Status> {
        requests.send(first).await.unwrap();
        let mut client = AggregatedDiscoveryServiceClient::new(channel(world).await);
        let request = with_token(ReceiverStream::new(outgoing), token);
        let responses = client.stream_aggregated_resources(request).await?;
        Ok(Self {
            requests,
            responses: responses.into_inner(),
            said: BTreeMap::new(),
        })
    }

    /// A new stream of the same client.
    async fn resume(self, world: &World, token: &str, node: &Node) -> Self {
        let (requests, outgoing) = mpsc::channel(64);
        let first = DiscoveryRequest {
            node: Some(node.message()),
            type_url: Kind::Cluster.type_url().to_owned(),
            version_info: self.said[&Kind::Cluster].version.clone(),
            ..DiscoveryRequest::default()
        };
        let mut ads = Self::open_with(world, token, requests, outgoing, first)
            .await
            .unwrap();
        ads.said = self.said;
        for said in ads.said.values_mut() {
            said.nonce.clear();
        }
        for kind in &Kind::ALL[1..] {
            ads.send(*kind, None).await;
        }
        ads
    }

    async fn send(&mut self, kind: Kind, error: Option<&str>) {
        let said = self.said.entry(kind).or_default().clone();
        let request = DiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            resource_names: said.names,
            version_info: said.version,
            response_nonce: said.nonce,
            error_detail: error.map(|message| PbStatus {
                message: message.to_owned(),
                ..PbStatus::default()
            }),
            ..DiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    async fn want(&mut self, kind: Kind, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.said.entry(kind).or_default().names = names;
        self.send(kind, None).await;
    }

    async fn receive(&mut self) -> Result<DiscoveryResponse, Status> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.responses.message());
        let message = next.await.expect("a response comes");
        message.and_then(|message| message.ok_or_else(|| Status::ok("the stream ended")))
    }

    /// Takes the next response. Returns its type and how many resources it holds.
    async fn step(&mut self) -> (&'static str, usize) {
        let response = self.receive().await.unwrap();
        let kind = Kind::from_type_url(&response.type_url).unwrap();
        for resource in &response.resources {
            assert_eq!(resource.type_url, kind.type_url());
        }
        let said = self.said.entry(kind).or_default();
        said.version.clone_from(&response.version_info);
        said.nonce.clone_from(&response.nonce);
        self.send(kind, None).await;
        (kind.short(), response.resources.len())
    }

    /// Everything that a sidecar of a mesh of one service asks for, in Envoy's order.
    async fn load(&mut self) {
        assert_eq!(self.step().await, ("cds", 2));
        self.want(Kind::Endpoints, &["heddle/payments/http"]).await;
        assert_eq!(self.step().await, ("eds", 1));
        self.want(Kind::Listener, &[]).await;
        assert_eq!(self.step().await, ("lds", 2));
        let routes = ["heddle/outbound", "heddle/inbound/payments/http"];
        self.want(Kind::Route, &routes).await;
        assert_eq!(self.step().await, ("rds", 2));
        self.want(Kind::Secret, &["heddle/identity", "heddle/trust"])
            .await;
        // Trust may come first; and once it serves, it is an endpoint itself.
        let mut seen = BTreeMap::new();
        while seen.values().sum::<usize>() < 3 {
            let (kind, resources) = self.step().await;
            *seen.entry(kind).or_insert(0) += resources;
        }
        assert_eq!(seen, BTreeMap::from([("eds", 1), ("sds", 2)]));
    }

    /// Asserts that the server has nothing to say: asks for one thing that is answered, and that is what comes.
    async fn expect_silence(&mut self) {
        let names = self.said[&Kind::Route].names.clone();
        self.want(Kind::Route, &["heddle/inbound/payments/http"])
            .await;
        self.said.get_mut(&Kind::Route).unwrap().names = names;
        self.send(Kind::Route, None).await;
        assert_eq!(self.step().await, ("rds", 1));
    }

    async fn end(mut self) -> Status {
        loop {
            if let Err(status) = self.receive().await {
                return status;
            }
        }
    }
}

fn node() -> Node {
    Node::new("payments", "p-1", "10.0.0.1")
}

async fn settled(world: &World) -> StateAds {
    let mut ads = StateAds::open(world, "a-payments", &node()).await.unwrap();
    ads.load().await;
    let proxy = world.source.proxy("a-payments", "p-1");
    let settled = |s: &heddle_xds_server::ProxyStatus| {
        s.registration.is_some() && s.acked_revision == Some(1)
    };
    world.source.until(proxy, settled).await;
    ads
}

#[tokio::test]
async fn xds_x26_x27_sotw_neither_a_reconnect_nor_another_server_resends_anything() {
    let mut world = World::start().await;
    let key = world.source.mesh("a", &["payments"]);
    let ads = settled(&world).await;
    let issued = world.identities.count();
    let mut ads = ads.resume(&world, "a-payments", &node()).await;
    ads.expect_silence().await;
    world.restart().await;
    let mut ads = ads.resume(&world, "a-payments", &node()).await;
    ads.expect_silence().await;
    assert_eq!(world.identities.count(), issued, "the leaf is still good");
    let proxy = world.source.proxy("a-payments", "p-1");
    let done = |s: &heddle_xds_server::ProxyStatus| {
        s.acked_revision == Some(1) && s.pending_types.is_empty()
    };
    world.source.until(proxy, done).await;
    let (_, revision) = world.source.allow(key, "payments", "payments");
    assert_eq!(ads.step().await, ("rds", 1));
    let acked = |s: &heddle_xds_server::ProxyStatus| s.acked_revision == Some(revision);
    world.source.until(proxy, acked).await;
}

#[tokio::test]
async fn xds_x07_x11_sotw_a_refusal_is_shown_with_its_cause() {
    let world = World::start().await;
    let key = world.source.mesh("a", &["payments"]);
    let mut ads = settled(&world).await;
    let (rule, _) = world.source.allow(key, "payments", "payments");
    let response = ads.receive().await.unwrap();
    let said = ads.said.get_mut(&Kind::Route).unwrap();
    said.nonce.clone_from(&response.nonce);
    let words = format!("policy {rule} cannot be used");
    ads.send(Kind::Route, Some(&words)).await;
    let proxy = world.source.proxy("a-payments", "p-1");
    let status = world.source.until(proxy, |s| !s.nacks.is_empty()).await;
    assert_eq!(
        status.nacks[0].origin.as_ref().unwrap().id,
        rule.to_string()
    );
}

#[tokio::test]
async fn xds_x45_sotw_and_delta_take_over_from_each_other() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let old = settled(&world).await;
    let delta = world.proxy("a-payments", &node()).await;
    assert_eq!(old.end().await.code(), Code::Aborted);
    let _new = StateAds::open(&world, "a-payments", &node()).await.unwrap();
    assert_eq!(delta.end().await.code(), Code::Aborted);
}

#[tokio::test]
async fn xds_x01_x03_sotw_a_stream_is_the_node_of_its_first_message() {
    let world = World::start().await;
    world.source.mesh("a", &["payments", "checkout"]);
    let mut other = node();
    other.cluster = "checkout".to_owned();
    let Err(status) = StateAds::open(&world, "a-payments", &other).await else {
        panic!("another service's proxy was let in");
    };
    assert_eq!(status.code(), Code::PermissionDenied);
    let (requests, outgoing) = mpsc::channel(4);
    let nobody = DiscoveryRequest::default();
    let Err(status) = StateAds::open_with(&world, "a-payments", requests, outgoing, nobody).await
    else {
        panic!("a stream without a node was let in");
    };
    assert_eq!(status.code(), Code::InvalidArgument);
    let ads = StateAds::open(&world, "a-payments", &node()).await.unwrap();
    let changed = DiscoveryRequest {
        node: Some(Node::new("payments", "p-2", "10.0.0.1").message()),
        ..DiscoveryRequest::default()
    };
    ads.requests.send(changed).await.unwrap();
    assert_eq!(ads.end().await.code(), Code::InvalidArgument);
}
