//! Those of a mesh who watch: one task looks for all of them, so that a change costs the mesh one look however many they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heddle_model::id::ProxyId;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::graph::Parts;
use crate::source::{AgentSeen, MeshKey, News, Refusal};
use crate::trust::Trust;

/// How far looks are apart at least, and at most: what is not told, such as the end of a token, is found by then.
const APART: Duration = Duration::from_millis(500);
const AT_MOST: Duration = Duration::from_secs(10);

/// How far what is kept of those who watch is apart at least, and how old it gets at most: it counts for a minute.
const KEEP_APART: Duration = Duration::from_secs(1);
const KEEP_AT_MOST: Duration = Duration::from_secs(20);

/// How many places a proxy has at once: one that it has just left may still be known here.
const PLACES: usize = 2;

/// What was seen last.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// Whom the mesh trusts; `None` until that could be read.
    pub(super) trust: Option<Arc<Trust>>,
    /// Who may not stay.
    pub(super) refused: Arc<BTreeMap<ProxyId, Refusal>>,
}

/// The circles of all meshes that somebody watches.
#[derive(Default)]
pub(super) struct Circles(Arc<Mutex<BTreeMap<MeshKey, Circle>>>);

struct Circle {
    /// By the number of their place: the newest of a proxy says what it holds.
    members: BTreeMap<(ProxyId, u64), Seat>,
    places: u64,
    seen: watch::Sender<Seen>,
    /// Somebody has come.
    came: Arc<Notify>,
}

/// Who is in a place, and how to have it left.
struct Seat {
    member: Member,
    ousted: CancellationToken,
}

/// One who watches, and what it holds.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) proxy: ProxyId,
    /// Its certificate.
    pub(super) serial: String,
    /// The version of its bundle.
    pub(super) version: String,
}

/// A place in a circle, until it is dropped.
pub(super) struct Place {
    circles: Arc<Mutex<BTreeMap<MeshKey, Circle>>>,
    mesh: MeshKey,
    place: (ProxyId, u64),
    pub(super) seen: watch::Receiver<Seen>,
    /// Newer ones have come under the same name.
    pub(super) ousted: CancellationToken,
}

