//! The source and the identities in memory, with everything that a test wants to break.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use heddle_model::clock::{Clock, SystemClock};
use heddle_model::code::Code;
use heddle_model::id::{AccessRuleId, AuthorityId, MeshId, OrgId, ProxyId, ServiceId};
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, Object, ServiceNode};
use heddle_xds_server::{
    AgentSeen, Certified, Heads, Held, IdentitySource, Joined, Kept, Leaf, MeshKey, News,
    NodeClaims, Proxy, ProxyStatus, Refusal, Replacing, Reported, RequestRefused, SnapshotSource,
    SourceError, Trust, Used, Workload, Workloads,
};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) meshes: BTreeMap<MeshKey, MeshSnapshot>,
    pub(crate) tokens: BTreeMap<String, (MeshKey, Name)>,
    pub(crate) proxies: BTreeMap<(String, String), ProxyId>,
    pub(crate) revoked: BTreeMap<ProxyId, Code>,
    /// Every load fails.
    pub(crate) broken: bool,
    /// Authorities are being replaced.
    pub(crate) rotating: bool,
    pub(crate) loads: usize,
    /// Whose a certificate is.
    pub(crate) reporters: BTreeMap<Vec<u8>, Proxy>,
    ids: u128,
}

impl State {
    pub(crate) fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }
}

/// What the server asks for.
pub(crate) struct Source {
    state: Mutex<State>,
    hints: broadcast::Sender<News>,
    statuses: watch::Sender<BTreeMap<ProxyId, ProxyStatus>>,
    /// What was said of those that watch, last.
    pub(crate) watching: watch::Sender<Vec<AgentSeen>>,
    /// What proxies reported, in the order in which it was kept.
    pub(crate) reported: watch::Sender<Vec<(MeshKey, Reported)>>,
    /// What was used, added up.
    pub(crate) used: watch::Sender<Used>,
}

impl Source {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            hints: broadcast::channel(16).0,
            statuses: watch::channel(BTreeMap::new()).0,
            watching: watch::channel(Vec::new()).0,
            reported: watch::channel(Vec::new()).0,
            used: watch::channel(Used::default()).0,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A mesh `shop` of these services, each with one port `http` and a token called like it.
    pub(crate) fn mesh(&self, tenant: &str, services: &[&str]) -> MeshKey {
        let mut state = self.state();
        let key = MeshKey {
            org: OrgId::from_uuid(state.id()),
            mesh: MeshId::from_uuid(state.id()),
        };
        let mut nodes = BTreeMap::new();
        for service in services {
            let name: Name = service.parse().unwrap();
            let spec = serde_json::json!({
                "ports": [{"name": "http", "port": 8080, "protocol": "http"}]
            });
            let node = ServiceNode {
                service: Object {
                    id: ServiceId::from_uuid(state.id()),
                    name: name.clone(),
                    revision: 1,
                    spec: serde_json::from_value(spec).unwrap(),
                },
                routes: Vec::new(),
                access_rules: Vec::new(),
            };
            state
                .tokens
                .insert(format!("{tenant}-{service}"), (key, name.clone()));
            nodes.insert(name, node.into());
        }
        let snapshot = MeshSnapshot {
            org: key.org,
            revision: 1,
            made_at: None,
            mesh: Object {
                id: key.mesh,
                name: "shop".parse().unwrap(),
                revision: 1,
                spec: serde_json::from_str("{}").unwrap(),
            },
            trust_domain: format!("shop-{tenant}.heddle.example"),
            profiles: BTreeMap::new(),
            services: nodes,
            revoked: BTreeSet::new(),
        };
        state.meshes.insert(key, snapshot);
        key
    }

    /// Changes a mesh as a user would: the next revision, and a hint.
    pub(crate) fn change(&self, key: MeshKey, change: impl FnOnce(&mut MeshSnapshot)) -> u64 {
        let mut state = self.state();
        let snapshot = state.meshes.get_mut(&key).unwrap();
        snapshot.revision += 1;
        change(snapshot);
        let revision = snapshot.revision;
        drop(state);
        self.hint(key);
        revision
    }

