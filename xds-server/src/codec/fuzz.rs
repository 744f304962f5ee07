//! Bytes from outside: whatever they are, they become a message or an error, and a message never harms a session.
//!
//! Requests that a client could send are changed at random, bit by bit and piece by piece, and put through all that reads
//! them ([`feed`]). What once did harm stands in `corpus.hex`, a message in each line, and is read again by every run; so is
//! what the guided fuzzer found to reach the most code (`xds-server/fuzz/corpus/`, a run of messages in each line).

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value};
use envoy_types::pb::google::rpc::Status as PbStatus;
use prost::Message;

use super::feed::{self, feed};
use super::{DeltaDiscoveryRequest, DiscoveryRequest, read};
use crate::engine::kind::Kind;
use crate::engine::session::Protocol;

const BOTH: [Protocol; 2] = [Protocol::Delta, Protocol::Sotw];

/// Random numbers that a seed brings back.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// Changes a message.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 => bytes.truncate(at),
                3 => {
                    // A length or number that is larger than anything.
                    let huge = [0xff; 9].into_iter().chain([1]).take(1 + self.below(10));
                    bytes.splice(at..at, huge);
                }
                4 => {
                    let end = (at + self.below(64)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                _ => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
        }
    }
}

fn node() -> Node {
    let text = |text: &str| Value {
        kind: Some(value::Kind::StringValue(text.to_owned())),
    };
    let object = |fields: Vec<(&str, Value)>| Value {
        kind: Some(value::Kind::StructValue(Struct {
            fields: fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        })),
    };
    let port = Value {
        kind: Some(value::Kind::NumberValue(15001.0)),
    };
    let heddle = object(vec![
        ("bind_address", text("127.0.0.1")),
        ("advertise_address", text("10.0.0.1")),
        ("app_address", text("::1")),
        ("outbound_port", port.clone()),
        ("inbound_ports", object(vec![("http", port)])),
    ]);
    Node {
        id: "p-1".into(),
        cluster: "payments".into(),
        metadata: Some(Struct {
            fields: [("heddle".to_owned(), heddle)].into(),
        }),
        ..Node::default()
    }
}

/// What a client could send.
fn seeds(protocol: Protocol) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kind in Kind::ALL {
        for (node, nonce, error) in [
            (Some(node()), "", None),
            (None, "1", None),
            (None, "2", Some("bad a".to_owned())),
        ] {
            let error_detail = error.map(|message| PbStatus {
                message,
                ..PbStatus::default()
            });
            let names = ["a", "*", "nobody", "me"].map(str::to_owned).to_vec();
            seeds.push(match protocol {
                Protocol::Delta => DeltaDiscoveryRequest {
                    node,
                    type_url: kind.type_url().into(),
                    resource_names_subscribe: names,
                    resource_names_unsubscribe: vec!["b".into()],
                    initial_resource_versions: [("a".into(), "1".into())].into(),
                    response_nonce: nonce.into(),
                    error_detail,
                    ..DeltaDiscoveryRequest::default()
                }
                .encode_to_vec(),
                Protocol::Sotw => DiscoveryRequest {
                    node,
                    type_url: kind.type_url().into(),
                    resource_names: names,
                    version_info: "00000000000000000000000000000000/s1".into(),
                    response_nonce: nonce.into(),
                    error_detail,
                    ..DiscoveryRequest::default()
                }
                .encode_to_vec(),
            });
        }
    }
    seeds
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(line: &str) -> Vec<u8> {
    let digits = line.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
    digits.map(|pair| byte(pair).unwrap()).collect()
}

/// So many sequences of up to four spoilt messages. One that does harm is printed, as lines of the corpus.
fn fuzz(seed: u64, rounds: u64) {
    let mut dice = Dice(seed | 1);
    let seeds = BOTH.map(seeds);
    for _ in 0..rounds {
        let which = dice.below(BOTH.len());
        let mut messages = Vec::new();
        for _ in 0..=dice.below(4) {
            let mut bytes = seeds[which][dice.below(seeds[which].len())].clone();
            dice.spoil(&mut bytes);
            messages.push(bytes);
        }
        let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let outcome = std::panic::catch_unwind(|| feed(BOTH[which], &slices));
        if outcome.is_err() {
            let lines: Vec<String> = messages.iter().map(|bytes| hex(bytes)).collect();
            panic!("{:?} with seed {seed}:\n{}", BOTH[which], lines.join("\n"));
        }
    }
}

#[test]
fn xds_x43_p11_the_corpus_does_no_harm() {
    let corpus: Vec<Vec<u8>> = include_str!("corpus.hex")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(unhex)
        .collect();
    assert!(corpus.len() >= 5);
    for protocol in BOTH {
        for bytes in &corpus {
            feed(protocol, &[bytes]);
        }
        let all: Vec<&[u8]> = corpus.iter().map(Vec::as_slice).collect();
        feed(protocol, &all);
        for seed in seeds(protocol) {
            feed(protocol, &[&seed]);
        }
    }
}

/// What `tests/guided.rs` keeps.
#[test]
fn xds_x43_p11_what_the_guided_fuzzer_kept_does_no_harm() {
    fn replay(corpus: &str, feed: fn(&[u8])) {
        assert!(corpus.lines().count() >= 15);
        for line in corpus.lines() {
            feed(&unhex(line));
        }
    }
    replay(include_str!("../../fuzz/corpus/delta.hex"), feed::delta);
    replay(include_str!("../../fuzz/corpus/sotw.hex"), feed::sotw);
    let http2 = include_str!("../../fuzz/corpus/http2.hex");
    replay(http2, crate::http2::feed::feed);
}

#[test]
fn sec_p11_metadata_that_is_nested_without_end_is_refused() {
    let mut deep = Value::default();
    for _ in 0..2_000 {
        let list = ListValue { values: vec![deep] };
        deep = Value {
            kind: Some(value::Kind::ListValue(list)),
        };
    }
    let node = Node {
        metadata: Some(Struct {
            fields: [("heddle".to_owned(), deep)].into(),
        }),
        ..node()
    };
    let delta = DeltaDiscoveryRequest {
        node: Some(node),
        ..DeltaDiscoveryRequest::default()
    };
    let bytes = delta.encode_to_vec();
    for protocol in BOTH {
        assert!(read(protocol, &bytes[..]).is_err());
    }
}

#[test]
fn xds_x43_p11_spoilt_requests_do_no_harm() {
    fuzz(heddle_evidence::seed(), 10_000);
}
