//! What this crate asks of the rest of the server: traits that `heddled` joins to the store and the CA.
//!
//! Everything that a proxy may see or do is decided behind these traits; this crate never learns of a
//! database, and the store never learns of streams.

mod identity;
mod report;
mod status;

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;
use heddle_model::code::Code;
use heddle_model::id::{MeshId, OrgId, ProxyId};
use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_model::workload::Endpoint;
use tokio::sync::broadcast;

pub use identity::{Certified, IdentitySource, Leaf, RequestRefused};
pub use report::{Observed, Reported, Sighting, Times};
pub use status::{Nack, NackOrigin, ProxyStatus, Setup};

/// Which mesh of which organisation: the key of everything that is kept in memory, so that two tenants
/// with equal names can never share an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeshKey {
    /// The tenant.
    pub org: OrgId,
    /// Its mesh.
    pub mesh: MeshId,
}

/// Who a stream belongs to: proven by its join token, never by what the Envoy says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its mesh.
    pub mesh: MeshKey,
    /// Its identifier.
    pub proxy: ProxyId,
    /// The service that it stands in front of.
    pub service: Name,
}

/// How far a mesh is: its configuration, and the news about its proxies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heads {
    /// Its revision.
    pub revision: u64,
    /// The number of the newest news about its proxies, whichever server brought them.
    pub status: u64,
}

/// A proxy that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// It.
    pub proxy: Proxy,
    /// The SPIFFE trust domain of its mesh, without the scheme.
    pub trust_domain: String,
    /// How far its mesh was then. Whatever another server has shown it is no newer, so from here on it is shown nothing that is older.
    pub heads: Heads,
}

/// A workload, as the source knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Its proxy.
    pub proxy: ProxyId,
    /// The service that it belongs to.
    pub service: Name,
    /// Whether its proxy has a stream, here or at another server.
    pub connected: bool,
    /// Whether this server was the last to say something about it.
    pub here: bool,
    /// Where it takes calls; `None` means that it is no endpoint (any more).
    pub endpoint: Option<Endpoint>,
}

/// Workloads, up to a number of the news about proxies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workloads {
    /// Everything up to this number is in it.
    pub status: u64,
    /// They.
    pub workloads: Vec<Workload>,
}

/// What a checkpoint was counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The number of the news before it.
    pub before: u64,
    /// The number of its last.
    pub status: u64,
}

/// Why to look at something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A mesh may have another revision.
    Configuration(MeshKey),
    /// There are news about proxies of a mesh, up to this number: those of this server, too.
    Proxies(MeshKey, u64),
    /// Others took this server for gone, so they may have written over what it wrote: it writes that again.
    Lapsed,
}

/// What an Envoy says of itself in the first message of a stream: checked for form and size, believed only
/// where it concerns nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeClaims {
    /// Names the proxy within its service: `node.id`, unless the Envoy keeps that for something else.
    pub id: String,
    /// The service that it says it belongs to, if it does; must equal that of the join token.
    pub cluster: Option<String>,
    /// Where its listeners are; `None` when it keeps its own and takes no calls of the mesh.
    pub listeners: Option<ListenerClaims>,
    /// The Envoy's own version ("1.40.0"), if it says so.
    pub envoy_version: Option<String>,
}

/// Where the listeners are that a proxy gets, and what is behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerClaims {
    /// Where its listeners bind.
    pub bind_address: IpAddr,
    /// Where other proxies reach it.
    pub advertise_address: IpAddr,
    /// Where its application listens.
    pub app_address: IpAddr,
    /// The port of the outbound listener.
    pub outbound_port: u16,
    /// The port of the inbound listener for each port of the service.
    pub inbound_ports: BTreeMap<Name, u16>,
    /// Which version of the service the application is.
    pub version: Option<Name>,
}

impl ListenerClaims {
    pub(crate) fn setup(&self) -> Setup {
        Setup {
            bind_address: self.bind_address,
            app_address: self.app_address,
            outbound_port: self.outbound_port,
            inbound_ports: self.inbound_ports.clone(),
        }
    }
}

/// A proxy that keeps its key, as it is seen now: it has no stream, and watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSeen {
    /// It.
    pub proxy: ProxyId,
    /// The certificate that it says it holds. Text from outside.
    pub serial: Option<String>,
    /// The revision up to which it trusts whom it should; `None`: it is behind, or nobody knows.
    pub revision: Option<u64>,
}

/// Why a proxy may not have a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code; its status decides the gRPC code.
    pub code: Code,
}

