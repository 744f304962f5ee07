//! One resource, encoded once for all who get it.

use std::any::Any;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::kind::Kind;

/// What the owner of a resource wants to find again when a client refuses it. The engine does not look inside.
pub type About = Arc<dyn Any + Send + Sync>;

/// A named, versioned, opaque resource. Equal versions mean equal content (X14).
#[derive(Clone)]
pub struct Resource {
    /// Its type.
    pub kind: Kind,
    /// Its name, unique within its type.
    pub name: Arc<str>,
    /// The hash of its content.
    pub version: Arc<str>,
    /// The tagged `resources` field of a `DeltaDiscoveryResponse`, ready to be spliced into one.
    pub wire: Bytes,
    /// The tagged `resources` field of a `DiscoveryResponse`: a part of the same bytes, because the field of the
    /// content in the one happens to have the tag of the content in the other.
    pub state: Bytes,
    /// A digest of name and version, to add up to the version of a set.
    pub digest: u128,
    /// What has to be sent right after it, even if unchanged (X31).
    pub child: Option<(Kind, Arc<str>)>,
    /// The clusters that have to be there before it (X32).
    pub needs: Vec<Arc<str>>,
    /// For its owner.
    pub about: Option<About>,
}

impl std::fmt::Debug for Resource {
    // Not the bytes: they may be a private key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}@{}", self.kind.short(), self.name, self.version)
    }
}

const VERSION: u32 = 1;
const RESOURCE: u32 = 2;
const NAME: u32 = 3;
const RESOURCES: u32 = 2;

pub(crate) fn put_field(out: &mut impl BufMut, tag: u32, bytes: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

fn field_len(bytes: &[u8]) -> usize {
    1 + encoded_len_varint(bytes.len() as u64) + bytes.len()
}

fn digest(name: &str, version: &str) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    hasher.update(version.as_bytes());
    let mut half = [0; 16];
    hasher.finalize_xof().fill(&mut half);
    u128::from_le_bytes(half)
}

impl Resource {
    /// A resource whose content is an encoded `google.protobuf.Any`.
    #[must_use]
    pub fn new(kind: Kind, name: &str, version: &str, any: &[u8]) -> Self {
        let inner = field_len(version.as_bytes()) + field_len(any) + field_len(name.as_bytes());
        let mut wire = BytesMut::with_capacity(inner + 8);
        encode_key(RESOURCES, WireType::LengthDelimited, &mut wire);
        encode_varint(inner as u64, &mut wire);
        put_field(&mut wire, VERSION, version.as_bytes());
        let begin = wire.len();
        put_field(&mut wire, RESOURCE, any);
        let end = wire.len();
        put_field(&mut wire, NAME, name.as_bytes());
        let wire = wire.freeze();
        Self {
            kind,
            name: name.into(),
            version: version.into(),
            state: wire.slice(begin..end),
            wire,
            digest: digest(name, version),
            child: None,
            needs: Vec::new(),
            about: None,
        }
    }

    /// With what must follow it.
    #[must_use]
    pub fn followed_by(mut self, kind: Kind, name: &str) -> Self {
        self.child = Some((kind, name.into()));
        self
    }

    /// With the clusters that must precede it.
    #[must_use]
    pub fn needing(mut self, clusters: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.needs = clusters.into_iter().collect();
        self
    }

    /// With something for its owner.
    #[must_use]
    pub fn about(mut self, about: About) -> Self {
        self.about = Some(about);
        self
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse,
    };
    use envoy_types::pb::google::protobuf::Any;
    use prost::Message;

    use super::*;

    #[test]
    fn the_wire_form_is_a_resources_field() {
        let any = Any {
            type_url: "t".into(),
            value: vec![7; 300],
        };
        for name in ["a", &"n".repeat(200)] {
            let resource = Resource::new(Kind::Cluster, name, "v1", &any.encode_to_vec());
            let decoded = DeltaDiscoveryResponse::decode(resource.wire.clone()).unwrap();
            assert_eq!(decoded.resources.len(), 1);
            assert_eq!(decoded.resources[0].name, name);
            assert_eq!(decoded.resources[0].version, "v1");
            assert_eq!(
                decoded.resources[0].resource.as_ref().unwrap().value,
                any.value
            );
            assert_eq!(decoded.encoded_len(), resource.wire.len());
            let decoded = DiscoveryResponse::decode(resource.state.clone()).unwrap();
            assert_eq!(decoded.resources, std::slice::from_ref(&any));
            // The same memory, not a copy.
            let (all, part) = (resource.wire.as_ptr_range(), resource.state.as_ptr_range());
            assert!(all.start <= part.start && part.end <= all.end);
        }
    }
}
