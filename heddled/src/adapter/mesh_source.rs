//! The xDS server's meshes, from the store; and the feed that says which of them changed.

mod feed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use heddle_ca::Presented;
use heddle_ephemeral::Fanout;
use heddle_model::code::Code;
use heddle_model::envoy::is_too_old;
use heddle_model::id::{MeshId, OrgId, ProxyId};
use heddle_model::quota::Quota;
use heddle_model::snapshot::MeshSnapshot;
use heddle_store::observations::{self, Heard, Observation, What};
use heddle_store::proxies::{self, Arrival, Checkpoint, JoinRefused, Turned};
use heddle_store::usage::Meter;
use heddle_store::{FeedPosition, MeshHead, MeshRef, Store};
use heddle_xds_server::{
    AgentSeen, Heads, Joined, Kept, MeshKey, Nack, News, NodeClaims, Observed, Proxy, ProxyStatus,
    Refusal, Reported, Setup, Sighting, SnapshotSource, SourceError, Times, Used, Workload,
    Workloads,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, broadcast};
use uuid::Uuid;

/// Meshes as the xDS server asks for them.
pub(crate) struct MeshSource {
    store: Store,
    /// This server, from its start to its end.
    replica: Uuid,
    known: RwLock<BTreeMap<(OrgId, MeshId), Known>>,
    position: Mutex<Option<FeedPosition>>,
    changed: broadcast::Sender<News>,
    fanout: Arc<dyn Fanout>,
}

#[derive(Clone, Copy)]
struct Known {
    mesh: MeshRef,
    revision: u64,
    deleted: bool,
    status: u64,
    rotating: bool,
}

fn key(mesh: MeshRef) -> MeshKey {
    MeshKey {
        org: mesh.org(),
        mesh: mesh.mesh(),
    }
}

impl MeshSource {
    pub(crate) fn new(store: Store, replica: Uuid, fanout: Arc<dyn Fanout>) -> Self {
        let (changed, _) = broadcast::channel(1024);
        Self {
            store,
            replica,
            known: RwLock::default(),
            position: Mutex::default(),
            changed,
            fanout,
        }
    }

    /// The proof that the database led us to this mesh.
    pub(crate) fn find(&self, org: OrgId, mesh: MeshId) -> Option<MeshRef> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&(org, mesh))
            .filter(|k| !k.deleted)
            .map(|k| k.mesh)
    }

    fn require(&self, mesh: MeshKey) -> Result<MeshRef, SourceError> {
        self.find(mesh.org, mesh.mesh)
            .ok_or_else(|| SourceError::new("find the mesh", "it is not in the feed"))
    }

    /// Returns what was known before.
    fn learn(&self, head: MeshHead) -> Option<Known> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(
            (head.mesh.org(), head.mesh.mesh()),
            Known {
                mesh: head.mesh,
                revision: head.revision,
                deleted: head.deleted,
                status: head.status,
                rotating: head.rotating,
            },
        )
    }

    /// The meshes that there are.
    pub(crate) fn meshes(&self) -> Vec<MeshRef> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let live = known.values().filter(|known| !known.deleted);
        live.map(|known| known.mesh).collect()
    }

    /// The organisations that have, or had, meshes.
    pub(crate) fn orgs(&self) -> BTreeSet<OrgId> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.keys().map(|(org, _)| *org).collect()
    }

    /// Notes that nobody is connected to servers that do not live any more.
    pub(crate) async fn disconnect_gone(&self) -> heddle_store::Result<()> {
        for mesh in self.meshes() {
            proxies::disconnect_gone(&self.store, &mesh).await?;
        }
        Ok(())
    }

    /// The meshes whose authorities are being replaced.
    pub(crate) fn rotating(&self) -> Vec<MeshRef> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .values()
            .filter(|known| known.rotating && !known.deleted)
            .map(|known| known.mesh)
            .collect()
    }

    /// Says that this server was taken for gone.
    pub(crate) fn lapsed(&self) {
        self.tell(News::Lapsed);
    }

    /// Tells the mesh's people. Whether that worked changes nothing for whoever is not let in.
    async fn turn_away(&self, secret: &str, turned: &Turned<'_>) {
        if let Err(error) = proxies::turned_away(&self.store, secret, turned).await {
            tracing::warn!(%error, "cannot write down that a proxy was not let in");
        }
    }

    fn tell(&self, news: News) {
        // Nobody listening: no proxy is connected.
        let _ = self.changed.send(news);
    }
}

