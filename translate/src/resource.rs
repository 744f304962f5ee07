//! What translation hands out: encoded Envoy resources that know where they came from.

use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::google::protobuf::Any;
use heddle_model::kind::Kind;
use prost::{Message, Name};
use serde::Serialize;

/// The types of resources, in the order in which a change reaches a proxy without breaking a request:
/// clusters before the endpoints in them, both before the listeners and routes that use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceType {
    /// CDS.
    Cluster,
    /// EDS: a `ClusterLoadAssignment`.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS: a `RouteConfiguration`.
    Route,
    /// SDS.
    Secret,
}

impl ResourceType {
    /// All types, in make-before-break order.
    pub const ALL: [Self; 5] = [
        Self::Cluster,
        Self::Endpoints,
        Self::Listener,
        Self::Route,
        Self::Secret,
    ];

    /// The type URL on the wire.
    #[must_use]
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    /// The type that a URL on the wire names.
    #[must_use]
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// What the protocol calls it: `CDS`, `EDS`, `LDS`, `RDS`, `SDS`.
    #[must_use]
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Cluster => "CDS",
            Self::Endpoints => "EDS",
            Self::Listener => "LDS",
            Self::Route => "RDS",
            Self::Secret => "SDS",
        }
    }
}

impl std::fmt::Display for ResourceType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.short_name())
    }
}

/// Which resource: type and name.
pub type ResourceKey = (ResourceType, String);

/// One Envoy resource, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its type.
    pub kind: ResourceType,
    /// Its name, from [`crate::naming`]; unique within the type.
    pub name: String,
    /// An encoded `google.protobuf.Any`.
    pub body: Bytes,
    /// Changes exactly when the content does: the hex of the first 128 bits of a BLAKE3 hash of `body`; of a
    /// proxy's own leaf the serial of its certificate.
    pub version: String,
    /// What it was made from; never empty, except of secrets, which no object of a user made.
    pub origins: Vec<Origin>,
    /// What must be sent again after this one was, even if unchanged: the endpoints of an EDS cluster, the
    /// routes of a listener.
    pub child: Option<ResourceKey>,
    /// What must be there before this one: the clusters that a route configuration names; sorted.
    pub needs: Vec<ResourceKey>,
}

impl Resource {
    /// Encodes a message; the version is the hash of its content.
    pub(crate) fn new<M: Message + Name>(
        kind: ResourceType,
        name: String,
        message: &M,
        origins: Vec<Origin>,
    ) -> Self {
        let packed = any(message);
        debug_assert_eq!(packed.type_url, kind.type_url());
        let body = Bytes::from(packed.encode_to_vec());
        let version = hex::encode(&blake3::hash(&body).as_bytes()[..16]);
        Self::versioned(kind, name, body, version, origins)
    }

    /// Wraps an encoded resource whose version is something else than its hash.
    pub(crate) const fn versioned(
        kind: ResourceType,
        name: String,
        body: Bytes,
        version: String,
        origins: Vec<Origin>,
    ) -> Self {
        Self {
            kind,
            name,
            body,
            version,
            origins,
            child: None,
            needs: Vec::new(),
        }
    }

    /// Names what follows it.
    pub(crate) fn followed_by(mut self, kind: ResourceType, name: String) -> Self {
        self.child = Some((kind, name));
        self
    }

    /// Names what must be there first.
    pub(crate) fn needing(mut self, needs: impl IntoIterator<Item = ResourceKey>) -> Self {
        self.needs.extend(needs);
        self.needs.sort();
        self.needs.dedup();
        self
    }
}

/// Packs a message with its type URL.
pub(crate) fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

/// Where a part of an Envoy resource came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// The kind of the object.
    pub kind: Kind,
    /// The object's identifier, as text.
    pub id: String,
    /// The object's path below its mesh (`payments/all`); of the mesh itself its name.
    pub name: String,
    /// A JSON pointer into the object; empty for the whole of it.
    pub pointer: String,
    /// The mesh revision that wrote the object last.
    pub revision: u64,
    /// The part of the Envoy resource that this explains: a text that Envoy repeats when it complains about the
    /// part (a route's or cluster's name, an access rule's id); empty for the whole resource.
    pub within: String,
}

/// Something that a user should know about an object whose configuration could not be used as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// Which object, and where in it.
    pub origin: Origin,
    /// What is wrong, and what happens instead.
    pub message: String,
}

/// What one translation gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Sorted by type and name; no two have both in common.
    pub resources: Vec<Resource>,
    /// Sorted.
    pub diagnostics: Vec<Diagnostic>,
}

impl Output {
    pub(crate) fn new(mut resources: Vec<Resource>, mut diagnostics: Vec<Diagnostic>) -> Self {
        resources.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        diagnostics.sort();
        diagnostics.dedup();
        Self {
            resources,
            diagnostics,
        }
    }
}

/// What the operator decides, as opposed to the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a proxy's certificate lives. Connections are closed after half of it, so that none outlives the
    /// certificate that it was made with.
    pub leaf_lifetime: Duration,
}
