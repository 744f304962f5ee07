//! The steps of rotations that nobody has to ask for.

use std::sync::Arc;
use std::time::Duration;

use heddle_store::{Store, rotations};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::MeshSource;

/// How often it is looked whether a step can be taken.
const LOOK: Duration = Duration::from_millis(500);

/// Takes the steps of rotations, wherever one is under way. Every server does: of several, one takes a step. Nothing is kept here,
/// so a server that starts goes on where another one stopped.
pub(crate) struct Rotations {
    store: Store,
    source: Arc<MeshSource>,
}

impl Rotations {
    pub(crate) fn new(store: Store, source: Arc<MeshSource>) -> Self {
        Self { store, source }
    }

    pub(crate) async fn follow(&self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            for mesh in self.source.rotating() {
                match rotations::step(&self.store, &mesh).await {
                    Ok(None) => {}
                    Ok(Some(rotation)) => tracing::info!(
                        org.id = %mesh.org(),
                        mesh.id = %mesh.mesh(),
                        rotation.id = %rotation.id,
                        what = rotation.what.as_str(),
                        state = rotation.state.as_str(),
                        "a rotation took a step"
                    ),
                    Err(error) => tracing::warn!(
                        %error,
                        org.id = %mesh.org(),
                        mesh.id = %mesh.mesh(),
                        "a rotation could not take a step; trying on"
                    ),
                }
            }
        }
    }
}
