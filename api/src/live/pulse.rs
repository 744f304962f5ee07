//! Looks now and then where the news of watched meshes end: at once after a commit of this process, otherwise every second.
//! However many answers wait for a mesh, it is looked at once, and nobody who waits holds a connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use heddle_store::live::{self, Heads};
use heddle_store::{MeshRef, Store};
use tokio::sync::{broadcast, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often a watched mesh is looked at without any hint: what other processes did is found then.
const TICK: Duration = Duration::from_secs(1);
/// How many meshes are looked at at a time.
const AT_ONCE: usize = 4;

/// Meshes that somebody waits for. `None`: it was deleted.
pub(super) struct Pulse {
    store: Store,
    stopping: CancellationToken,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    meshes: BTreeMap<MeshRef, watch::Sender<Option<Heads>>>,
    /// There is a task that looks.
    running: bool,
}

impl Pulse {
    pub(super) fn new(store: Store, stopping: CancellationToken) -> Self {
        Self {
            store,
            stopping,
            watched: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(
        this: &Arc<Self>,
        mesh: MeshRef,
        now: Heads,
    ) -> watch::Receiver<Option<Heads>> {
        let mut watched = this.lock();
        let sender = watched.meshes.entry(mesh);
        let receiver = sender
            .or_insert_with(|| watch::channel(Some(now)).0)
            .subscribe();
        if !watched.running {
            watched.running = true;
            tokio::spawn(Arc::clone(this).run(this.store.news()));
        }
        receiver
    }

    async fn run(self: Arc<Self>, mut news: broadcast::Receiver<MeshRef>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut stale = BTreeSet::new();
            let all = tokio::select! {
                () = self.stopping.cancelled() => true,
                _ = tick.tick() => true,
                mesh = news.recv() => match mesh {
                    Ok(mesh) => {
                        stale.insert(mesh);
                        false
                    }
                    Err(_) => true,
                },
            };
            while let Ok(mesh) = news.try_recv() {
                stale.insert(mesh);
            }
            {
                let mut watched = self.lock();
                watched
                    .meshes
                    .retain(|_, sender| sender.receiver_count() > 0);
                if watched.meshes.is_empty() || self.stopping.is_cancelled() {
                    watched.running = false;
                    return;
                }
                match all {
                    true => stale = watched.meshes.keys().copied().collect(),
                    false => stale.retain(|mesh| watched.meshes.contains_key(mesh)),
                }
            }
            stream::iter(stale)
                .for_each_concurrent(AT_ONCE, |mesh| self.look(mesh))
                .await;
        }
    }

    async fn look(&self, mesh: MeshRef) {
        match live::look(&self.store, &mesh).await {
            Ok(heads) => {
                if let Some(sender) = self.lock().meshes.get(&mesh) {
                    sender.send_if_modified(|known| std::mem::replace(known, heads) != heads);
                }
            }
            Err(error) => tracing::debug!(%error, mesh.id = %mesh.mesh(), "cannot look for news"),
        }
    }
}
