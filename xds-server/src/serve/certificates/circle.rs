//! Those of a mesh who watch: one task looks for all of them, so that a change costs the mesh one look however many they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heddle_model::id::ProxyId;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::graph::Parts;
use crate::source::{MeshKey, News, Refusal};
use crate::trust::Trust;

/// How far looks are apart at least, and at most: what is not told, such as the end of a token, is found by then.
const APART: Duration = Duration::from_millis(500);
const AT_MOST: Duration = Duration::from_secs(10);

/// What was seen last.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// Counts the looks.
    pub(super) look: u64,
    /// Whom the mesh trusts; `None` until that could be read.
    pub(super) trust: Option<Arc<Trust>>,
    /// Who may not stay.
    pub(super) refused: Arc<BTreeMap<ProxyId, Refusal>>,
}

/// The circles of all meshes that somebody watches.
#[derive(Default)]
pub(super) struct Circles(Arc<Mutex<BTreeMap<MeshKey, Circle>>>);

struct Circle {
    members: BTreeMap<ProxyId, usize>,
    seen: watch::Sender<Seen>,
}

/// A place in a circle, until it is dropped.
pub(super) struct Place {
    circles: Arc<Mutex<BTreeMap<MeshKey, Circle>>>,
    mesh: MeshKey,
    proxy: ProxyId,
    pub(super) seen: watch::Receiver<Seen>,
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
        proxy: ProxyId,
    ) -> Place {
        let mut circles = all(&self.0);
        let circle = circles.entry(mesh).or_insert_with(|| {
            let (seen, _) = watch::channel(Seen::default());
            let looker = Looker {
                parts: Arc::clone(parts),
                circles: Arc::clone(&self.0),
                mesh,
                trust_domain: trust_domain.to_owned(),
                seen: seen.clone(),
            };
            tokio::spawn(looker.run(parts.source.changed()));
            let members = BTreeMap::new();
            Circle { members, seen }
        });
        *circle.members.entry(proxy).or_default() += 1;
        Place {
            seen: circle.seen.subscribe(),
            circles: Arc::clone(&self.0),
            mesh,
            proxy,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut circles = all(&self.circles);
        let Some(circle) = circles.get_mut(&self.mesh) else {
            return;
        };
        if let Some(count) = circle.members.get_mut(&self.proxy) {
            *count -= 1;
            if *count == 0 {
                circle.members.remove(&self.proxy);
            }
        }
    }
}

struct Looker {
    parts: Arc<Parts>,
    circles: Arc<Mutex<BTreeMap<MeshKey, Circle>>>,
    mesh: MeshKey,
    trust_domain: String,
    seen: watch::Sender<Seen>,
}

impl Looker {
    /// Until nobody watches any more.
    async fn run(self, mut news: broadcast::Receiver<News>) {
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
                    _ = tick.tick() => break,
                }
            }
            tokio::time::sleep_until(apart).await;
        }
    }

    /// Who is there; when that is nobody, the circle is dissolved.
    fn members(&self) -> Option<Vec<ProxyId>> {
        let mut circles = all(&self.circles);
        let members: Vec<ProxyId> = circles.get(&self.mesh)?.members.keys().copied().collect();
        if members.is_empty() {
            circles.remove(&self.mesh);
            return None;
        }
        Some(members)
    }

    /// What cannot be read now stays as it was seen last: nobody is cut off because a database is away.
    async fn look(&self, members: &[ProxyId]) {
        let trust = self.parts.identities.trust(self.mesh, &self.trust_domain);
        let (trust, refused) = tokio::join!(trust, self.parts.source.revoked(self.mesh, members));
        for error in [trust.as_ref().err(), refused.as_ref().err()]
            .into_iter()
            .flatten()
        {
            let cause = error.source.to_string();
            tracing::warn!(mesh.id = %self.mesh.mesh, %error, cause, "cannot look for those who watch");
        }
        self.seen.send_modify(|seen| {
            seen.look += 1;
            if let Ok(trust) = trust {
                seen.trust = Some(Arc::new(trust));
            }
            if let Ok(refused) = refused {
                seen.refused = Arc::new(refused.into_iter().collect());
            }
        });
    }
}
