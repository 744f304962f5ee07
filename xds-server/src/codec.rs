//! Messages on the wire: requests decoded by the published types, responses spliced from encoded resources.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use prost::Message;

use crate::engine::resource::{Resource, put_field};
use crate::engine::session::{Protocol, Request, Response, StateRequest};

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

/// Up to this size, in bytes, a response is one buffer of exactly its size: copying it costs less than the frames and
/// the entries of a `writev` that its parts would be.
const SMALL: usize = 16 << 10;
/// Parts of a larger one that have at least this size, in bytes, are the resources' own; what lies between is copied.
const SHARED: usize = 1 << 10;

/// The field of a response that a resource is.
const fn field(protocol: Protocol, resource: &Resource) -> &Bytes {
    match protocol {
        Protocol::Delta => &resource.wire,
        Protocol::Sotw => &resource.state,
    }
}

/// Writes a response as a gRPC message: the resources were encoded when they were made, and the bytes of large ones are
/// shared between all streams.
pub(crate) fn write(protocol: Protocol, response: &Response, out: &mut VecDeque<Bytes>) {
    let (head, tail) = envelope(protocol, response);
    let fields = response.resources.iter().map(|r| field(protocol, r));
    let body: usize = fields.clone().map(Bytes::len).sum();
    let length = head.len() + body + tail.len();
    let prefix = |run: &mut BytesMut| {
        // Not compressed. No response comes near 4 GiB: resources are what fits into memory many times.
        run.put_u8(0);
        run.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        run.put_slice(&head);
    };
    if length <= SMALL {
        let mut whole = BytesMut::with_capacity(PREFIX + length);
        prefix(&mut whole);
        fields.for_each(|bytes| whole.put_slice(bytes));
        whole.put_slice(&tail);
        out.push_back(whole.freeze());
        return;
    }
    let mut run = BytesMut::with_capacity(SMALL);
    prefix(&mut run);
    for bytes in fields {
        if bytes.len() >= SHARED {
            out.push_back(run.split().freeze());
            out.push_back(bytes.clone());
        } else {
            run.put_slice(bytes);
            if run.len() >= SMALL {
                out.push_back(run.split().freeze());
            }
        }
    }
    run.put_slice(&tail);
    out.push_back(run.freeze());
}

/// The prefix of a gRPC message: a flag and a length.
pub(crate) const PREFIX: usize = 5;

