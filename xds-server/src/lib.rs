//! Streams to Envoys: ADS over TLS, in the incremental and the state-of-the-world protocol; and certificates for workloads that keep
//! their keys.
//!
//! Here live the protocol state machines (`engine`, which knows nothing of meshes), the graph that turns changes of
//! a mesh into resources ([`translate`](heddle_translate) does the work), the registry of workloads, and the server
//! that authenticates proxies and drives one session for each stream. What does not live here: Postgres, keys and
//! signing, the REST surface. The crate asks for what it needs by the traits in [`source`]; only `heddled` and the
//! tests depend on it. A new resource type is one line in `engine/kind.rs`.
#![warn(missing_docs)]

mod codec;
pub mod engine;
#[cfg(fuzzing)]
pub mod fuzzing;
mod graph;
mod http2;
mod node;
mod registry;
mod serve;
pub mod source;
mod status;
mod telemetry;
mod tls;
mod trust;

pub use heddle_translate::ReportsTo;
pub use serve::{Options, ServeError, serve};
pub use source::{
    AgentSeen, Certified, Heads, IdentitySource, Joined, Kept, Leaf, ListenerClaims, MeshKey, Nack,
    NackOrigin, News, NodeClaims, Observed, Proxy, ProxyStatus, Refusal, Reported, RequestRefused,
    Setup, Sighting, SnapshotSource, SourceError, Times, Used, Workload, Workloads,
};
pub use tls::ServerTls;
pub use trust::{Held, Replacing, Trust};
