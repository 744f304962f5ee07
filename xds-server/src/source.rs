//! What this crate asks of the rest of the server: traits that `heddled` joins to the store and the CA.
//!
//! Everything that a proxy may see or do is decided behind these traits; this crate never learns of a
//! database, and the store never learns of streams.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use heddle_model::code::Code;
use heddle_model::id::{AccessRuleId, AuthorityId, MeshId, OrgId, ProxyId};
use heddle_model::kind::Kind as ModelKind;
use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_model::workload::Endpoint;
use tokio::sync::broadcast;

use crate::trust::{Held, Trust};

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

/// What a proxy saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Observed {
    /// A call in plain text.
    PlainText,
    /// A call that this access rule, which only reports, would have refused.
    WouldDeny(AccessRuleId),
}

/// Whom a proxy saw, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sighting {
    /// The service that was called: the proxy's own.
    pub service: Name,
    /// The port, by the proxy's word.
    pub port: Name,
    /// What was seen.
    pub what: Observed,
    /// An address, or a SPIFFE id.
    pub caller: String,
}

/// How often somebody was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Requests that have ended.
    pub requests: u64,
    /// Those among them that were refused, whatever the mode.
    pub refused: u64,
}

/// What proxies of a mesh have reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reported {
    /// Whom they saw how often.
    pub seen: BTreeMap<Sighting, Times>,
    /// Which of them were heard.
    pub heard: BTreeSet<ProxyId>,
    /// Who has told of something that is not in here, nor in anything before.
    pub lost: BTreeSet<ProxyId>,
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

/// An object and field that a rejected resource came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NackOrigin {
    /// The kind of object.
    pub kind: ModelKind,
    /// Its identifier.
    pub id: String,
    /// Its name with its parents ("payments/all").
    pub name: String,
    /// The field, as a JSON pointer into the object; empty for the whole of it.
    pub pointer: String,
    /// The mesh revision that wrote the object last.
    pub revision: u64,
}

/// A resource that a proxy refuses; it keeps the last good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// "cds", "eds", "lds", "rds" or "sds".
    pub kind: &'static str,
    /// The name of the resource.
    pub resource: String,
    /// The refused version.
    pub version: String,
    /// What caused it, where that is known.
    pub origin: Option<NackOrigin>,
    /// Envoy's words: at most 4 KiB, control characters escaped. Text from outside.
    pub message: String,
    /// When it was refused first.
    pub at: DateTime<Utc>,
}

/// How a proxy is set up, by its own words: what decides which listeners it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Where its listeners bind.
    pub bind_address: IpAddr,
    /// Where its application listens.
    pub app_address: IpAddr,
    /// The port of the outbound listener.
    pub outbound_port: u16,
    /// The port of the inbound listener for each port of the service.
    pub inbound_ports: BTreeMap<Name, u16>,
}

/// What is known of a proxy right now; a later status of the same proxy replaces an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyStatus {
    /// Which proxy.
    pub proxy: ProxyId,
    /// Whether it has a stream.
    pub connected: bool,
    /// Whether it keeps its own listeners, beside what it gets.
    pub augments: bool,
    /// Where it takes calls; `None` means that it is no endpoint (any more).
    pub registration: Option<Endpoint>,
    /// How long the registration holds without further news. Long, because a control plane that is down must
    /// not empty clusters: a proxy that left is withdrawn explicitly.
    pub lease_until: Option<DateTime<Utc>>,
    /// The Envoy's version, if it says so.
    pub envoy_version: Option<String>,
    /// What decides its listeners; `None`: as before.
    pub setup: Option<Setup>,
    /// The serial number of the leaf that it has acknowledged; `None`: as before.
    pub leaf_serial: Option<String>,
    /// The newest mesh revision of which it has acknowledged everything. While it is connected, no more than `target_revision`:
    /// when the two are equal it is as far as the server, see [`SnapshotSource::checkpoint`].
    pub acked_revision: Option<u64>,
    /// The mesh revision that gave it the configuration that it should have; later ones do not concern it.
    pub target_revision: Option<u64>,
    /// Types with something that is not acknowledged, in the order CDS, EDS, LDS, RDS, SDS.
    pub pending_types: Vec<&'static str>,
    /// What it refuses right now.
    pub nacks: Vec<Nack>,
    /// When this was true.
    pub seen_at: DateTime<Utc>,
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

/// A leaf certificate with its key.
pub struct Leaf {
    /// Lower-case hex; the version of the secret.
    pub serial: String,
    /// What signed it.
    pub authority: AuthorityId,
    /// Leaf, then issuing certificate.
    pub chain_pem: String,
    /// The private key. Wiped when dropped.
    pub key_pem: zeroize::Zeroizing<String>,
    /// When to replace it.
    pub renew_at: DateTime<Utc>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf")
            .field("serial", &self.serial)
            .field("renew_at", &self.renew_at)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// A certificate for a key that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The only name in it.
    pub spiffe_id: String,
    /// Lower-case hex.
    pub serial: String,
    /// It, then the one that signed it.
    pub chain_pem: String,
    /// When to replace it.
    pub renew_at: DateTime<Utc>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

/// Why a certificate request is not taken: a sentence for whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestRefused(pub String);

/// Where identities come from: the CA of the mesh.
#[async_trait]
pub trait IdentitySource: Send + Sync + 'static {
    /// A new leaf with a new key for this proxy.
    ///
    /// # Errors
    /// None can be issued right now.
    async fn leaf(&self, proxy: &Proxy, trust_domain: &str) -> Result<Leaf, SourceError>;

    /// A certificate for the key of a request (PKCS#10 in DER, from outside). Who it names is this proxy, whatever the request says.
    ///
    /// # Errors
    /// None can be issued right now.
    async fn certify(
        &self,
        proxy: &Proxy,
        trust_domain: &str,
        request: &[u8],
    ) -> Result<Result<Certified, RequestRefused>, SourceError>;

    /// The leaf of this serial, which the proxy says it holds; `None` when it needs replacement
    /// now: unknown, another proxy's, revoked, or past its half-life. The serial is text from outside.
    ///
    /// # Errors
    /// The source cannot tell right now.
    async fn is_current(
        &self,
        proxy: &Proxy,
        trust_domain: &str,
        serial: &str,
    ) -> Result<Option<Held>, SourceError>;

    /// What proxies of this mesh trust now, no older than the mesh that was loaded before.
    ///
    /// # Errors
    /// It cannot be had right now; the caller keeps what it has.
    async fn trust(&self, mesh: MeshKey, trust_domain: &str) -> Result<Trust, SourceError>;

    /// The same, no older than this revision of the mesh, which somebody has seen: for many who come one after the other.
    ///
    /// # Errors
    /// As [`IdentitySource::trust`].
    async fn trust_since(
        &self,
        mesh: MeshKey,
        trust_domain: &str,
        revision: u64,
    ) -> Result<Trust, SourceError>;
}
