//! Proxies that keep listeners of their own: they get the rest, count by what they asked for, and take no calls.

use envoy_types::pb::envoy::config::core::v3::Node as PbNode;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind as ValueKind};
use heddle_model::workload::Health;
use heddle_xds_server::engine::kind::Kind;

use crate::client::{Ads, Node};
use crate::world::World;

/// What an overlay makes an Envoy say whose own file calls it something else.
fn augmenting(service: &str, id: &str) -> PbNode {
    let object = |fields: Vec<(&str, ValueKind)>| {
        let field = |(name, kind): (&str, ValueKind)| (name.to_owned(), Value { kind: Some(kind) });
        Struct {
            fields: fields.into_iter().map(field).collect(),
        }
    };
    let text = |text: &str| ValueKind::StringValue(text.to_owned());
    let heddle = object(vec![
        ("mode", text("augment")),
        ("service", text(service)),
        ("proxy", text(id)),
    ]);
    PbNode {
        id: "acme-17".to_owned(),
        cluster: "acme-edge".to_owned(),
        metadata: Some(object(vec![("heddle", ValueKind::StructValue(heddle))])),
        ..PbNode::default()
    }
}

async fn open(world: &World, token: &str, service: &str, id: &str) -> Ads {
    let first = DeltaDiscoveryRequest {
        node: Some(augmenting(service, id)),
        type_url: Kind::Cluster.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    let mut ads = Ads::open_with(world, token, service, first).await.unwrap();
    while ![Kind::Cluster, Kind::Endpoints, Kind::Secret]
        .iter()
        .all(|kind| ads.held.contains_key(kind))
        || ads.held[&Kind::Secret].len() < 2
    {
        ads.step().await;
    }
    ads
}

#[tokio::test]
async fn it_gets_clusters_and_an_identity_and_is_as_far_as_the_mesh_without_listeners() {
    let world = World::start().await;
    world.source.mesh("a", &["frontend", "payments"]);
    let ads = open(&world, "a-frontend", "frontend", "f-1").await;
    let names = |kind: Kind| ads.held[&kind].keys().cloned().collect::<Vec<_>>();
    let both = ["heddle/frontend/http", "heddle/payments/http"];
    assert_eq!(names(Kind::Cluster), both);
    assert_eq!(names(Kind::Endpoints), both);
    assert_eq!(names(Kind::Secret), ["heddle/identity", "heddle/trust"]);
    let proxy = world.source.proxy("a-frontend", "f-1");
    let status = world
        .source
        .until(proxy, |status| {
            status.acked_revision == Some(1) && status.target_revision == Some(1)
        })
        .await;
    assert!(status.connected && status.augments);
    assert_eq!(status.registration, None);
    assert_eq!(status.pending_types, Vec::<&str>::new());
}

#[tokio::test]
async fn who_takes_its_listeners_back_is_nobodys_endpoint_any_more() {
    let world = World::start().await;
    world.source.mesh("a", &["frontend", "payments"]);
    let node = Node::new("payments", "p-1", "10.0.0.1");
    let managed = world.settled("a-payments", &node).await;
    let proxy = world.source.proxy("a-payments", "p-1");
    let own = open(&world, "a-payments", "payments", "p-1").await;
    let status = world
        .source
        .until(proxy, |status| {
            let endpoint = status.registration.as_ref();
            endpoint.is_none_or(|endpoint| endpoint.health == Health::Draining)
        })
        .await;
    assert!(status.connected && status.augments);
    drop(own);
    drop(managed);
    // And back.
    let _managed = world.settled("a-payments", &node).await;
    let status = world.source.until(proxy, |status| !status.augments).await;
    assert!(status.connected);
}

#[tokio::test]
async fn xds_x03_a_service_that_the_token_is_not_for_is_refused() {
    let world = World::start().await;
    world.source.mesh("a", &["frontend", "payments"]);
    let first = DeltaDiscoveryRequest {
        node: Some(augmenting("payments", "f-1")),
        type_url: Kind::Cluster.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    let opened = Ads::open_with(&world, "a-frontend", "frontend", first).await;
    let status = match opened {
        Ok(ads) => ads.end().await,
        Err(status) => status,
    };
    assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
}
