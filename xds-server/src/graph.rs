//! One task for each mesh that has proxies: what changes in the mesh becomes views for its streams.
//!
//! A mesh's task is the only writer of its views and its workloads, so there are no locks across meshes and tenants
//! do not wait for each other. It starts with the first proxy and ends some time after the last.

mod audience;
mod compile;
mod derive;
mod edge;
mod mesh;
mod news;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heddle_model::clock::SharedClock;
use heddle_model::id::ProxyId;
use heddle_translate::ReportsTo;
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::kind::Kind;
use crate::engine::session::Rejection;
use crate::engine::view::View;
use crate::source::{IdentitySource, Joined, MeshKey, News, NodeClaims, Refusal, SnapshotSource};
use crate::status::Report;
use crate::trust::Replacing;

pub(crate) use compile::resource;

/// A refusal to be remembered while the proxy is away.
pub(crate) type Refused = (Kind, Arc<str>, Rejection);

/// Which streams of a proxy take each other's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// All types in one stream: there is one, and the newest is it.
    Aggregated,
    /// One type. Envoy has a stream for each thing that is configured to come that way, so there may be several.
    Single(Kind),
}

impl Lane {
    /// Whether a stream of this lane is about this type.
    pub(crate) fn is_about(self, kind: Kind) -> bool {
        match self {
            Self::Aggregated => true,
            Self::Single(only) => only == kind,
        }
    }
}

/// What a group of proxies sees.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) view: Arc<View>,
    pub(crate) trust_domain: Arc<str>,
    /// Which certificates are replaced before they are due.
    pub(crate) replacing: Arc<Replacing>,
}

/// Why a stream is ended from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The same proxy has a newer stream.
    Replaced,
    /// It may not stay: it, its service or its token was revoked, or it was forgotten.
    Refused(Refusal),
    /// Its mesh was deleted.
    MeshDeleted,
}

/// What a stream gets from its mesh.
pub(crate) struct Attachment {
    /// Counts the streams of the mesh.
    pub(crate) generation: u64,
    pub(crate) views: watch::Receiver<Option<Published>>,
    pub(crate) end: oneshot::Receiver<Ended>,
    /// What the proxy refused on its last stream.
    pub(crate) refused: Vec<Refused>,
    pub(crate) mesh: mpsc::Sender<Command>,
    /// The responses that streams of the mesh have sent and nobody was told of.
    pub(crate) sent: Arc<AtomicU64>,
}

/// A stream that wants to be joined to its mesh.
pub(crate) struct Newcomer {
    pub(crate) joined: Joined,
    pub(crate) claims: NodeClaims,
    pub(crate) lane: Lane,
    pub(crate) reply: oneshot::Sender<Attachment>,
}

/// What to look at again.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    configuration: AtomicBool,
    /// The number of the newest news about proxies that was heard of.
    status: AtomicU64,
    lapsed: AtomicBool,
    any: Notify,
}

impl Hints {
    fn take(&self, news: &News) {
        match news {
            News::Configuration(_) => self.configuration.store(true, Ordering::Release),
            News::Proxies(_, status) => {
                self.status.fetch_max(*status, Ordering::AcqRel);
            }
            News::Lapsed => self.lapsed.store(true, Ordering::Release),
        }
        self.any.notify_one();
    }
}

/// What streams tell their mesh.
pub(crate) enum Command {
    Attach(Box<Newcomer>),
    Report {
        proxy: ProxyId,
        generation: u64,
        report: Box<Report>,
        refused: Vec<Refused>,
    },
    Detach {
        proxy: ProxyId,
        generation: u64,
        /// The stream ended because this server stops: its proxy has not left.
        stopping: bool,
    },
}

/// What every mesh needs.
pub(crate) struct Parts {
    pub(crate) source: Arc<dyn SnapshotSource>,
    pub(crate) identities: Arc<dyn IdentitySource>,
    pub(crate) clock: SharedClock,
    pub(crate) endpoint_grace: Duration,
    pub(crate) endpoint_drain: Duration,
    pub(crate) leaf_lifetime: Duration,
    pub(crate) reports: Option<Arc<ReportsTo>>,
    pub(crate) checkpoint_interval: Duration,
}

#[derive(Clone)]
struct Handle {
    id: u64,
    commands: mpsc::Sender<Command>,
    hints: Arc<Hints>,
}

/// The meshes that are active.
pub(crate) struct Hub {
    parts: Arc<Parts>,
    meshes: Mutex<BTreeMap<MeshKey, Handle>>,
    started: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Hub {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let hub = Arc::new(Self {
            parts: Arc::new(parts),
            meshes: Mutex::default(),
            started: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let hints = hub.parts.source.changed();
        hub.tasks.spawn(hub.clone().dispatch(hints));
        hub
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// Hands hints to the meshes that they are about.
    async fn dispatch(self: Arc<Self>, mut hints: broadcast::Receiver<News>) {
        loop {
            let hint = tokio::select! {
                () = self.stop.cancelled() => return,
                hint = hints.recv() => hint,
            };
            let meshes = self.lock();
            match hint {
                Ok(news @ (News::Configuration(key) | News::Proxies(key, _))) => {
                    if let Some(mesh) = meshes.get(&key) {
                        mesh.hints.take(&news);
                    }
                }
                Ok(News::Lapsed) => meshes.values().for_each(|m| m.hints.take(&News::Lapsed)),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    for (key, mesh) in meshes.iter() {
                        mesh.hints.take(&News::Configuration(*key));
                        // Whatever the number is.
                        mesh.hints.take(&News::Proxies(*key, u64::MAX));
                        mesh.hints.take(&News::Lapsed);
                    }
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<MeshKey, Handle>> {
        self.meshes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a stream to its mesh, once that is as far as it was when the proxy came; starts the mesh if it is not active. A stream of
    /// the same proxy is replaced.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        joined: &Joined,
        claims: &NodeClaims,
        lane: Lane,
    ) -> Attachment {
        loop {
            let mesh = self.handle(joined.proxy.mesh);
            let (reply, answer) = oneshot::channel();
            let command = Command::Attach(Box::new(Newcomer {
                joined: joined.clone(),
                claims: claims.clone(),
                lane,
                reply,
            }));
            if mesh.commands.send(command).await.is_ok()
                && let Ok(attachment) = answer.await
            {
                return attachment;
            }
            // It had just gone idle: start it again.
            self.forget(joined.proxy.mesh, mesh.id);
        }
    }

    fn handle(self: &Arc<Self>, key: MeshKey) -> Handle {
        let mut meshes = self.lock();
        let start = || {
            let (commands, inbox) = mpsc::channel(256);
            let handle = Handle {
                id: self.started.fetch_add(1, Ordering::Relaxed),
                commands: commands.clone(),
                hints: Arc::default(),
            };
            let (hub, id, hints) = (self.clone(), handle.id, handle.hints.clone());
            let task = mesh::Mesh::new(key, self.parts.clone(), commands.downgrade());
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                task.run(inbox, hints, stop).await;
                hub.forget(key, id);
            });
            handle
        };
        meshes.entry(key).or_insert_with(start).clone()
    }

    fn forget(&self, key: MeshKey, id: u64) {
        let mut meshes = self.lock();
        if meshes.get(&key).is_some_and(|mesh| mesh.id == id) {
            meshes.remove(&key);
        }
    }

    /// Ends all meshes after they wrote what they know.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
