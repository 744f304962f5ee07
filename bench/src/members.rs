//! The services and the proxies of a mesh under load.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind as Json;
use envoy_types::pb::google::protobuf::{Struct, Value as JsonValue};
use prost::Message as _;
use serde_json::{Value, json};

use crate::fleet::Member;

/// The n-th of so many services, which calls the next `scope`; 0: it does not say whom.
pub fn spec(number: usize, services: usize, scope: usize) -> Value {
    let ports = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
    let next = (1..=scope).map(|n| json!({"service": service((number + n) % services)}));
    match scope {
        0 => json!({"ports": ports}),
        _ => json!({"ports": ports, "upstreams": next.collect::<Vec<_>>()}),
    }
}

/// Whether the n-th proxy knows a service, of so many of which each calls the next `scope`.
pub fn knows(proxy: usize, service: usize, services: usize, scope: usize) -> bool {
    let distance = (services + service - proxy % services) % services;
    scope == 0 || (1..=scope).contains(&distance)
}

/// The name of the n-th service.
pub fn service(number: usize) -> String {
    format!("s{number:04}")
}

/// The n-th proxy, with an address of its own: services in turn.
pub fn member(number: usize, tokens: &[Arc<str>]) -> Member {
    let [_, high, middle, low] = u32::try_from(number + 1).unwrap_or_default().to_be_bytes();
    at(number, tokens, &format!("10.{high}.{middle}.{low}"))
}

/// The n-th proxy at an address of one's choice: where others would reach it. Nothing is ever sent there.
pub fn at(number: usize, tokens: &[Arc<str>], address: &str) -> Member {
    let service_number = number % tokens.len();
    let text = |value: &str| Json::StringValue(value.to_owned());
    let ports = object([("http", Json::NumberValue(15006.0))]);
    let heddle = object([
        ("bind_address", text("0.0.0.0")),
        ("advertise_address", text(address)),
        ("app_address", text("127.0.0.1")),
        ("outbound_port", Json::NumberValue(15001.0)),
        ("inbound_ports", Json::StructValue(ports)),
    ]);
    let node = Node {
        id: format!("p{number:05}"),
        cluster: service(service_number),
        metadata: Some(object([("heddle", Json::StructValue(heddle))])),
        ..Node::default()
    };
    Member {
        node: node.encode_to_vec().into(),
        token: Some(tokens[service_number].clone()),
    }
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Struct {
    let fields = fields
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), JsonValue { kind: Some(kind) }));
    Struct {
        fields: fields.collect(),
    }
}