fn all(circles: &Mutex<BTreeMap<MeshKey, Circle>>) -> MutexGuard<'_, BTreeMap<MeshKey, Circle>> {
    circles.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Circles {
    /// Takes a place; the first one of a mesh has its task started.
    pub(super) fn enter(
        &self,
        parts: &Arc<Parts>,
        mesh: MeshKey,
        trust_domain: &str,
        member: Member,
    ) -> Place {
        let mut circles = all(&self.0);
        let circle = circles.entry(mesh).or_insert_with(|| {
            let (seen, _) = watch::channel(Seen::default());
            let came = Arc::<Notify>::default();
            let looker = Looker {
                came: Arc::clone(&came),
                kept: Kept::default(),
                parts: Arc::clone(parts),
                circles: Arc::clone(&self.0),
                mesh,
                trust_domain: trust_domain.to_owned(),
                seen: seen.clone(),
            };
            tokio::spawn(looker.run(parts.source.changed()));
            Circle {
                members: BTreeMap::new(),
                places: 0,
                seen,
                came,
            }
        });
        circle.places += 1;
        let (proxy, ousted) = (member.proxy, CancellationToken::new());
        let place = (proxy, circle.places);
        let seat = Seat {
            member,
            ousted: ousted.clone(),
        };
        circle.members.insert(place, seat);
        let own = circle.members.range((proxy, 0)..=place).rev();
        let older: Vec<_> = own.skip(PLACES).map(|(place, _)| *place).collect();
        for place in older {
            if let Some(seat) = circle.members.remove(&place) {
                seat.ousted.cancel();
            }
        }
        circle.came.notify_one();
        Place {
            seen: circle.seen.subscribe(),
            circles: Arc::clone(&self.0),
            mesh,
            place,
            ousted,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut circles = all(&self.circles);
        if let Some(circle) = circles.get_mut(&self.mesh) {
            circle.members.remove(&self.place);
        }
    }
}

struct Looker {
    parts: Arc<Parts>,
    circles: Arc<Mutex<BTreeMap<MeshKey, Circle>>>,
    mesh: MeshKey,
    trust_domain: String,
    seen: watch::Sender<Seen>,
    came: Arc<Notify>,
    kept: Kept,
}

/// What was kept last, and when.
#[derive(Default)]
struct Kept {
    agents: BTreeMap<ProxyId, AgentSeen>,
    /// What was trusted then.
    version: String,
    at: Option<Instant>,
    all_at: Option<Instant>,
}

impl Looker {
    /// Until nobody watches any more.
    async fn run(mut self, mut news: broadcast::Receiver<News>) {
        let mut tick = tokio::time::interval(AT_MOST);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.tick().await;
        loop {
            let Some(members) = self.members() else {
                return;
            };
            self.look(&members).await;
            let apart = Instant::now() + APART;
            loop {
                tokio::select! {
                    heard = news.recv() => match heard {
                        Ok(News::Configuration(mesh)) if mesh != self.mesh => {}
                        Ok(News::Proxies(..)) => {}
                        // Also one that lagged: what it missed may have been this mesh's.
                        Ok(News::Configuration(_) | News::Lapsed)
                        | Err(broadcast::error::RecvError::Lagged(_)) => break,
                        // The server ends.
                        Err(broadcast::error::RecvError::Closed) => {
                            all(&self.circles).remove(&self.mesh);
                            return;
                        }
                    },
                    () = self.came.notified() => break,
                    _ = tick.tick() => break,
                }
            }
            tokio::time::sleep_until(apart).await;
        }
    }

    /// Who is there; when that is nobody, the circle is dissolved.
    fn members(&self) -> Option<BTreeMap<ProxyId, Member>> {
        let mut circles = all(&self.circles);
        let members = circles.get(&self.mesh)?.members.values();
        let members = members.map(|seat| (seat.member.proxy, seat.member.clone()));
        let members: BTreeMap<_, _> = members.collect();
        if members.is_empty() {
            circles.remove(&self.mesh);
            return None;
        }
        Some(members)
    }

    /// What cannot be read now stays as it was seen last: nobody is cut off because a database is away.
    async fn look(&mut self, members: &BTreeMap<ProxyId, Member>) {
        // Before anything else is read: whoever trusts what is read then has followed this revision.
        let revision = self.parts.source.heard_of(self.mesh);
        let proxies: Vec<ProxyId> = members.keys().copied().collect();
        let trust = self.parts.identities.trust(self.mesh, &self.trust_domain);
        let (trust, refused) = tokio::join!(trust, self.parts.source.revoked(self.mesh, &proxies));
        for error in [trust.as_ref().err(), refused.as_ref().err()]
            .into_iter()
            .flatten()
        {
            let cause = error.source.to_string();
            tracing::warn!(mesh.id = %self.mesh.mesh, %error, cause, "cannot look for those who watch");
        }
        if let Ok(trust) = &trust {
            let version = version(trust);
            let agent = |member: &Member| AgentSeen {
                proxy: member.proxy,
                serial: Some(member.serial.clone()).filter(|serial| !serial.is_empty()),
                revision: revision.filter(|_| member.version == version),
            };
            self.keep(members.values().map(agent).collect(), &version)
                .await;
        }
        // Nobody is woken for nothing.
        self.seen.send_if_modified(|seen| {
            let mut changed = false;
            if let Ok(trust) = trust
                && seen.trust.as_deref() != Some(&trust)
            {
                seen.trust = Some(Arc::new(trust));
                changed = true;
            }
            let refused = refused.map(BTreeMap::from_iter);
            if let Ok(refused) = refused
                && *seen.refused != refused
            {
                seen.refused = Arc::new(refused);
                changed = true;
            }
            changed
        });
    }

    /// Keeps what is seen of them: what has changed soon, and all of it now and then.
    async fn keep(&mut self, agents: Vec<AgentSeen>, version: &str) {
        let now = Instant::now();
        let within = |at: Option<Instant>, time| at.is_some_and(|at| now.duration_since(at) < time);
        let all = !within(self.kept.all_at, KEEP_AT_MOST);
        if !all && within(self.kept.at, KEEP_APART) {
            return;
        }
        // Every change of the mesh is a revision: that alone is worth a write only while somebody waits for it.
        let waited_for = self.kept.version != version || self.parts.source.is_rotating(self.mesh);
        let news: Vec<AgentSeen> = match all {
            true => agents.clone(),
            false => {
                let is_news = |agent: &&AgentSeen| match self.kept.agents.get(&agent.proxy) {
                    None => true,
                    Some(kept) => {
                        let follows = kept.revision.is_some() == agent.revision.is_some();
                        let same = follows && kept.serial == agent.serial;
                        !same || waited_for && kept.revision != agent.revision
                    }
                };
                agents.iter().filter(is_news).cloned().collect()
            }
        };
        // Who comes again later is news.
        let here: BTreeSet<ProxyId> = agents.iter().map(|agent| agent.proxy).collect();
        self.kept.agents.retain(|proxy, _| here.contains(proxy));
        if news.is_empty() {
            return;
        }
        match self.parts.source.watching(self.mesh, news.clone()).await {
            Ok(()) => {
                let news = news.into_iter().map(|agent| (agent.proxy, agent));
                self.kept.agents.extend(news);
                version.clone_into(&mut self.kept.version);
                self.kept.at = Some(now);
                if all {
                    self.kept.all_at = Some(now);
                }
            }
            Err(error) => {
                let cause = error.source.to_string();
                tracing::warn!(mesh.id = %self.mesh.mesh, %error, cause, "cannot keep who watches");
            }
        }
    }
}

/// Names what is trusted.
pub(super) fn version(trust: &Trust) -> String {
    blake3::hash(trust.roots.as_bytes()).to_hex()[..32].to_owned()
}
