//! Discovery messages field by field: a load client that decoded everything would cost more than the server that it measures.
//!
//! Numbers of fields are those of `envoy/service/discovery/v3/discovery.proto`.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

/// The types that an Envoy asks for, in the order in which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Cluster,
    Endpoints,
    Listener,
    Route,
    Secret,
}

pub const KINDS: [Kind; 5] = [
    Kind::Cluster,
    Kind::Endpoints,
    Kind::Listener,
    Kind::Route,
    Kind::Secret,
];

impl Kind {
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    fn of(url: &[u8]) -> Option<Self> {
        KINDS
            .into_iter()
            .find(|kind| kind.type_url().as_bytes() == url)
    }
}

/// Which of the two protocols a stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// Changes only.
    Delta,
    /// State of the world.
    Sotw,
}

impl Protocol {
    pub const fn path(self) -> &'static str {
        match self {
            Self::Delta => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            }
            Self::Sotw => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
            }
        }
    }
}

/// A request, in either protocol.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// An encoded `Node`; in the first message of a stream.
    pub node: Option<&'a [u8]>,
    /// Delta: names that are new. State of the world: all names.
    pub names: Vec<&'a str>,
    /// Delta only.
    pub unsubscribe: Vec<&'a str>,
    /// Delta only: what the client has, name and version.
    pub initial: Vec<(&'a str, &'a str)>,
    /// State of the world only.
    pub version: &'a str,
    pub nonce: &'a str,
    /// Refuses the response that the nonce names.
    pub refuse: bool,
}

fn put(out: &mut BytesMut, tag: u32, bytes: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

impl Request<'_> {
    /// The message with the five bytes that gRPC puts before it.
    pub fn frame(&self, protocol: Protocol, kind: Kind) -> Bytes {
        let mut out = BytesMut::with_capacity(128);
        out.put_bytes(0, 5);
        match protocol {
            Protocol::Delta => {
                if let Some(node) = self.node {
                    put(&mut out, 1, node);
                }
                put(&mut out, 2, kind.type_url().as_bytes());
                for name in &self.names {
                    put(&mut out, 3, name.as_bytes());
                }
                for name in &self.unsubscribe {
                    put(&mut out, 4, name.as_bytes());
                }
                for (name, version) in &self.initial {
                    let mut entry = BytesMut::with_capacity(name.len() + version.len() + 8);
                    put(&mut entry, 1, name.as_bytes());
                    put(&mut entry, 2, version.as_bytes());
                    put(&mut out, 5, &entry);
                }
                self.tail(&mut out, 6, 7);
            }
            Protocol::Sotw => {
                if !self.version.is_empty() {
                    put(&mut out, 1, self.version.as_bytes());
                }
                if let Some(node) = self.node {
                    put(&mut out, 2, node);
                }
                for name in &self.names {
                    put(&mut out, 3, name.as_bytes());
                }
                put(&mut out, 4, kind.type_url().as_bytes());
                self.tail(&mut out, 5, 6);
            }
        }
        let length = u32::try_from(out.len() - 5).unwrap_or(u32::MAX);
        out[1..5].copy_from_slice(&length.to_be_bytes());
        out.freeze()
    }

    fn tail(&self, out: &mut BytesMut, nonce: u32, error: u32) {
        if !self.nonce.is_empty() {
            put(out, nonce, self.nonce.as_bytes());
        }
        if self.refuse {
            // google.rpc.Status: INVALID_ARGUMENT with a message.
            let mut status = BytesMut::new();
            encode_key(1, WireType::Varint, &mut status);
            encode_varint(3, &mut status);
            put(&mut status, 2, b"refused by the load client");
            put(out, error, &status);
        }
    }
}

/// A response as far as it is looked at.
#[derive(Debug, Default)]
pub struct Response {
    pub kind: Option<Kind>,
    pub nonce: String,
    /// Of the resources in state of the world; in delta, of all that the server knows.
    pub version: String,
    /// Each whole: a `Resource` in delta, an `Any` in state of the world.
    pub resources: Vec<Bytes>,
    pub removed: Vec<String>,
}