/// Something behind a trait failed; it may work later.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
pub struct SourceError {
    /// What was being done, as a present-tense phrase ("load snapshot").
    pub context: &'static str,
    /// What went wrong there.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl SourceError {
    /// Wraps a failure with what was being done.
    pub fn new(
        context: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            context,
            source: source.into(),
        }
    }
}

/// What proxies of a mesh used since it was told last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Responses that were sent to them.
    pub responses: u64,
    /// For how long they were connected, added up, in whole seconds.
    pub connected_seconds: u64,
}

/// Where meshes, tokens and leases come from and where status goes to.
#[async_trait]
pub trait SnapshotSource: Send + Sync + 'static {
    /// Verifies a join token alone: what methods without a node are authenticated by. Binds nothing. `from` is the other end.
    ///
    /// # Errors
    /// The source cannot tell right now.
    async fn authenticate(
        &self,
        secret: &str,
        from: IpAddr,
    ) -> Result<Result<(), Refusal>, SourceError>;

    /// Verifies a join token, binds `node.id` at first use and says who the proxy is.
    ///
    /// # Errors
    /// The source cannot tell right now.
    async fn join(
        &self,
        secret: &str,
        node: &NodeClaims,
        from: IpAddr,
    ) -> Result<Result<Joined, Refusal>, SourceError>;

    /// The mesh as it is now; `None` when it was deleted. `known` is what this gave before, if it did: what has not changed since need
    /// not be read again.
    ///
    /// # Errors
    /// It cannot be loaded; the caller keeps the last one.
    async fn snapshot(
        &self,
        mesh: MeshKey,
        known: Option<&MeshSnapshot>,
    ) -> Result<Option<MeshSnapshot>, SourceError>;

    /// The workloads of the mesh about which there are news after the number `after`, but for those that are connected here; without a
    /// number, every endpoint with a live lease.
    ///
    /// # Errors
    /// They cannot be loaded; until they were once, the caller answers nothing.
    async fn workloads(&self, mesh: MeshKey, after: Option<u64>) -> Result<Workloads, SourceError>;

    /// Tells what to look at again. A receiver that lagged looks at all that it has.
    fn changed(&self) -> broadcast::Receiver<News>;

    /// Which of these proxies may no longer have a stream, each with what it is told: revoked, token revoked, proxy forgotten,
    /// mesh deleted.
    /// Asked at most every 2 seconds for each mesh, in one call for all its connected proxies.
    ///
    /// # Errors
    /// The source cannot tell right now; streams stay.
    async fn revoked(
        &self,
        mesh: MeshKey,
        proxies: &[ProxyId],
    ) -> Result<Vec<(ProxyId, Refusal)>, SourceError>;

    /// The revision of a mesh as far as it was heard of; what is read after this is no older.
    fn heard_of(&self, mesh: MeshKey) -> Option<u64>;

    /// Whether authorities of the mesh are being replaced, as far as that was heard of.
    fn is_rotating(&self, mesh: MeshKey) -> bool;

    /// Keeps what is seen of some of those that keep their keys.
    ///
    /// # Errors
    /// Nothing was kept; the caller tries again with newer entries.
    async fn watching(&self, mesh: MeshKey, agents: Vec<AgentSeen>) -> Result<(), SourceError>;

    /// The proxy of a mesh that a certificate (DER, from outside) was issued to; whoever shows it has proven to have its key. `None`: it
    /// is not of that mesh, has ended, or is not to be trusted any more.
    ///
    /// # Errors
    /// The source cannot tell right now.
    async fn reporter(
        &self,
        mesh: MeshKey,
        certificate: &[u8],
    ) -> Result<Option<Proxy>, SourceError>;

    /// Keeps what proxies have reported.
    ///
    /// # Errors
    /// Nothing was kept. It is not tried again: counts are "at least".
    async fn reported(&self, mesh: MeshKey, reported: Reported) -> Result<(), SourceError>;

    /// Counts what proxies used. Told every few seconds, and never twice.
    fn used(&self, mesh: MeshKey, used: Used);

    /// Keeps what is known of proxies; each entry replaces the earlier one of its proxy. Everything up to the revision `offered` was
    /// shown to the proxies that are connected here, as far as it concerns them; both are kept together or not at all.
    /// Returns what that was counted as; `None` when there was nothing to keep.
    ///
    /// # Errors
    /// Nothing was kept; the caller tries again with newer entries.
    async fn checkpoint(
        &self,
        mesh: MeshKey,
        offered: Option<u64>,
        batch: Vec<ProxyStatus>,
    ) -> Result<Option<Kept>, SourceError>;
}