    /// Lets `caller` call `service`. Returns the rule and the revision.
    pub(crate) fn allow(&self, key: MeshKey, service: &str, caller: &str) -> (AccessRuleId, u64) {
        let id = AccessRuleId::from_uuid(self.state().id());
        let spec = serde_json::json!({"action": "allow", "from": [{"service": caller}]});
        let revision = self.change(key, |snapshot| {
            let revision = snapshot.revision;
            let node = snapshot.service_mut(service).unwrap();
            node.access_rules.push(Object {
                id,
                name: format!("{caller}-may-call").parse().unwrap(),
                revision,
                spec: serde_json::from_value(spec).unwrap(),
            });
        });
        (id, revision)
    }

    pub(crate) fn hint(&self, key: MeshKey) {
        // Nobody listens while no server runs.
        let _nobody = self.hints.send(News::Configuration(key));
    }

    pub(crate) fn proxy(&self, token: &str, node_id: &str) -> ProxyId {
        self.state().proxies[&(token.to_owned(), node_id.to_owned())]
    }

    pub(crate) fn status(&self, proxy: ProxyId) -> Option<ProxyStatus> {
        self.statuses.borrow().get(&proxy).cloned()
    }

    /// Waits until a status of this kind was written.
    pub(crate) async fn until(
        &self,
        proxy: ProxyId,
        what: impl Fn(&ProxyStatus) -> bool,
    ) -> ProxyStatus {
        let mut statuses = self.statuses.subscribe();
        let wait = statuses.wait_for(|all| all.get(&proxy).is_some_and(&what));
        let outcome = tokio::time::timeout(Duration::from_secs(10), wait).await;
        match outcome {
            Ok(all) => all.unwrap()[&proxy].clone(),
            Err(_) => panic!("no such status; the last is {:?}", self.status(proxy)),
        }
    }

