//! Handshakes: by which certificate, and how one that was there before is let off most of it.

use std::sync::Arc;

use chrono::TimeDelta;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::Node;
use crate::world::{Certificate, World};

/// Connects, and reads until what the server says after its handshake has come: tickets come before it.
async fn visit(world: &World, client: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let mut stream = world.dial_as(Arc::clone(client)).await;
    stream.read_u8().await.unwrap();
    stream
}

fn kind(stream: &TlsStream<TcpStream>) -> HandshakeKind {
    stream.get_ref().1.handshake_kind().unwrap()
}

#[tokio::test]
async fn a_session_goes_on_at_any_server_with_the_same_certificate() {
    let (one, stranger) = (World::start().await, World::start().await);
    let other = World::beside(&one).await;
    let client = Arc::new(one.certificate.client(&[&rustls::version::TLS13]));
    assert_eq!(kind(&visit(&one, &client).await), HandshakeKind::Full);
    assert_eq!(kind(&visit(&other, &client).await), HandshakeKind::Resumed);
    assert_eq!(kind(&visit(&one, &client).await), HandshakeKind::Resumed);
    // A server with another key takes none of it, and that costs no more than the whole handshake.
    let mut roots = stranger.certificate.client(&[&rustls::version::TLS13]);
    roots.resumption = client.resumption.clone();
    let roots = Arc::new(roots);
    assert_eq!(kind(&visit(&stranger, &roots).await), HandshakeKind::Full);
}

#[tokio::test]
async fn an_old_client_is_served_and_goes_through_the_whole_handshake_each_time() {
    let world = World::start().await;
    let client = Arc::new(world.certificate.client(&[&rustls::version::TLS12]));
    for _ in 0..2 {
        let stream = visit(&world, &client).await;
        let connection = stream.get_ref().1;
        assert_eq!(kind(&stream), HandshakeKind::Full);
        let version = connection.protocol_version();
        assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_2));
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
    }
}

#[tokio::test]
async fn another_certificate_is_shown_from_now_on_and_streams_go_on() {
    let mut world = World::with(TimeDelta::hours(24), |_| {}).await;
    let key = world.source.mesh("a", &["frontend", "payments"]);
    let mut before = world
        .settled("a-payments", &Node::new("payments", "p-1", "10.0.0.1"))
        .await;
    let tls = Arc::clone(world.tls.as_ref().unwrap());

    let (next, other) = (Certificate::new(), Certificate::new());
    let (chain, _) = next.parts();
    let (_, wrong) = other.parts();
    assert!(tls.replace(chain, wrong).is_err(), "a key of another one");
    let shown =
        |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(shown(&world.dial().await), world.certificate.der);

    let (chain, private_key) = next.parts();
    tls.replace(chain, private_key).unwrap();
    world.certificate = next;
    assert_eq!(shown(&world.dial().await), world.certificate.der);
    world.source.allow(key, "payments", "frontend");
    world.source.hint(key);
    before.step().await;
}
