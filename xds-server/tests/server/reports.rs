//! Who may report, and for how long that is believed.

use std::time::Duration;

use heddle_model::id::ProxyId;
use heddle_xds_server::{MeshKey, Proxy};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::world::World;

/// A certificate of a mesh, with its key.
struct Leaf {
    der: Vec<u8>,
    pem: String,
    key: String,
}

impl Leaf {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["payments".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

async fn channel(world: &World, leaf: &Leaf) -> Channel {
    let tls = ClientTlsConfig::new()
        .ca_certificate(tonic::transport::Certificate::from_pem(&world.ca))
        .identity(Identity::from_pem(&leaf.pem, &leaf.key))
        .domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", world.address)).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await.unwrap()
}

/// Asks whether the server takes reports for a mesh.
async fn check(channel: &Channel, mesh: MeshKey) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let mut request = Request::new(());
    let of = format!("{}/{}", mesh.org, mesh.mesh).parse().unwrap();
    let name = heddle_translate::naming::REPORTS_MESH;
    request.metadata_mut().insert(name, of);
    grpc.unary(request, path, codec).await.map(drop)
}

/// Lets the time pass that who somebody is is believed for.
async fn later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn who_is_nobody_yet_may_be_somebody_on_the_same_connection_and_the_other_way_round() {
    let world = World::start().await;
    let (mesh, other) = (
        world.source.mesh("a", &["payments"]),
        world.source.mesh("b", &["payments"]),
    );
    let leaf = Leaf::new();
    let channel = channel(&world, &leaf).await;
    let refused = async |mesh| check(&channel, mesh).await.unwrap_err().code();
    // Its certificate is newer than what this server has read.
    assert_eq!(refused(mesh).await, Code::Unauthenticated);
    let proxy = Proxy {
        mesh,
        proxy: ProxyId::from_uuid(Uuid::from_u128(7)),
        service: "payments".parse().unwrap(),
    };
    world
        .source
        .state()
        .reporters
        .insert(leaf.der.clone(), proxy);
    // Nobody is asked for each attempt.
    assert_eq!(refused(mesh).await, Code::Unauthenticated);
    later().await;
    check(&channel, mesh).await.unwrap();
    // A connection is about one mesh, whatever is named and whenever.
    assert_eq!(refused(other).await, Code::Unauthenticated);
    later().await;
    assert_eq!(refused(other).await, Code::Unauthenticated);
    check(&channel, mesh).await.unwrap();
    // Revoked.
    world.source.state().reporters.clear();
    check(&channel, mesh).await.unwrap();
    later().await;
    assert_eq!(refused(mesh).await, Code::Unauthenticated);
}