fn failed(context: &'static str) -> impl Fn(heddle_store::Error) -> SourceError {
    move |error| SourceError::new(context, error)
}

fn refusal(refused: JoinRefused) -> Refusal {
    let code = match refused {
        JoinRefused::Unknown => Code::JoinTokenUnknown,
        JoinRefused::Expired => Code::JoinTokenExpired,
        JoinRefused::Used => Code::JoinTokenUsed,
        JoinRefused::Revoked => Code::ProxyRevoked,
        JoinRefused::Elsewhere => Code::JoinTokenElsewhere,
        JoinRefused::EnvoyTooOld => Code::EnvoyTooOld,
        JoinRefused::LimitReached => {
            let quota = Quota::Proxies.as_str();
            metrics::counter!("heddle_quota_refused_total", "quota" => quota).increment(1);
            Code::LimitReached
        }
        JoinRefused::ServiceGone | JoinRefused::NodeTaken | JoinRefused::OtherService => {
            Code::ProxyMismatch
        }
    };
    Refusal { code }
}

fn nack(nack: &Nack) -> Value {
    json!({
        "code": Code::ProxyRejected.as_str(),
        "at": nack.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "type": nack.kind.to_ascii_uppercase(),
        "resource": nack.resource,
        "version": nack.version,
        "cause": nack.origin.as_ref().map(|origin| json!({
            "kind": origin.kind,
            "uid": origin.id,
            "name": origin.name,
            "pointer": origin.pointer,
            "revision": origin.revision,
        })),
        "raw": nack.message,
    })
}

fn setup(setup: &Setup) -> Value {
    json!({
        "bind_address": setup.bind_address,
        "app_address": setup.app_address,
        "outbound_port": setup.outbound_port,
        "inbound_ports": setup.inbound_ports,
    })
}

fn checkpoint(status: ProxyStatus) -> Checkpoint {
    Checkpoint {
        proxy: status.proxy,
        connected: status.connected,
        augments: status.augments,
        registration: status.registration,
        lease_until: status.lease_until,
        envoy_version: status.envoy_version,
        setup: status.setup.as_ref().map(setup),
        leaf_serial: status.leaf_serial,
        acked_revision: status.acked_revision,
        target_revision: status.target_revision,
        pending_types: status
            .pending_types
            .iter()
            .map(|kind| kind.to_ascii_uppercase())
            .collect(),
        nacks: Value::Array(status.nacks.iter().map(nack).collect()),
        seen_at: status.seen_at,
    }
}

fn observation((at, times): (Sighting, Times)) -> Observation {
    Observation {
        service: at.service,
        port: at.port,
        what: match at.what {
            Observed::PlainText => What::Permissive,
            Observed::WouldDeny(rule) => What::Rule(rule),
        },
        caller: at.caller,
        requests: times.requests,
        refused: times.refused,
    }
}

#[async_trait]
impl SnapshotSource for MeshSource {
    async fn authenticate(
        &self,
        secret: &str,
        from: IpAddr,
    ) -> Result<Result<(), Refusal>, SourceError> {
        let why = proxies::bars(&self.store, secret)
            .await
            .map_err(failed("verify a join token"))?;
        let Some(why) = why else {
            return Ok(Ok(()));
        };
        let turned = Turned {
            why: Some(why),
            node_id: None,
            service: None,
            from: Some(from),
        };
        self.turn_away(secret, &turned).await;
        Ok(Err(refusal(why)))
    }