    fn fail_if_broken(&self) -> Result<(), SourceError> {
        let mut state = self.state();
        state.loads += 1;
        match state.broken {
            true => Err(SourceError::new("load", "broken on purpose")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl SnapshotSource for Source {
    async fn authenticate(
        &self,
        secret: &str,
        _: IpAddr,
    ) -> Result<Result<(), Refusal>, SourceError> {
        let known = self.state().tokens.contains_key(secret);
        let refusal = Refusal {
            code: Code::JoinTokenUnknown,
        };
        Ok(known.then_some(()).ok_or(refusal))
    }

    async fn join(
        &self,
        secret: &str,
        node: &NodeClaims,
        _: IpAddr,
    ) -> Result<Result<Joined, Refusal>, SourceError> {
        let mut state = self.state();
        let Some((mesh, service)) = state.tokens.get(secret).cloned() else {
            return Ok(Err(Refusal {
                code: Code::JoinTokenUnknown,
            }));
        };
        let id = state.id();
        let key = (secret.to_owned(), node.id.clone());
        let proxy = *state.proxies.entry(key).or_insert(ProxyId::from_uuid(id));
        let found = state.meshes.get(&mesh);
        let revision = found.map_or(0, |m| m.revision);
        let trust_domain = found.map_or_else(String::new, |m| m.trust_domain.clone());
        Ok(Ok(Joined {
            proxy: Proxy {
                mesh,
                proxy,
                service,
            },
            trust_domain,
            heads: Heads {
                revision,
                status: 0,
            },
        }))
    }

    async fn snapshot(
        &self,
        mesh: MeshKey,
        _known: Option<&MeshSnapshot>,
    ) -> Result<Option<MeshSnapshot>, SourceError> {
        self.fail_if_broken()?;
        Ok(self.state().meshes.get(&mesh).cloned())
    }

    async fn workloads(&self, mesh: MeshKey, _: Option<u64>) -> Result<Workloads, SourceError> {
        self.fail_if_broken()?;
        let state = self.state();
        let mut workloads = Vec::new();
        for status in self.statuses.borrow().values() {
            let owner = state.proxies.iter().find(|(_, id)| **id == status.proxy);
            let (of_mesh, service) = &state.tokens[&owner.unwrap().0.0];
            if status.registration.is_some() && *of_mesh == mesh {
                workloads.push(Workload {
                    proxy: status.proxy,
                    service: service.clone(),
                    connected: false,
                    here: true,
                    endpoint: status.registration.clone(),
                });
            }
        }
        Ok(Workloads {
            status: 0,
            workloads,
        })
    }

    fn changed(&self) -> broadcast::Receiver<News> {
        self.hints.subscribe()
    }

    async fn revoked(
        &self,
        _: MeshKey,
        proxies: &[ProxyId],
    ) -> Result<Vec<(ProxyId, Refusal)>, SourceError> {
        let state = self.state();
        let revoked = |proxy: &ProxyId| {
            let code = *state.revoked.get(proxy)?;
            Some((*proxy, Refusal { code }))
        };
        Ok(proxies.iter().filter_map(revoked).collect())
    }

    fn heard_of(&self, mesh: MeshKey) -> Option<u64> {
        self.state().meshes.get(&mesh).map(|mesh| mesh.revision)
    }

    fn is_rotating(&self, _: MeshKey) -> bool {
        self.state().rotating
    }

    async fn watching(&self, _: MeshKey, agents: Vec<AgentSeen>) -> Result<(), SourceError> {
        self.watching.send_replace(agents);
        Ok(())
    }

    async fn reporter(
        &self,
        mesh: MeshKey,
        certificate: &[u8],
    ) -> Result<Option<Proxy>, SourceError> {
        let state = self.state();
        let known = state.reporters.get(certificate);
        Ok(known.filter(|proxy| proxy.mesh == mesh).cloned())
    }

    fn used(&self, _: MeshKey, used: Used) {
        self.used.send_modify(|all| {
            all.responses += used.responses;
            all.connected_seconds += used.connected_seconds;
        });
    }

    async fn reported(&self, mesh: MeshKey, reported: Reported) -> Result<(), SourceError> {
        self.reported.send_modify(|all| {
            all.push((mesh, reported));
        });
        Ok(())
    }

    async fn checkpoint(
        &self,
        mesh: MeshKey,
        offered: Option<u64>,
        batch: Vec<ProxyStatus>,
    ) -> Result<Option<Kept>, SourceError> {
        let state = self.state();
        let here = |proxy: ProxyId| {
            let owner = state.proxies.iter().find(|(_, id)| **id == proxy);
            owner.is_some_and(|((secret, _), _)| state.tokens[secret].0 == mesh)
        };
        self.statuses.send_modify(|all| {
            all.extend(batch.into_iter().map(|status| (status.proxy, status)));
            for status in all.values_mut().filter(|status| here(status.proxy)) {
                // Whoever is current is as far as the server.
                let current = status.acked_revision.is_some()
                    && status.acked_revision >= status.target_revision;
                if status.connected && current {
                    status.acked_revision = status.acked_revision.max(offered);
                    status.target_revision = status.acked_revision;
                }
            }
        });
        Ok(None)
    }
}

/// Leaves that are numbers.
pub(crate) struct Identities {
    pub(crate) lifetime: TimeDelta,
    issued: Mutex<BTreeMap<String, (ProxyId, Held)>>,
    /// What signs now, and what gives way.
    signs: Mutex<(AuthorityId, Replacing)>,
    /// How often the roots have changed.
    roots: AtomicU64,
    /// The trust domain whose authority does not answer for now.
    silent: watch::Sender<Option<String>>,
}

/// What looks like a certificate, of this text.
pub(crate) fn pem(text: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(text);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn authority(n: u128) -> AuthorityId {
    AuthorityId::from_uuid(Uuid::from_u128(n))
}

impl Identities {
    pub(crate) fn new(lifetime: TimeDelta) -> Arc<Self> {
        Arc::new(Self {
            lifetime,
            issued: Mutex::default(),
            signs: Mutex::new((authority(1), Replacing::default())),
            roots: AtomicU64::new(0),
            silent: watch::Sender::default(),
        })
    }

    /// Another authority signs, and leaves of the first one are replaced at once.
    pub(crate) fn replace(&self) {
        let replacing = Replacing {
            retired: [authority(1)].into(),
            window: Some((SystemClock.now(), Duration::ZERO)),
        };
        *self.signs.lock().unwrap() = (authority(2), replacing);
    }

    /// Others are trusted.
    pub(crate) fn publish(&self) {
        self.roots.fetch_add(1, Ordering::SeqCst);
    }

    /// The authority of this trust domain does not answer until it is said that nobody's is silent.
    pub(crate) fn silence(&self, trust_domain: Option<&str>) {
        self.silent.send_replace(trust_domain.map(str::to_owned));
    }

    pub(crate) fn count(&self) -> usize {
        self.issued.lock().unwrap().len()
    }
}

#[async_trait]
impl IdentitySource for Identities {
    async fn leaf(&self, proxy: &Proxy, trust_domain: &str) -> Result<Leaf, SourceError> {
        assert!(trust_domain.ends_with(".heddle.example"));
        let mut silent = self.silent.subscribe();
        let speaks = silent.wait_for(|silent| silent.as_deref() != Some(trust_domain));
        drop(speaks.await);
        let mut issued = self.issued.lock().unwrap();
        let serial = format!("{:032x}", issued.len() + 1);
        let now = SystemClock.now();
        let renew_at = now + self.lifetime / 2;
        let authority = self.signs.lock().unwrap().0;
        let held = Held {
            renew_at,
            authority,
        };
        issued.insert(serial.clone(), (proxy.proxy, held));
        Ok(Leaf {
            authority,
            chain_pem: format!("chain {serial}"),
            key_pem: format!("key {serial}").into(),
            serial,
            renew_at,
            not_after: now + self.lifetime,
        })
    }

    async fn certify(
        &self,
        proxy: &Proxy,
        trust_domain: &str,
        request: &[u8],
    ) -> Result<Result<Certified, RequestRefused>, SourceError> {
        if request != b"a request" {
            return Ok(Err(RequestRefused("this is no request".to_owned())));
        }
        let leaf = self.leaf(proxy, trust_domain).await?;
        Ok(Ok(Certified {
            spiffe_id: format!("spiffe://{trust_domain}/service/{}", proxy.service),
            chain_pem: pem(&leaf.serial) + &pem("issuing"),
            serial: leaf.serial,
            renew_at: leaf.renew_at,
            not_after: leaf.not_after,
        }))
    }

    async fn is_current(
        &self,
        proxy: &Proxy,
        _: &str,
        serial: &str,
    ) -> Result<Option<Held>, SourceError> {
        let issued = self.issued.lock().unwrap();
        let current = issued
            .get(serial)
            .filter(|(owner, held)| *owner == proxy.proxy && held.renew_at > SystemClock.now());
        Ok(current.map(|(_, held)| *held))
    }

    async fn trust(&self, _: MeshKey, trust_domain: &str) -> Result<Trust, SourceError> {
        let root = self.roots.load(Ordering::SeqCst);
        Ok(Trust {
            roots: format!("roots of {trust_domain}\n{}", pem(&format!("root {root}"))),
            replacing: self.signs.lock().unwrap().1.clone(),
        })
    }

    async fn trust_since(
        &self,
        mesh: MeshKey,
        trust_domain: &str,
        _: u64,
    ) -> Result<Trust, SourceError> {
        self.trust(mesh, trust_domain).await
    }
}
