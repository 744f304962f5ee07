//! Looks whether every certificate that a proxy has is in the journal of its mesh (S56). Each server looks at all of them: what one
//! finds the others find, too.

use std::sync::Arc;
use std::time::Duration;

use heddle_store::{Store, certificates};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::MeshSource;

/// How often.
const LOOK: Duration = Duration::from_secs(600);
const UNKNOWN: &str = "heddle_ca_unjournalled_certificates";

/// Looks until the end.
pub(crate) async fn watch(store: Store, source: Arc<MeshSource>, shutdown: CancellationToken) {
    metrics::describe_gauge!(
        UNKNOWN,
        "Certificates that proxies have and that are in no journal"
    );
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = look.tick() => {}
        }
        match look_once(&store, &source).await {
            Ok(found) => metrics::gauge!(UNKNOWN).set(f64::from(found)),
            Err(error) => {
                tracing::warn!(%error, "cannot look whether all certificates are in the journal");
            }
        }
    }
}

async fn look_once(store: &Store, source: &MeshSource) -> heddle_store::Result<u32> {
    let mut found = 0_u32;
    for mesh in source.meshes() {
        for (proxy, serial) in certificates::unknown_leaves(store, &mesh).await? {
            tracing::error!(
                org.id = %mesh.org(),
                mesh.id = %mesh.mesh(),
                proxy.id = %proxy,
                serial,
                "a proxy has a certificate that is not in the journal"
            );
            found = found.saturating_add(1);
        }
    }
    Ok(found)
}