    async fn join(
        &self,
        secret: &str,
        node: &NodeClaims,
        from: IpAddr,
    ) -> Result<Result<Joined, Refusal>, SourceError> {
        let turned = Turned {
            why: None,
            node_id: Some(&node.id),
            service: None,
            from: Some(from),
        };
        if node.envoy_version.as_deref().is_some_and(is_too_old) {
            let refused = JoinRefused::EnvoyTooOld;
            let why = Some(refused);
            self.turn_away(secret, &Turned { why, ..turned }).await;
            return Ok(Err(refusal(refused)));
        }
        let arrival = Arrival {
            node_id: &node.id,
            from: Some(from),
            // The service that an Envoy names must be its token's (X03).
            claimed: node.cluster.as_deref(),
        };
        let joined = proxies::join(&self.store, secret, arrival)
            .await
            .map_err(failed("join"))?;
        let joined = match joined {
            Ok(joined) => joined,
            Err(refused) => {
                let why = Some(refused);
                let service = node.cluster.as_deref();
                let service = service.filter(|_| refused == JoinRefused::OtherService);
                let turned = Turned {
                    why,
                    service,
                    ..turned
                };
                self.turn_away(secret, &turned).await;
                return Ok(Err(refusal(refused)));
            }
        };
        if self.find(joined.mesh.org(), joined.mesh.mesh()).is_none() {
            // A mesh so new that the tail has not passed it yet.
            self.learn(MeshHead {
                mesh: joined.mesh,
                revision: 0,
                deleted: false,
                status: 0,
                rotating: false,
            });
        }
        Ok(Ok(Joined {
            proxy: Proxy {
                mesh: key(joined.mesh),
                proxy: joined.proxy,
                service: joined.service,
            },
            trust_domain: joined.trust_domain,
            heads: Heads {
                revision: joined.heads.revision,
                status: joined.heads.status,
            },
        }))
    }

    async fn snapshot(
        &self,
        mesh: MeshKey,
        known: Option<&MeshSnapshot>,
    ) -> Result<Option<MeshSnapshot>, SourceError> {
        let Some(mesh) = self.find(mesh.org, mesh.mesh) else {
            return Ok(None);
        };
        let loaded = match known {
            Some(known) => self.store.snapshot_after(&mesh, known).await,
            None => self.store.snapshot(&mesh).await,
        };
        let loaded = loaded.map_err(failed("load snapshot"))?;
        let Some(loaded) = loaded else {
            return Ok(None);
        };
        // Left out, a rule that denies would let callers in: the mesh keeps what it has until the row is mended.
        for error in &loaded.skipped {
            tracing::error!(%error, mesh.id = %mesh.mesh(), "a stored object does not parse");
        }
        match loaded.skipped.into_iter().next() {
            Some(error) => Err(SourceError::new("read every object of the mesh", error)),
            None => Ok(Some(loaded.snapshot)),
        }
    }

    async fn workloads(&self, mesh: MeshKey, after: Option<u64>) -> Result<Workloads, SourceError> {
        let mesh = self.require(mesh)?;
        let loaded = proxies::workloads(&self.store, &mesh, self.replica, after)
            .await
            .map_err(failed("load workloads"))?;
        let workload = |row: proxies::Workload| Workload {
            proxy: row.proxy,
            service: row.service,
            connected: row.connected,
            here: row.here,
            endpoint: row.endpoint,
        };
        Ok(Workloads {
            status: loaded.status,
            workloads: loaded.workloads.into_iter().map(workload).collect(),
        })
    }

    fn changed(&self) -> broadcast::Receiver<News> {
        self.changed.subscribe()
    }

