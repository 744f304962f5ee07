//! The resource types that are served: one line each, in the order in which they are made and broken.

/// A type of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// SDS.
    Secret,
}

/// How many types there are.
pub const KINDS: usize = Kind::ALL.len();

impl Kind {
    /// Every type, in the make-before-break order (X30): what is referred to goes before what refers to it.
    /// Removals of clusters and endpoints come after all of them.
    pub const ALL: [Self; 5] = [
        Self::Cluster,
        Self::Endpoints,
        Self::Listener,
        Self::Route,
        Self::Secret,
    ];

    /// Its place in [`Kind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name on the wire.
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

    /// Its short name, in metrics, the API and logs.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Cluster => "cds",
            Self::Endpoints => "eds",
            Self::Listener => "lds",
            Self::Route => "rds",
            Self::Secret => "sds",
        }
    }

    /// The type that a wire name means, if it is one of ours.
    #[must_use]
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// Whether a first request without names means all of them (X16).
    #[must_use]
    pub const fn has_legacy_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    /// Whether a state-of-the-world response holds all that there is, so that what it leaves out is deleted (X24, X25).
    #[must_use]
    pub const fn comes_whole(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    /// Whether removals wait until nothing routes there any more (X33).
    #[must_use]
    pub const fn removed_last(self) -> bool {
        matches!(self, Self::Cluster | Self::Endpoints)
    }

    /// Whether its resources wait for the clusters that they need (X32).
    #[must_use]
    pub const fn waits_for_clusters(self) -> bool {
        matches!(self, Self::Listener | Self::Route)
    }
}
