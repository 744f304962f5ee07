//! Writes down what organisations used, as it is counted.

use std::time::Duration;

use heddle_store::Store;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often: as much as this is lost with a server that dies.
const INTERVAL: Duration = Duration::from_secs(5);

/// Writes until the end.
pub(crate) async fn write(store: Store, shutdown: CancellationToken) {
    let mut turn = tokio::time::interval(INTERVAL);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = turn.tick() => write_rest(&store).await,
        }
    }
}

/// Writes what is left.
pub(crate) async fn write_rest(store: &Store) {
    if let Err(error) = store.write_usage().await {
        tracing::warn!(%error, "cannot write down what was used; it is kept for the next time");
    }
}
