//! Who may have a stream, and who is refused how.

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse,
};
use heddle_xds_server::engine::kind::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Request, Status};

use crate::client::{Ads, Node, channel, with_token};
use crate::world::World;

/// Served: a known caller is told what is wrong with the message.
const SERVED: [&str; 14] = [
    heddle_identity::call::ISSUE,
    heddle_identity::call::WATCH,
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters",
    "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters",
    "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints",
    "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints",
    "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners",
    "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners",
    "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes",
    "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes",
    "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
    "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
];

const UNSERVED: [&str; 16] = [
    "/heddle.identity.v1.Certificates/Revoke",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/FetchAggregatedResources",
    "/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters",
    "/envoy.service.endpoint.v3.EndpointDiscoveryService/FetchEndpoints",
    "/envoy.service.listener.v3.ListenerDiscoveryService/FetchListeners",
    "/envoy.service.route.v3.RouteDiscoveryService/FetchRoutes",
    "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets",
    "/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts",
    "/envoy.service.runtime.v3.RuntimeDiscoveryService/StreamRuntime",
    "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats",
    "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
    "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/nobody/Knows",
    "/",
];

async fn call(world: &World, path: &str, request: Request<DiscoveryRequest>) -> Status {
    let mut grpc = tonic::client::Grpc::new(channel(world).await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<DiscoveryRequest, DiscoveryResponse>::default();
    grpc.unary(request, path.parse().unwrap(), codec)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn xds_x02_p10_every_method_is_authenticated_before_it_is_unknown() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    for path in UNSERVED.into_iter().chain(SERVED) {
        let message = DiscoveryRequest::default;
        let anonymous = call(&world, path, Request::new(message())).await;
        assert_eq!(anonymous.code(), Code::Unauthenticated, "{path}");
        let stranger = call(&world, path, with_token(message(), "b-payments")).await;
        assert_eq!(stranger.code(), Code::Unauthenticated, "{path}");
        assert!(stranger.message().starts_with("HED-3001"), "{stranger}");
        let known = call(&world, path, with_token(message(), "a-payments")).await;
        let expected = match SERVED.contains(&path) {
            true => Code::InvalidArgument,
            false => Code::Unimplemented,
        };
        assert_eq!(known.code(), expected, "{path}");
    }
}

#[tokio::test]
async fn sec_p02_a_stream_needs_a_token_that_is_known() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let node = Node::new("payments", "p-1", "10.0.0.1");
    for token in ["", "b-payments", "a-payment", "a-payments2", "A-PAYMENTS"] {
        let Err(status) = Ads::open(&world, token, &node).await else {
            panic!("{token:?} was let in");
        };
        assert_eq!(status.code(), Code::Unauthenticated, "{token:?}");
    }
}

#[tokio::test]
async fn xds_x01_the_first_message_says_who_it_is_and_later_ones_nothing_else() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let nobody = DeltaDiscoveryRequest {
        type_url: Kind::Cluster.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    let Err(status) = Ads::open_with(&world, "a-payments", "payments", nobody.clone()).await else {
        panic!("a stream without a node was let in");
    };
    assert_eq!(status.code(), Code::InvalidArgument);

    let node = Node::new("payments", "p-1", "10.0.0.1");
    let mut ads = world.settled("a-payments", &node).await;
    let with_node = |id: &str| DeltaDiscoveryRequest {
        node: Some(Node::new("payments", id, "10.0.0.1").message()),
        ..nobody.clone()
    };
    ads.send(with_node("p-1")).await;
    assert!(ads.drain().await.is_empty());
    ads.send(with_node("p-2")).await;
    assert_eq!(ads.end().await.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn xds_x03_p03_the_node_may_not_contradict_the_token() {
    let world = World::start().await;
    world.source.mesh("a", &["payments", "checkout"]);
    let mut node = Node::new("payments", "p-1", "10.0.0.1");
    node.cluster = "checkout".to_owned();
    let Err(status) = Ads::open(&world, "a-payments", &node).await else {
        panic!("another service's proxy was let in");
    };
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().starts_with("HED-3004"), "{status}");
    node.cluster = "payments".to_owned();
    world.proxy("a-payments", &node).await;
    node.id = "not a name".to_owned();
    let Err(status) = Ads::open(&world, "a-payments", &node).await else {
        panic!("a malformed node was let in");
    };
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("node.id"), "{status}");
}

