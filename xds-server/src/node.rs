//! What an Envoy says of itself, checked for form and size before anything else looks at it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::google::protobuf::{Struct, value::Kind as Value};
use heddle_model::name::Name;
use prost::Message;

use crate::source::{ListenerClaims, NodeClaims};

/// The most that `node.metadata` may take, in bytes on the wire.
const METADATA: usize = 64 << 10;
/// The most that `node.id` and `node.cluster` may take, in bytes.
const NAME: usize = 253;
/// The most inbound ports that a proxy may have.
const PORTS: usize = 64;

/// The part of the node that is missing or malformed; a sentence for the person who wrote the bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NodeError(&'static str);

/// Reads the node of the first message of a stream.
pub(crate) fn claims(node: &Node) -> Result<NodeClaims, NodeError> {
    if !is_id(&node.id) {
        return Err(NodeError(
            "node.id is not 1 to 253 letters, digits or any of -_.:~/@",
        ));
    }
    if node.cluster.len() > NAME || node.cluster.chars().any(char::is_control) {
        return Err(NodeError("node.cluster is not the name of a service"));
    }
    let metadata = node
        .metadata
        .as_ref()
        .ok_or(NodeError("node.metadata is missing"))?;
    if metadata.encoded_len() > METADATA {
        return Err(NodeError("node.metadata is larger than 64 KiB"));
    }
    let Some(Value::StructValue(heddle)) = value(metadata, "heddle") else {
        return Err(NodeError("node.metadata.heddle is missing"));
    };
    if mode(heddle)? == Mode::Augment {
        return augment(node, heddle);
    }
    let listeners = ListenerClaims {
        bind_address: address(heddle, "bind_address").ok_or(NodeError(
            "node.metadata.heddle.bind_address is not an IP address",
        ))?,
        advertise_address: address(heddle, "advertise_address")
            .filter(reachable)
            .ok_or(NodeError(
                "node.metadata.heddle.advertise_address is not an IP address to reach",
            ))?,
        app_address: address(heddle, "app_address")
            .filter(reachable)
            .ok_or(NodeError(
                "node.metadata.heddle.app_address is not an IP address to reach",
            ))?,
        outbound_port: value(heddle, "outbound_port")
            .and_then(port)
            .ok_or(NodeError(
                "node.metadata.heddle.outbound_port is not a port",
            ))?,
        inbound_ports: inbound_ports(heddle)?,
        version: version(heddle)?,
    };
    Ok(NodeClaims {
        id: node.id.clone(),
        cluster: Some(node.cluster.clone()).filter(|cluster| !cluster.is_empty()),
        listeners: Some(listeners),
        envoy_version: envoy_version(node),
    })
}

/// What an agent says of itself: no Envoy's node, and the same words for the same things.
pub(crate) fn agent(proxy: &str, service: &str) -> Result<NodeClaims, NodeError> {
    if !is_id(proxy) {
        return Err(NodeError(
            "the proxy is not named by 1 to 253 letters, digits or any of -_.:~/@",
        ));
    }
    if !service.is_empty() && service.parse::<Name>().is_err() {
        return Err(NodeError("the service is not named as services are"));
    }
    Ok(NodeClaims {
        id: proxy.to_owned(),
        cluster: Some(service.to_owned()).filter(|service| !service.is_empty()),
        listeners: None,
        envoy_version: None,
    })
}

/// Whose listeners a proxy has.
#[derive(PartialEq, Eq)]
enum Mode {
    /// It gets them.
    Managed,
    /// It keeps its own, and gets the rest beside.
    Augment,
}

fn mode(heddle: &Struct) -> Result<Mode, NodeError> {
    match value(heddle, "mode") {
        None | Some(Value::NullValue(_)) => Ok(Mode::Managed),
        Some(Value::StringValue(text)) if text == "managed" => Ok(Mode::Managed),
        Some(Value::StringValue(text)) if text == "augment" => Ok(Mode::Augment),
        Some(_) => Err(NodeError(
            "node.metadata.heddle.mode is neither managed nor augment",
        )),
    }
}

