//! The services of one type: the same streams, about less.

use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use heddle_xds_server::engine::kind::Kind;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::client::{Node, channel, with_token};
use crate::world::World;

fn node() -> Node {
    Node::new("payments", "p-1", "10.0.0.1")
}

/// One stream of any method.
struct Single<Q, R> {
    requests: mpsc::Sender<Q>,
    responses: Streaming<R>,
}

impl<Q, R> Single<Q, R>
where
    Q: prost::Message + Default + Send + Sync + 'static,
    R: prost::Message + Default + Send + Sync + 'static,
{
    async fn open(world: &World, path: &str, first: Q) -> Result<Self, Status> {
        let (requests, outgoing) = mpsc::channel(16);
        requests.send(first).await.unwrap();
        let mut grpc = tonic::client::Grpc::new(channel(world).await);
        grpc.ready().await.unwrap();
        let request = with_token(ReceiverStream::new(outgoing), "a-payments");
        let codec = ProstCodec::<Q, R>::default();
        let responses = grpc
            .streaming(request, path.parse().unwrap(), codec)
            .await?;
        Ok(Self {
            requests,
            responses: responses.into_inner(),
        })
    }

    async fn receive(&mut self) -> Result<R, Status> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.responses.message());
        let message = next.await.expect("a response comes");
        message.and_then(|message| message.ok_or_else(|| Status::ok("the stream ended")))
    }
}

type Sotw = Single<DiscoveryRequest, DiscoveryResponse>;
type Delta = Single<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

const CLUSTERS: &str = "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters";
const LISTENERS: &str = "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners";

#[tokio::test]
async fn xds_x02_x04_a_service_of_one_type_serves_that_type_and_no_other() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    // The type may be left out: the service says it.
    let first = DiscoveryRequest {
        node: Some(node().message()),
        ..DiscoveryRequest::default()
    };
    let mut clusters = Sotw::open(&world, CLUSTERS, first).await.unwrap();
    let response = clusters.receive().await.unwrap();
    assert_eq!(response.type_url, Kind::Cluster.type_url());
    assert_eq!(response.resources.len(), 2);
    let other = DiscoveryRequest {
        type_url: Kind::Listener.type_url().to_owned(),
        ..DiscoveryRequest::default()
    };
    clusters.requests.send(other).await.unwrap();

    let first = DeltaDiscoveryRequest {
        node: Some(node().message()),
        type_url: Kind::Listener.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    // A stream of one type does not take the place of one of another.
    let mut listeners = Delta::open(&world, LISTENERS, first).await.unwrap();
    let response = listeners.receive().await.unwrap();
    assert_eq!(response.resources.len(), 2);

    let ack = DiscoveryRequest {
        response_nonce: "1".to_owned(),
        ..DiscoveryRequest::default()
    };
    clusters.requests.send(ack).await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(100), clusters.responses.message());
    assert!(silence.await.is_err(), "listeners on a stream of clusters");
}

#[tokio::test]
async fn xds_x45_d13_single_streams_are_bounded_and_leave_the_aggregated_one_alone() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let mut ads = world.settled("a-payments", &node()).await;
    let first = || DiscoveryRequest {
        node: Some(node().message()),
        ..DiscoveryRequest::default()
    };
    let mut streams = Vec::new();
    for _ in 0..9 {
        let mut stream = Sotw::open(&world, CLUSTERS, first()).await.unwrap();
        stream.receive().await.unwrap();
        streams.push(stream);
    }
    let end = streams[0].receive().await.unwrap_err();
    assert_eq!(end.code(), Code::Aborted);
    let proxy = world.source.proxy("a-payments", "p-1");
    drop(streams);
    assert!(ads.drain().await.is_empty());
    let status = world.source.status(proxy).unwrap();
    assert!(status.connected);
    let key = world.source.state().tokens["a-payments"].0;
    let (_, revision) = world.source.allow(key, "payments", "payments");
    assert_eq!(ads.step().await, "rds heddle/inbound/payments/http");
    world
        .source
        .until(proxy, |s| s.acked_revision == Some(revision))
        .await;
}
