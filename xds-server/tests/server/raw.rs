//! HTTP/2 byte by byte: for what no client that behaves would say.

use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use heddle_xds_server::engine::kind::Kind;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::Node;
use crate::world::World;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const ADS: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// A frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The fields of a request, none of them compressed.
pub(crate) fn fields(path: &str, token: Option<&str>) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = vec![u8::try_from(text.len()).unwrap()];
        assert!(bytes[0] < 127);
        bytes.extend(text.as_bytes());
        bytes
    };
    // POST, https, and a path that is written out.
    let mut block = vec![0x83, 0x87, 0x04];
    block.extend(text(path));
    if let Some(token) = token {
        block.push(0);
        block.extend(text("authorization"));
        block.extend(text(&format!("Bearer {token}")));
    }
    block
}

/// The beginning of a request.
pub(crate) fn request(stream: u32, path: &str, token: Option<&str>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &fields(path, token))
}

/// A message of gRPC in a frame of its own.
pub(crate) fn message(stream: u32, flags: u8, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![0];
    payload.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    payload.extend(message);
    frame(DATA, flags, stream, &payload)
}

/// What a proxy says first: it asks for all clusters.
pub(crate) fn first(stream: u32, node: &Node) -> Vec<u8> {
    let asked = DeltaDiscoveryRequest {
        node: Some(node.message()),
        type_url: Kind::Cluster.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    message(stream, 0, &asked.encode_to_vec())
}

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The reason of a frame that ends something.
    pub(crate) fn reason(&self) -> u8 {
        match self.kind {
            RST_STREAM => self.payload[3],
            GOAWAY => self.payload[7],
            _ => panic!("{self:?} ends nothing"),
        }
    }
}

/// One side of a connection that says what it likes.
pub(crate) struct Says(WriteHalf<TlsStream<TcpStream>>);

/// The other side of it.
pub(crate) struct Hears(ReadHalf<TlsStream<TcpStream>>);

/// A connection on which nothing but its beginning was said.
pub(crate) async fn dial(world: &World) -> (Says, Hears) {
    let (hears, says) = tokio::io::split(world.dial().await);
    let mut says = Says(says);
    says.say(PREFACE).await.unwrap();
    says.say(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    (says, Hears(hears))
}

impl Says {
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Says it again and again, until nobody listens any more.
    pub(crate) async fn flood(&mut self, mut next: impl FnMut() -> Vec<u8>) {
        let flood = async { while self.say(&next()).await.is_ok() {} };
        let ended = tokio::time::timeout(Duration::from_secs(20), flood);
        ended.await.expect("it ends");
    }
}

impl Hears {
    /// The next frame; an error when the connection ended in the middle of anything, and none when it ended as it should.
    pub(crate) async fn frame(&mut self) -> std::io::Result<Option<Frame>> {
        let read = async {
            let mut head = [0; 9];
            if self.0.read(&mut head[..1]).await? == 0 {
                return Ok(None);
            }
            self.0.read_exact(&mut head[1..]).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await?;
            Ok(Some(Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                payload,
            }))
        };
        let read = tokio::time::timeout(Duration::from_secs(20), read);
        read.await.expect("something comes, or the end")
    }

    /// The next frame of this kind.
    pub(crate) async fn next(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.frame().await.unwrap().expect("not yet the end");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// All frames until the end, however that comes.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut all = Vec::new();
        while let Ok(Some(frame)) = self.frame().await {
            all.push(frame);
        }
        all
    }
}
