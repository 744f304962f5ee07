//! Proxies of ephemeral join tokens, forgotten once they have been away for a while. Each server looks; whoever comes first forgets.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use heddle_store::{Store, proxies};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::MeshSource;

/// The longest pause between two looks at all meshes, and the shortest.
const LONGEST: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(1);

/// Forgets them until the end.
pub(crate) async fn forget(
    store: Store,
    source: Arc<MeshSource>,
    after: Duration,
    shutdown: CancellationToken,
) {
    let mut look = tokio::time::interval((after / 4).clamp(SHORTEST, LONGEST));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let after = TimeDelta::from_std(after).unwrap_or(TimeDelta::MAX);
    let mut failing = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = look.tick() => {}
        }
        let result = forget_once(&store, &source, after).await;
        if let Err(error) = &result
            && !failing
        {
            tracing::warn!(%error, "cannot forget ephemeral proxies; trying on");
        }
        failing = result.is_err();
    }
}

async fn forget_once(
    store: &Store,
    source: &MeshSource,
    after: TimeDelta,
) -> heddle_store::Result<()> {
    for mesh in source.meshes() {
        let count = proxies::forget_away(store, &mesh, after).await?;
        if count > 0 {
            tracing::info!(org.id = %mesh.org(), mesh.id = %mesh.mesh(), count, "ephemeral proxies forgotten");
        }
    }
    Ok(())
}
