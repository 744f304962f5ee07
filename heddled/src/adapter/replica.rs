//! This server among those that share a database: the lease by which it lives, and cleaning up after those whose lease ran out.

use std::sync::Arc;
use std::time::Duration;

use heddle_ephemeral::Servers;
use heddle_store::{Store, replicas};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::MeshSource;

/// How long a server that says nothing is taken to live.
const LEASE: Duration = Duration::from_secs(10);
/// How often it says something.
const RENEW: Duration = Duration::from_secs(2);

const SERVERS: &str = "heddle_servers";

/// A server's life.
pub(crate) struct Replica {
    store: Store,
    id: Uuid,
    source: Arc<MeshSource>,
    servers: Servers,
}

impl Replica {
    pub(crate) fn new(store: Store, id: Uuid, source: Arc<MeshSource>, servers: Servers) -> Self {
        Self {
            store,
            id,
            source,
            servers,
        }
    }

    /// Lives from now on, and cleans up after those who ended while nobody lived.
    pub(crate) async fn begin(&self) -> heddle_store::Result<()> {
        metrics::describe_gauge!(SERVERS, "Servers of this database that live");
        replicas::renew(&self.store, self.id, LEASE).await?;
        self.count().await?;
        let gone = replicas::gone(&self.store).await?;
        self.source.disconnect_gone().await?;
        replicas::forget(&self.store, &gone).await
    }

    /// Lives on until the end.
    pub(crate) async fn live(&self, shutdown: CancellationToken) {
        let mut renewal = tokio::time::interval(RENEW);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held_since = Some(Instant::now());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = renewal.tick() => {}
            }
            match self.renew(held_since).await {
                Ok(true) => {
                    held_since.get_or_insert_with(Instant::now);
                }
                Ok(false) => held_since = Some(Instant::now()),
                Err(error) => {
                    if held_since.take().is_some() {
                        tracing::warn!(%error, "cannot renew the lease of this server; trying on");
                    }
                }
            }
        }
    }

    /// Counts those that live.
    async fn count(&self) -> heddle_store::Result<()> {
        let living = replicas::living(&self.store).await?;
        self.servers.set(living);
        metrics::gauge!(SERVERS).set(living);
        Ok(())
    }

    /// Returns whether the lease was held until now.
    async fn renew(&self, held_since: Option<Instant>) -> heddle_store::Result<bool> {
        let held = replicas::renew(&self.store, self.id, LEASE).await?;
        self.count().await?;
        if !held {
            tracing::warn!("the lease of this server had run out; what it knows is written again");
            self.source.lapsed();
        }
        // Whoever could not renew its own cannot tell whether the others could: they get the time to say so.
        if held && held_since.is_some_and(|since| since.elapsed() >= LEASE) {
            let gone = replicas::gone(&self.store).await?;
            if !gone.is_empty() {
                self.source.disconnect_gone().await?;
                replicas::forget(&self.store, &gone).await?;
                tracing::info!(
                    servers = gone.len(),
                    "cleaned up after servers that are gone"
                );
            }
        }
        Ok(held)
    }

    /// Lives no more: its proxies have been told, and others need not wait for the end of the lease.
    pub(crate) async fn end(&self) {
        if let Err(error) = replicas::retire(&self.store, self.id).await {
            tracing::warn!(%error, "could not give up the lease of this server; it ends by itself");
        }
    }
}