/// A message that is not one.
#[derive(Debug, thiserror::Error)]
#[error("not a discovery response: {0}")]
pub struct Malformed(#[from] prost::DecodeError);

/// Calls `field` with each length-delimited field of a message.
pub fn fields(mut bytes: Bytes, mut field: impl FnMut(u32, Bytes)) -> Result<(), Malformed> {
    while bytes.has_remaining() {
        let (tag, wire) = decode_key(&mut bytes)?;
        if wire == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
            if length > bytes.len() {
                // Lets prost make the error.
                skip_field(
                    wire,
                    tag,
                    &mut Bytes::from_static(&[1]),
                    DecodeContext::default(),
                )?;
                break;
            }
            field(tag, bytes.split_to(length));
        } else {
            skip_field(wire, tag, &mut bytes, DecodeContext::default())?;
        }
    }
    Ok(())
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Response {
    pub fn parse(protocol: Protocol, message: Bytes) -> Result<Self, Malformed> {
        let mut response = Self::default();
        fields(message, |tag, bytes| match (protocol, tag) {
            (_, 1) => response.version = text(&bytes),
            (_, 2) => response.resources.push(bytes),
            (_, 4) => response.kind = Kind::of(&bytes),
            (_, 5) => response.nonce = text(&bytes),
            (Protocol::Delta, 6) => response.removed.push(text(&bytes)),
            _ => {}
        })?;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        Resource,
    };
    use envoy_types::pb::google::protobuf::Any;
    use prost::Message as _;

    use super::*;

    fn request() -> Request<'static> {
        Request {
            names: vec!["a", "b"],
            unsubscribe: vec!["c"],
            initial: vec![("a", "1")],
            version: "7",
            nonce: "n",
            refuse: true,
            ..Request::default()
        }
    }

    #[test]
    fn requests_are_what_a_decoder_reads() {
        let delta = request().frame(Protocol::Delta, Kind::Route);
        let read = DeltaDiscoveryRequest::decode(delta.slice(5..)).unwrap();
        assert_eq!(read.resource_names_subscribe, ["a", "b"]);
        assert_eq!(read.resource_names_unsubscribe, ["c"]);
        assert_eq!(read.initial_resource_versions["a"], "1");
        assert_eq!(
            (read.response_nonce.as_str(), read.type_url.as_str()),
            ("n", Kind::Route.type_url())
        );
        assert_eq!(read.error_detail.unwrap().code, 3);
        let sotw = request().frame(Protocol::Sotw, Kind::Cluster);
        let read = DiscoveryRequest::decode(sotw.slice(5..)).unwrap();
        assert_eq!(read.resource_names, ["a", "b"]);
        assert_eq!(
            (read.version_info.as_str(), read.response_nonce.as_str()),
            ("7", "n")
        );
        assert_eq!(read.type_url, Kind::Cluster.type_url());
    }

    #[test]
    fn responses_are_read_as_an_encoder_wrote_them() {
        let delta = DeltaDiscoveryResponse {
            system_version_info: "9".into(),
            resources: vec![Resource {
                name: "r".into(),
                version: "v".into(),
                ..Resource::default()
            }],
            type_url: Kind::Secret.type_url().into(),
            nonce: "n1".into(),
            removed_resources: vec!["gone".into()],
            ..DeltaDiscoveryResponse::default()
        };
        let read = Response::parse(Protocol::Delta, delta.encode_to_vec().into()).unwrap();
        assert_eq!((read.kind, read.nonce.as_str()), (Some(Kind::Secret), "n1"));
        assert_eq!(read.version, "9");
        assert_eq!((read.resources.len(), read.removed.len()), (1, 1));
        let sotw = DiscoveryResponse {
            version_info: "v2".into(),
            resources: vec![Any {
                type_url: "t".into(),
                value: vec![1],
            }],
            type_url: Kind::Endpoints.type_url().into(),
            nonce: "n2".into(),
            ..DiscoveryResponse::default()
        };
        let read = Response::parse(Protocol::Sotw, sotw.encode_to_vec().into()).unwrap();
        assert_eq!((read.version.as_str(), read.resources.len()), ("v2", 1));
        assert!(Response::parse(Protocol::Delta, Bytes::from_static(&[0x12, 0x7f, 1])).is_err());
    }
}
