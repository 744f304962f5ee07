//! Forgets what proxies reported long ago. Each server looks; whoever comes first forgets.

use std::sync::Arc;
use std::time::Duration;

use heddle_store::{Store, observations};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::MeshSource;

/// How often.
const LOOK: Duration = Duration::from_hours(1);

/// Forgets until the end.
pub(crate) async fn forget(store: Store, source: Arc<MeshSource>, shutdown: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = look.tick() => {}
        }
        for org in source.orgs() {
            if let Err(error) = observations::forget(&store, org).await {
                tracing::warn!(%error, "cannot forget old reports of proxies; trying again in an hour");
                break;
            }
        }
    }
}
