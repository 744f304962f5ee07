//! Forgets mail that nobody sends.

use std::time::Duration;

use heddle_store::{Store, mails};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether there is any.
const LOOK: Duration = Duration::from_hours(1);

/// Forgets until the end what has waited for longer than mail is remembered. Every server does, also one that sends none: where no server
/// does, nobody else would.
pub(crate) async fn forget(store: Store, shutdown: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = look.tick() => {}
        }
        if let Err(error) = mails::forget(&store).await {
            tracing::warn!(%error, "cannot forget old mail; trying again in an hour");
        }
    }
}