/// A proxy with a configuration of its own: what its node is called may be meant for others, so what it is called here stands
/// beside it.
fn augment(node: &Node, heddle: &Struct) -> Result<NodeClaims, NodeError> {
    let id = match value(heddle, "proxy") {
        None => node.id.clone(),
        Some(Value::StringValue(text)) if is_id(text) => text.clone(),
        Some(_) => {
            return Err(NodeError(
                "node.metadata.heddle.proxy is not 1 to 253 letters, digits or any of -_.:~/@",
            ));
        }
    };
    let cluster = match value(heddle, "service") {
        None => Some(node.cluster.clone()).filter(|cluster| !cluster.is_empty()),
        Some(Value::StringValue(text)) if text.parse::<Name>().is_ok() => Some(text.clone()),
        Some(_) => {
            return Err(NodeError(
                "node.metadata.heddle.service is not the name of a service",
            ));
        }
    };
    Ok(NodeClaims {
        id,
        cluster,
        listeners: None,
        envoy_version: envoy_version(node),
    })
}

fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:~/@".contains(&b);
    (1..=NAME).contains(&text.len()) && text.bytes().all(allowed)
}

fn value<'a>(of: &'a Struct, field: &str) -> Option<&'a Value> {
    of.fields.get(field)?.kind.as_ref()
}

fn text<'a>(of: &'a Struct, field: &str) -> Option<&'a str> {
    match value(of, field)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn address(of: &Struct, field: &str) -> Option<IpAddr> {
    text(of, field)?.parse().ok()
}

const fn reachable(address: &IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast()
}

fn port(value: &Value) -> Option<u16> {
    match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the guard leaves ports only"
        )]
        #[expect(clippy::cast_sign_loss, reason = "the guard leaves ports only")]
        Value::NumberValue(n) if *n >= 1.0 && *n <= 65535.0 && n.fract() == 0.0 => Some(*n as u16),
        _ => None,
    }
}

fn inbound_ports(heddle: &Struct) -> Result<BTreeMap<Name, u16>, NodeError> {
    let bad = NodeError("node.metadata.heddle.inbound_ports is not an object of ports by name");
    let Some(Value::StructValue(ports)) = value(heddle, "inbound_ports") else {
        return Err(bad);
    };
    if ports.fields.len() > PORTS {
        return Err(NodeError(
            "node.metadata.heddle.inbound_ports has more than 64 entries",
        ));
    }
    let entry = |(name, number): (&String, &envoy_types::pb::google::protobuf::Value)| {
        let number = number.kind.as_ref().and_then(port)?;
        Some((name.parse().ok()?, number))
    };
    ports
        .fields
        .iter()
        .map(entry)
        .collect::<Option<_>>()
        .ok_or(bad)
}

fn version(heddle: &Struct) -> Result<Option<Name>, NodeError> {
    let bad = NodeError("node.metadata.heddle.version is not a name");
    match value(heddle, "version") {
        None | Some(Value::NullValue(_)) => Ok(None),
        Some(Value::StringValue(text)) if text.is_empty() => Ok(None),
        Some(Value::StringValue(text)) => text.parse().map(Some).map_err(|_| bad),
        Some(_) => Err(bad),
    }
}

