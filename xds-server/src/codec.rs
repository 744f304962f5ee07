//! Messages on the wire: requests decoded by the published types, responses spliced from encoded resources.

use bytes::{Buf, BufMut};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::engine::resource::put_field;
use crate::engine::session::{Protocol, Request, Response, StateRequest};

/// The codec of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdsCodec(pub(crate) Protocol);

/// A message from a proxy.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Who it is; said in the first message.
    pub(crate) node: Option<Node>,
    pub(crate) said: Said,
}

/// What it says, without its envelope.
#[derive(Debug)]
pub(crate) enum Said {
    Delta(Request),
    Sotw(StateRequest),
}

impl Codec for AdsCodec {
    type Encode = Response;
    type Decode = Inbound;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

/// The fields of a `DeltaDiscoveryResponse`.
mod delta {
    pub(super) const SYSTEM_VERSION_INFO: u32 = 1;
    pub(super) const TYPE_URL: u32 = 4;
    pub(super) const NONCE: u32 = 5;
    pub(super) const REMOVED_RESOURCES: u32 = 6;
}

/// The fields of a `DiscoveryResponse`, and of the `ControlPlane` in it.
mod sotw {
    pub(super) const VERSION_INFO: u32 = 1;
    pub(super) const TYPE_URL: u32 = 4;
    pub(super) const NONCE: u32 = 5;
    pub(super) const CONTROL_PLANE: u32 = 6;
    pub(super) const IDENTIFIER: u32 = 1;
}

/// Writes a response; the resources were encoded when they were made.
pub(crate) fn write(protocol: Protocol, response: &Response, out: &mut impl BufMut) {
    let type_url = response.kind.type_url().as_bytes();
    let nonce = response.nonce.as_bytes();
    let revision = response.revision.to_string();
    match protocol {
        Protocol::Delta => {
            put_field(out, delta::SYSTEM_VERSION_INFO, revision.as_bytes());
            for resource in &response.resources {
                out.put_slice(&resource.wire);
            }
            put_field(out, delta::TYPE_URL, type_url);
            put_field(out, delta::NONCE, nonce);
            for name in &response.removed {
                put_field(out, delta::REMOVED_RESOURCES, name.as_bytes());
            }
        }
        Protocol::Sotw => {
            put_field(out, sotw::VERSION_INFO, response.version.as_bytes());
            for resource in &response.resources {
                out.put_slice(&resource.state);
            }
            put_field(out, sotw::TYPE_URL, type_url);
            put_field(out, sotw::NONCE, nonce);
            // There is no other place for the revision (X15).
            let mut identifier = Vec::new();
            put_field(
                &mut identifier,
                sotw::IDENTIFIER,
                format!("heddle@{revision}").as_bytes(),
            );
            put_field(out, sotw::CONTROL_PLANE, &identifier);
        }
    }
}

/// Reads a request of either protocol.
///
/// # Errors
/// It is none.
pub(crate) fn read(protocol: Protocol, bytes: impl Buf) -> Result<Inbound, prost::DecodeError> {
    let inbound = match protocol {
        Protocol::Delta => {
            let message = DeltaDiscoveryRequest::decode(bytes)?;
            Inbound {
                node: message.node,
                said: Said::Delta(Request {
                    type_url: message.type_url,
                    subscribe: message.resource_names_subscribe,
                    unsubscribe: message.resource_names_unsubscribe,
                    initial_versions: message.initial_resource_versions.into_iter().collect(),
                    nonce: message.response_nonce,
                    error: message.error_detail.map(|detail| clipped(detail.message)),
                }),
            }
        }
        Protocol::Sotw => {
            let message = DiscoveryRequest::decode(bytes)?;
            Inbound {
                node: message.node,
                said: Said::Sotw(StateRequest {
                    type_url: message.type_url,
                    names: message.resource_names,
                    version: message.version_info,
                    nonce: message.response_nonce,
                    error: message.error_detail.map(|detail| clipped(detail.message)),
                }),
            }
        }
    };
    Ok(inbound)
}

/// At most 4 KiB of a client's words, before anything is kept of them: a client may send megabytes.
fn clipped(mut text: String) -> String {
    const MOST: usize = 4 << 10;
    if text.len() > MOST {
        let end = (0..=MOST)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

impl Encoder for AdsCodec {
    type Item = Response;
    type Error = Status;

    fn encode(&mut self, response: Response, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        write(self.0, &response, out);
        Ok(())
    }
}

impl Decoder for AdsCodec {
    type Item = Inbound;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        read(self.0, bytes)
            .map(Some)
            .map_err(|_| Status::invalid_argument("not a discovery request"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse,
    };
    use envoy_types::pb::google::protobuf::Any;

    use super::*;
    use crate::engine::kind::Kind;
    use crate::engine::resource::Resource;

    #[test]
    fn a_response_decodes_to_what_went_in() {
        let any = Any {
            type_url: Kind::Route.type_url().into(),
            value: vec![1, 2, 3],
        };
        let resource = |name| Arc::new(Resource::new(Kind::Route, name, "v", &any.encode_to_vec()));
        let response = Response {
            kind: Kind::Route,
            nonce: "2a".into(),
            revision: 7,
            resources: vec![resource("a"), resource("b")],
            removed: vec!["c".into(), "d".into()],
            version: "9".into(),
            published: None,
        };
        let mut bytes = Vec::new();
        write(Protocol::Delta, &response, &mut bytes);
        let decoded = DeltaDiscoveryResponse::decode(&bytes[..]).unwrap();
        assert_eq!(decoded.system_version_info, "7");
        assert_eq!(decoded.type_url, Kind::Route.type_url());
        assert_eq!(decoded.nonce, "2a");
        assert_eq!(decoded.removed_resources, ["c", "d"]);
        let names: Vec<_> = decoded.resources.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(decoded.resources[1].resource.as_ref(), Some(&any));

        let mut bytes = Vec::new();
        write(Protocol::Sotw, &response, &mut bytes);
        let decoded = DiscoveryResponse::decode(&bytes[..]).unwrap();
        assert_eq!(decoded.version_info, "9");
        assert_eq!(decoded.type_url, Kind::Route.type_url());
        assert_eq!(decoded.nonce, "2a");
        assert_eq!(decoded.resources, [any.clone(), any]);
        assert_eq!(decoded.control_plane.unwrap().identifier, "heddle@7");
    }

    #[test]
    fn long_refusals_are_cut_between_characters() {
        let long = clipped("\u{e9}".repeat(5_000));
        assert_eq!(long.len(), 4096);
        assert_eq!(clipped("short".into()), "short");
    }
}
