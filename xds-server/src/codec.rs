//! Messages on the wire: requests decoded by the published types, responses spliced from encoded resources.

use bytes::BufMut;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::engine::resource::put_field;
use crate::engine::session::Response;

/// The codec of a delta stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DeltaCodec;

/// Writes responses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResponseEncoder;

/// Reads requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RequestDecoder;

impl Codec for DeltaCodec {
    type Encode = Response;
    type Decode = DeltaDiscoveryRequest;
    type Encoder = ResponseEncoder;
    type Decoder = RequestDecoder;

    fn encoder(&mut self) -> ResponseEncoder {
        ResponseEncoder
    }

    fn decoder(&mut self) -> RequestDecoder {
        RequestDecoder
    }
}

const SYSTEM_VERSION_INFO: u32 = 1;
const TYPE_URL: u32 = 4;
const NONCE: u32 = 5;
const REMOVED_RESOURCES: u32 = 6;

/// Writes a `DeltaDiscoveryResponse`; the resources were encoded when they were made.
fn write(response: &Response, out: &mut impl BufMut) {
    put_field(
        out,
        SYSTEM_VERSION_INFO,
        response.revision.to_string().as_bytes(),
    );
    for resource in &response.resources {
        out.put_slice(&resource.wire);
    }
    put_field(out, TYPE_URL, response.kind.type_url().as_bytes());
    put_field(out, NONCE, response.nonce.as_bytes());
    for name in &response.removed {
        put_field(out, REMOVED_RESOURCES, name.as_bytes());
    }
}

impl Encoder for ResponseEncoder {
    type Item = Response;
    type Error = Status;

    fn encode(&mut self, response: Response, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        write(&response, out);
        Ok(())
    }
}

impl Decoder for RequestDecoder {
    type Item = DeltaDiscoveryRequest;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        DeltaDiscoveryRequest::decode(bytes)
            .map(Some)
            .map_err(|_| Status::invalid_argument("not a DeltaDiscoveryRequest"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
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
            published: None,
        };
        let mut bytes = Vec::new();
        write(&response, &mut bytes);
        let decoded = DeltaDiscoveryResponse::decode(&bytes[..]).unwrap();
        assert_eq!(decoded.system_version_info, "7");
        assert_eq!(decoded.type_url, Kind::Route.type_url());
        assert_eq!(decoded.nonce, "2a");
        assert_eq!(decoded.removed_resources, ["c", "d"]);
        let names: Vec<_> = decoded.resources.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(decoded.resources[1].resource.as_ref(), Some(&any));
    }
}