    async fn revoked(
        &self,
        mesh: MeshKey,
        proxies: &[ProxyId],
    ) -> Result<Vec<(ProxyId, Refusal)>, SourceError> {
        let refused = |proxy, revoked| {
            let code = match revoked {
                true => Code::ProxyRevoked,
                false => Code::JoinTokenUnknown,
            };
            (proxy, Refusal { code })
        };
        let Some(mesh) = self.find(mesh.org, mesh.mesh) else {
            return Ok(proxies.iter().map(|proxy| refused(*proxy, false)).collect());
        };
        let ousted = proxies::ousted(&self.store, &mesh, proxies)
            .await
            .map_err(failed("look for proxies that may not stay"))?;
        Ok(ousted
            .into_iter()
            .map(|one| refused(one.proxy, one.revoked))
            .collect())
    }

    fn heard_of(&self, mesh: MeshKey) -> Option<u64> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&(mesh.org, mesh.mesh))
            .map(|known| known.revision)
    }

    fn is_rotating(&self, mesh: MeshKey) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&(mesh.org, mesh.mesh));
        known.is_some_and(|known| known.rotating)
    }

    async fn watching(&self, mesh: MeshKey, agents: Vec<AgentSeen>) -> Result<(), SourceError> {
        let mesh = self.require(mesh)?;
        let seen = |agent: AgentSeen| proxies::AgentSeen {
            proxy: agent.proxy,
            serial: agent.serial,
            revision: agent.revision,
        };
        let mut agents: Vec<_> = agents.into_iter().map(seen).collect();
        let kept = match agents.pop() {
            // One alone comes with many others who do.
            Some(one) if agents.is_empty() => proxies::agent_seen(&self.store, &mesh, one).await,
            Some(last) => {
                agents.push(last);
                proxies::agents_seen(&self.store, &mesh, &agents).await
            }
            None => Ok(()),
        };
        kept.map_err(failed("keep what is seen of agents"))
    }

    async fn reporter(
        &self,
        mesh: MeshKey,
        certificate: &[u8],
    ) -> Result<Option<Proxy>, SourceError> {
        let (Some(found), Some(shown)) =
            (self.find(mesh.org, mesh.mesh), Presented::read(certificate))
        else {
            return Ok(None);
        };
        let (serial, hash) = (&shown.serial, &shown.tbs_sha256);
        let reporter = observations::reporter(&self.store, &found, serial, hash)
            .await
            .map_err(failed("find a certificate in the journal"))?;
        Ok(reporter.map(|(proxy, service)| Proxy {
            mesh,
            proxy,
            service,
        }))
    }

    async fn reported(&self, mesh: MeshKey, reported: Reported) -> Result<(), SourceError> {
        let mesh = self.require(mesh)?;
        let heard = Heard {
            proxies: reported.heard.into_iter().collect(),
            with_loss: reported.lost.into_iter().collect(),
        };
        let seen: Vec<Observation> = reported.seen.into_iter().map(observation).collect();
        observations::keep(&self.store, &mesh, &seen, &heard)
            .await
            .map_err(failed("keep what proxies saw"))
    }

    fn used(&self, mesh: MeshKey, used: Used) {
        let count = |meter, amount| self.store.count(mesh.org, meter, amount);
        count(Meter::Pushes, used.responses);
        count(Meter::ProxySeconds, used.connected_seconds);
    }

    async fn checkpoint(
        &self,
        mesh: MeshKey,
        offered: Option<u64>,
        batch: Vec<ProxyStatus>,
    ) -> Result<Option<Kept>, SourceError> {
        let mesh = self.require(mesh)?;
        let batch: Vec<Checkpoint> = batch.into_iter().map(checkpoint).collect();
        let kept = proxies::checkpoint(&self.store, &mesh, self.replica, offered, &batch)
            .await
            .map_err(failed("keep the status of proxies"))?;
        Ok(kept.map(|(before, status)| Kept { before, status }))
    }
}
