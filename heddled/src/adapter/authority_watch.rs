//! Counts the authorities that end soon and that the server cannot follow by others: roots, and what is under the root of somebody
//! else. Each server counts all of them, so that any of them can be asked.

use std::sync::Arc;
use std::time::Duration;

use heddle_store::{Store, authorities};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::MeshSource;

/// How often. They are told of thirty days before.
const LOOK: Duration = Duration::from_secs(600);
const ENDING: &str = "heddle_ca_authorities_ending";

/// Looks until the end.
pub(crate) async fn watch(store: Store, source: Arc<MeshSource>, shutdown: CancellationToken) {
    metrics::describe_gauge!(
        ENDING,
        "Authorities that end within thirty days and that somebody has to replace"
    );
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = look.tick() => {}
        }
        match look_once(&store, &source).await {
            Ok(found) => metrics::gauge!(ENDING).set(f64::from(found)),
            Err(error) => tracing::warn!(%error, "cannot look when authorities end"),
        }
    }
}

async fn look_once(store: &Store, source: &MeshSource) -> heddle_store::Result<u32> {
    let mut found = 0_u32;
    for mesh in source.meshes() {
        let (rows, now) = authorities::load_now(store, &mesh).await?;
        for row in &rows {
            if authorities::act_by(&rows, row).is_some_and(|by| by <= now) {
                tracing::warn!(
                    org.id = %mesh.org(),
                    mesh.id = %mesh.mesh(),
                    authority.id = %row.id,
                    authority.kind = row.kind.as_str(),
                    not_after = %row.not_after,
                    "an authority ends, and somebody has to replace it"
                );
                found = found.saturating_add(1);
            }
        }
    }
    Ok(found)
}