/// What stands before the resources of a response, and after them.
fn envelope(protocol: Protocol, response: &Response) -> (Vec<u8>, Vec<u8>) {
    // What most of them take, so that they do not grow byte by byte.
    let (mut head, mut tail) = (Vec::with_capacity(48), Vec::with_capacity(160));
    let type_url = response.kind.type_url().as_bytes();
    let nonce = response.nonce.as_bytes();
    let revision = response.revision.to_string();
    match protocol {
        Protocol::Delta => {
            put_field(&mut head, delta::SYSTEM_VERSION_INFO, revision.as_bytes());
            put_field(&mut tail, delta::TYPE_URL, type_url);
            put_field(&mut tail, delta::NONCE, nonce);
            for name in &response.removed {
                put_field(&mut tail, delta::REMOVED_RESOURCES, name.as_bytes());
            }
        }
        Protocol::Sotw => {
            put_field(&mut head, sotw::VERSION_INFO, response.version.as_bytes());
            put_field(&mut tail, sotw::TYPE_URL, type_url);
            put_field(&mut tail, sotw::NONCE, nonce);
            // There is no other place for the revision (X15).
            let mut identifier = Vec::new();
            let text = format!("heddle@{revision}");
            put_field(&mut identifier, sotw::IDENTIFIER, text.as_bytes());
            put_field(&mut tail, sotw::CONTROL_PLANE, &identifier);
        }
    }
    (head, tail)
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

#[cfg(any(test, fuzzing))]
pub(crate) mod feed;
#[cfg(test)]
mod fuzz;
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
        let bytes = message(Protocol::Delta, &response);
        let decoded = DeltaDiscoveryResponse::decode(&bytes[..]).unwrap();
        assert_eq!(decoded.system_version_info, "7");
        assert_eq!(decoded.type_url, Kind::Route.type_url());
        assert_eq!(decoded.nonce, "2a");
        assert_eq!(decoded.removed_resources, ["c", "d"]);
        let names: Vec<_> = decoded.resources.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(decoded.resources[1].resource.as_ref(), Some(&any));

        let bytes = message(Protocol::Sotw, &response);
        let decoded = DiscoveryResponse::decode(&bytes[..]).unwrap();
        assert_eq!(decoded.version_info, "9");
        assert_eq!(decoded.type_url, Kind::Route.type_url());
        assert_eq!(decoded.nonce, "2a");
        assert_eq!(decoded.resources, [any.clone(), any]);
        assert_eq!(decoded.control_plane.unwrap().identifier, "heddle@7");
    }

    fn parts(protocol: Protocol, response: &Response) -> Vec<Bytes> {
        let mut out = VecDeque::new();
        write(protocol, response, &mut out);
        out.into()
    }

    /// The message in its frame.
    fn message(protocol: Protocol, response: &Response) -> Vec<u8> {
        let all = parts(protocol, response).concat();
        let (prefix, message) = all.split_at(PREFIX);
        assert_eq!(prefix[0], 0);
        assert_eq!(
            &prefix[1..],
            u32::try_from(message.len()).unwrap().to_be_bytes()
        );
        message.to_vec()
    }

    fn response(sizes: &[usize]) -> Response {
        let resources = sizes.iter().enumerate().map(|(n, size)| {
            let any = Any {
                type_url: Kind::Endpoints.type_url().into(),
                value: vec![7; *size],
            };
            let any = any.encode_to_vec();
            Arc::new(Resource::new(Kind::Endpoints, &format!("r{n}"), "v", &any))
        });
        Response {
            kind: Kind::Endpoints,
            nonce: "1".into(),
            revision: 1,
            resources: resources.collect(),
            removed: Vec::new(),
            version: String::new(),
            published: None,
        }
    }

    #[test]
    fn small_responses_are_one_buffer_and_large_ones_share_what_is_large() {
        assert_eq!(parts(Protocol::Delta, &response(&[300; 20])).len(), 1);
        for protocol in [Protocol::Delta, Protocol::Sotw] {
            let large = response(&[300, 40_000, 300, 300, 2_000, 300]);
            let all = parts(protocol, &large);
            let pointers: Vec<_> = all.iter().map(|bytes| bytes.as_ptr()).collect();
            for (n, resource) in large.resources.iter().enumerate() {
                let shared = pointers.contains(&field(protocol, resource).as_ptr());
                assert_eq!(shared, n == 1 || n == 4, "{n}");
            }
            let bytes = message(protocol, &large);
            let decoded = match protocol {
                Protocol::Delta => {
                    let decoded = DeltaDiscoveryResponse::decode(&bytes[..]).unwrap();
                    let resources = decoded.resources.into_iter();
                    resources.map(|r| r.resource.unwrap()).collect()
                }
                Protocol::Sotw => DiscoveryResponse::decode(&bytes[..]).unwrap().resources,
            };
            let sizes: Vec<_> = decoded.iter().map(|any| any.value.len()).collect();
            assert_eq!(sizes, [300, 40_000, 300, 300, 2_000, 300]);
        }
    }

    #[test]
    fn xds_x39_nothing_that_is_sent_has_a_time_to_live() {
        let bytes = message(Protocol::Delta, &response(&[10, 20]));
        let decoded = DeltaDiscoveryResponse::decode(&bytes[..]).unwrap();
        assert!(decoded.resources.iter().all(|r| r.ttl.is_none()));
    }

    /// What writing a response costs, against copying it into a buffer that the stream keeps, which is what a codec of
    /// tonic does. Prints its figures; build it with optimisation to believe them.
    #[test]
    #[ignore = "prints figures and checks nothing; run by name, with --release"]
    #[expect(clippy::print_stderr, reason = "that is what it is for")]
    fn cost_of_writing_a_response() {
        let copied = |response: &Response, kept: &mut BytesMut| {
            let (head, tail) = envelope(Protocol::Delta, response);
            kept.reserve(PREFIX);
            kept.put_bytes(0, PREFIX);
            kept.put_slice(&head);
            for resource in &response.resources {
                kept.put_slice(&resource.wire);
            }
            kept.put_slice(&tail);
            kept.split().freeze()
        };
        for (name, sizes) in [
            ("one of 300 B", vec![300]),
            ("one of 22 KB", vec![22_000]),
            ("20 of 300 B", vec![300; 20]),
            ("1,000 of 300 B", vec![300; 1_000]),
            ("100 of 22 KB", vec![22_000; 100]),
        ] {
            let response = response(&sizes);
            let rounds = 200_000 / (sizes.len() + sizes[0] / 100) + 1;
            let time = |work: &mut dyn FnMut()| {
                let mut best = std::time::Duration::MAX;
                for _ in 0..5 {
                    let began = tokio::time::Instant::now();
                    (0..rounds).for_each(|_| work());
                    best = best.min(began.elapsed());
                }
                best / u32::try_from(rounds).unwrap()
            };
            let mut kept = BytesMut::new();
            let before = time(&mut || drop(std::hint::black_box(copied(&response, &mut kept))));
            let mut out = VecDeque::new();
            let after = time(&mut || {
                write(Protocol::Delta, std::hint::black_box(&response), &mut out);
                out.clear();
            });
            let all: usize = parts(Protocol::Delta, &response)
                .iter()
                .map(Bytes::len)
                .sum();
            let shared = response
                .resources
                .iter()
                .filter(|r| all > SMALL && r.wire.len() >= SHARED);
            let shared: usize = shared.map(|r| r.wire.len()).sum();
            eprintln!(
                "{name}: copied {before:?}, written {after:?}; a stream holds {all} B, now {} B of its own",
                all - shared
            );
        }
    }

    #[test]
    fn long_refusals_are_cut_between_characters() {
        let long = clipped("\u{e9}".repeat(5_000));
        assert_eq!(long.len(), 4096);
        assert_eq!(clipped("short".into()), "short");
    }
}