/// As the Envoy says it. Whoever lets proxies in may refuse one that is too old.
fn envoy_version(node: &Node) -> Option<String> {
    match node.user_agent_version_type.as_ref()? {
        UserAgentVersionType::UserAgentVersion(text) => {
            let plain = text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic());
            plain.then(|| text.clone())
        }
        UserAgentVersionType::UserAgentBuildVersion(build) => {
            let v = build.version.as_ref()?;
            Some(format!("{}.{}.{}", v.major_number, v.minor_number, v.patch))
        }
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf as pb;

    use super::*;

    fn string(text: &str) -> pb::Value {
        pb::Value {
            kind: Some(Value::StringValue(text.to_owned())),
        }
    }

    fn number(n: f64) -> pb::Value {
        pb::Value {
            kind: Some(Value::NumberValue(n)),
        }
    }

    fn object(fields: impl IntoIterator<Item = (&'static str, pb::Value)>) -> pb::Value {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        pb::Value {
            kind: Some(Value::StructValue(Struct {
                fields: fields.collect(),
            })),
        }
    }

    fn node(change: impl FnOnce(&mut Vec<(&'static str, pb::Value)>)) -> Node {
        let mut heddle = vec![
            ("bind_address", string("0.0.0.0")),
            ("advertise_address", string("10.0.0.7")),
            ("app_address", string("127.0.0.1")),
            ("outbound_port", number(15001.0)),
            ("inbound_ports", object([("http", number(15006.0))])),
            ("version", string("v1")),
        ];
        change(&mut heddle);
        let Some(Value::StructValue(metadata)) = object([("heddle", object(heddle))]).kind else {
            unreachable!("object() makes an object");
        };
        Node {
            id: "payments-1".into(),
            cluster: "payments".into(),
            metadata: Some(metadata),
            ..Node::default()
        }
    }

    #[test]
    fn a_bootstrap_of_ours_is_understood() {
        let claims = claims(&node(|_| {})).unwrap();
        assert_eq!(claims.id, "payments-1");
        assert_eq!(claims.cluster.as_deref(), Some("payments"));
        let listeners = claims.listeners.unwrap();
        assert_eq!(listeners.advertise_address.to_string(), "10.0.0.7");
        assert_eq!(
            listeners.inbound_ports[&"http".parse::<Name>().unwrap()],
            15006
        );
        assert_eq!(listeners.version.unwrap().as_str(), "v1");
    }

    #[test]
    fn an_overlay_of_ours_is_understood_whatever_the_node_is_called() {
        let augment = |with: &[(&'static str, &str)]| {
            node(|fields| {
                fields.clear();
                fields.push(("mode", string("augment")));
                fields.extend(with.iter().map(|(name, text)| (*name, string(text))));
            })
        };
        let claimed = |node: &Node| {
            let claims = claims(node).unwrap();
            assert_eq!(claims.listeners, None);
            (claims.id, claims.cluster.unwrap())
        };
        let named = |id: &str, cluster: &str| (id.to_owned(), cluster.to_owned());
        assert_eq!(claimed(&augment(&[])), named("payments-1", "payments"));
        let own = augment(&[("proxy", "edge-1"), ("service", "edge")]);
        assert_eq!(claimed(&own), named("edge-1", "edge"));
        for bad in [("proxy", "a b"), ("proxy", ""), ("service", "A B")] {
            let said = claims(&augment(&[bad])).unwrap_err().0;
            assert!(said.contains(bad.0), "{bad:?}: {said}");
        }
        let strange = node(|fields| fields.push(("mode", string("proxyless"))));
        assert!(claims(&strange).unwrap_err().0.contains("mode"));
        // Who gets listeners goes by the names of the node.
        let managed = node(|fields| fields.push(("proxy", string("another"))));
        assert_eq!(claims(&managed).unwrap().id, "payments-1");
    }

    #[test]
    fn sec_p11_what_is_missing_or_malformed_is_named() {
        let refused = |node: &Node| claims(node).unwrap_err().0;
        for id in ["", "a b", "a\nb", "\u{e9}", &"x".repeat(254)] {
            let node = Node {
                id: id.to_owned(),
                ..node(|_| {})
            };
            assert!(refused(&node).starts_with("node.id"), "{id:?}");
        }
        for field in [
            "bind_address",
            "advertise_address",
            "app_address",
            "outbound_port",
            "inbound_ports",
        ] {
            let without = node(|fields| fields.retain(|(name, _)| *name != field));
            assert!(refused(&without).contains(field), "{field}");
            let wrong = node(|fields| {
                fields.retain(|(name, _)| *name != field);
                fields.push((field, string("localhost")));
            });
            assert!(refused(&wrong).contains(field), "{field}");
        }
        for bad in [0.0, -1.0, 65536.0, 80.5, f64::NAN, f64::INFINITY] {
            let node = node(|fields| fields.push(("outbound_port", number(bad))));
            assert!(refused(&node).contains("outbound_port"), "{bad}");
        }
        let unreachable = node(|fields| fields.push(("advertise_address", string("0.0.0.0"))));
        assert!(refused(&unreachable).contains("advertise_address"));
        let version = node(|fields| fields.push(("version", string("V 1"))));
        assert!(refused(&version).contains("version"));
    }

    #[test]
    fn sec_p11_metadata_is_limited_in_size() {
        let large = node(|fields| fields.push(("padding", string(&"x".repeat(METADATA)))));
        assert!(claims(&large).unwrap_err().0.contains("64 KiB"));
    }
}
