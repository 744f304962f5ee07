//! Says whether the database answers: calls that wait for one that is silent are told so, and whoever watches this server is.

use heddle_store::{Pulse, Store};
use tokio_util::sync::CancellationToken;

const CONNECTED: &str = "heddle_database_connected";

/// Looks until the end.
pub(crate) async fn watch(store: Store, shutdown: CancellationToken) {
    metrics::describe_gauge!(CONNECTED, "1 while the database answers this server");
    let mut last = Pulse::Answers;
    let looking = store.feel(|pulse| {
        let answers = pulse == Pulse::Answers;
        metrics::gauge!(CONNECTED).set(if answers { 1.0 } else { 0.0 });
        match (last, pulse) {
            (before, now) if before == now => {}
            (_, Pulse::Answers) => tracing::info!("the database answers again"),
            (_, Pulse::Refuses) => tracing::warn!("the database is not there; trying on"),
            (_, Pulse::Silent) => tracing::warn!("the database does not answer; trying on"),
        }
        last = pulse;
    });
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = looking => {}
    }
}