#[tokio::test]
async fn sec_p07_p08_secrets_of_others_do_not_exist() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let node = Node::new("payments", "p-1", "10.0.0.1");
    let mut ads = world.settled("a-payments", &node).await;
    let mine = ads.held[&Kind::Secret].clone();
    let names = ["heddle/identity/checkout", "px_1", "*"].map(str::to_owned);
    ads.subscribe(Kind::Secret, names).await;
    let seen = ads.drain().await;
    assert_eq!(
        seen,
        ["sds heddle/trust heddle/identity -heddle/identity/checkout -px_1"]
    );
    let names: Vec<_> = ads.held[&Kind::Secret].keys().collect();
    assert_eq!(names, ["heddle/identity", "heddle/trust"]);
    let key = &ads.held[&Kind::Secret]["heddle/identity"].content;
    assert_eq!(*key, mine["heddle/identity"].content);
}

#[tokio::test]
async fn sec_t07_equal_names_in_two_tenants_never_meet() {
    let world = World::start().await;
    for tenant in ["a", "b"] {
        world.source.mesh(tenant, &["frontend", "payments"]);
    }
    let mut proxies = Vec::new();
    for (tenant, address) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        let payments = Node::new("payments", "same", address);
        let token = format!("{tenant}-payments");
        proxies.push(world.proxy(&token, &payments).await);
        let proxy = world.source.proxy(&token, "same");
        world
            .source
            .until(proxy, |status| status.registration.is_some())
            .await;
    }
    for (tenant, address) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        let node = Node::new("frontend", "same", "10.0.0.9");
        let ads = world.proxy(&format!("{tenant}-frontend"), &node).await;
        assert_eq!(
            ads.endpoints("heddle/payments/http"),
            [(address.to_owned(), 1)]
        );
        let trust = &ads.held[&Kind::Secret]["heddle/trust"].content;
        let trust = String::from_utf8_lossy(trust).into_owned();
        assert!(
            trust.contains(&format!("roots of shop-{tenant}.heddle.example")),
            "{trust}"
        );
        let other = if tenant == "a" { "shop-b" } else { "shop-a" };
        for held in ads.held.values().flat_map(|held| held.values()) {
            assert!(!String::from_utf8_lossy(&held.content).contains(other));
        }
    }
}

#[tokio::test]
async fn sec_p09_only_tls_with_http2_gets_an_answer() {
    let world = World::start().await;
    let mut plain = tokio::net::TcpStream::connect(world.address).await.unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset: what was written is never read.
    let _reset = plain.read_to_end(&mut answer).await;
    assert!(
        answer.is_empty() || answer[0] == 21,
        "nothing but a TLS alert: {answer:?}"
    );

    let mut roots = rustls::RootCertStore::empty();
    let pem = world.ca.as_bytes();
    let certificate = rustls_pki_types::pem::PemObject::from_pem_slice(pem).unwrap();
    roots.add(certificate).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = |protocols: &[&[u8]]| {
        let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        tokio_rustls::TlsConnector::from(std::sync::Arc::new(config))
    };
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let refused = client(&[b"http/1.1"]).connect(name.clone(), socket).await;
    assert!(refused.is_err());
    let socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let mut silent = client(&[]).connect(name, socket).await.unwrap();
    let mut answer = Vec::new();
    let _reset = silent.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn xds_x41_a_request_for_too_many_names_is_refused() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let node = Node::new("payments", "p-1", "10.0.0.1");
    let mut ads = world.settled("a-payments", &node).await;
    let many = (0..10_001).map(|n| format!("n{n}")).collect();
    let request = DeltaDiscoveryRequest {
        type_url: Kind::Endpoints.type_url().to_owned(),
        resource_names_subscribe: many,
        ..DeltaDiscoveryRequest::default()
    };
    ads.send(request).await;
    assert_eq!(
        ads.receive().await.unwrap_err().code(),
        Code::ResourceExhausted
    );
}
