//! The xDS server: connections, who may have a stream, and an orderly end.
//!
//! Every method of every service is authenticated before anything else is said about it (X02); the
//! streams of the discovery services, aggregated or of one type, are then served.

mod allowance;
mod certificates;
mod connection;
mod exchange;
mod identity;
mod life;
mod link;
mod messages;
mod method;
mod refuse;
mod reports;
mod stream;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use heddle_model::clock::SharedClock;
use heddle_translate::ReportsTo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::graph::{Hub, Parts};
use crate::source::{IdentitySource, SnapshotSource};
use crate::telemetry;
use crate::tls::ServerTls;

use connection::{Connection, Server};

/// How many handshakes go on at once: half a second of one core's work. The others wait their turn.
const HANDSHAKES: usize = 2_000;
/// How many times in a row accepting may fail before the listener counts as unusable; a tenth of a second apart.
const ACCEPT_FAILURES: u32 = 600;

/// How the server behaves. All durations may be shortened in tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a proxy whose stream ended stays an ordinary endpoint.
    pub endpoint_grace: Duration,
    /// How long it is shown as draining after that, before it is removed.
    pub endpoint_drain: Duration,
    /// How long a leaf certificate lives: bounds how long connections between sidecars live.
    pub leaf_lifetime: Duration,
    /// The shortest time between two checkpoints of a mesh.
    pub checkpoint_interval: Duration,
    /// How long a shutdown may take: streams end spread over four fifths of this time.
    pub drain_deadline: Duration,
    /// How long a connection lives, give or take a fifth (X47): proxies spread over servers that came later. Coming back
    /// costs a handshake and no configuration.
    pub max_connection_age: Duration,
    /// How often a peer is asked whether it is there, and how long it may take to answer (X46).
    pub ping_every: Duration,
    /// See [`Options::ping_every`].
    pub ping_wait: Duration,
    /// How long a connection lives on which nobody who is known asks for anything: it would be anybody's for an hour otherwise.
    pub stranger_deadline: Duration,
    /// How long a proxy may leave what was sent to it unread (X42).
    pub unread_deadline: Duration,
    /// Where proxies reach this server to report, as their bootstrap says it; without it they report nothing.
    pub reports: Option<Arc<ReportsTo>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // Longer than the longest pause that our bootstrap lets an Envoy make.
            endpoint_grace: Duration::from_secs(10),
            endpoint_drain: Duration::from_secs(10),
            leaf_lifetime: Duration::from_secs(24 * 60 * 60),
            checkpoint_interval: Duration::from_millis(200),
            drain_deadline: Duration::from_secs(5),
            max_connection_age: Duration::from_secs(60 * 60),
            ping_every: Duration::from_secs(30),
            ping_wait: Duration::from_secs(10),
            stranger_deadline: Duration::from_secs(60),
            unread_deadline: Duration::from_secs(30),
            reports: None,
        }
    }
}

/// The server cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener has failed for a minute.
    #[error("accept connections")]
    Accept(#[source] std::io::Error),
}

/// Serves proxies until `shutdown`, then ends their streams within [`Options::drain_deadline`]. Streams that end
/// that way leave their workloads registered.
///
/// # Errors
/// [`ServeError`]: the listener is unusable.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerTls>,
    source: Arc<dyn SnapshotSource>,
    identities: Arc<dyn IdentitySource>,
    options: Options,
    clock: SharedClock,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    telemetry::register();
    let kill = CancellationToken::new();
    let server = Arc::new(Server {
        hub: Hub::new(Parts {
            source,
            identities,
            clock,
            endpoint_grace: options.endpoint_grace,
            endpoint_drain: options.endpoint_drain,
            leaf_lifetime: options.leaf_lifetime,
            reports: options.reports.clone(),
            checkpoint_interval: options.checkpoint_interval,
        }),
        tls: tls.config(),
        handshakes: Semaphore::new(HANDSHAKES),
        options: options.clone(),
        certificates: certificates::Desk::default(),
        reports: reports::Desk::default(),
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
        kill: kill.clone(),
    });
    let ended = CancellationToken::new();
    let keeping = tokio::spawn(reports::keep(Arc::clone(&server), ended.clone()));
    let outcome = server.accept(&listener, options.drain_deadline).await;
    drop(listener);
    shutdown.cancel();
    server.tasks.close();
    if tokio::time::timeout(options.drain_deadline, server.tasks.wait())
        .await
        .is_err()
    {
        kill.cancel();
        server.tasks.wait().await;
    }
    ended.cancel();
    let _panicked = keeping.await;
    server.hub.stop().await;
    outcome
}

impl Server {
    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        drain_deadline: Duration,
    ) -> Result<(), ServeError> {
        let mut failures = 0;
        let mut accepted = 0_u32;
        loop {
            let socket = tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                socket = listener.accept() => socket,
            };
            match socket {
                Ok((socket, from)) => {
                    failures = 0;
                    accepted = accepted.wrapping_add(1);
                    let connection = Connection {
                        server: self.clone(),
                        from: from.ip().to_canonical(),
                    };
                    let place = spread(accepted);
                    let after = drain_deadline.mul_f64(0.8 * place);
                    let age = self.options.max_connection_age.mul_f64(0.8 + 0.4 * place);
                    self.tasks.spawn(connection.run(socket, after, age));
                }
                // Too many open files, or a peer that is gone already: existing streams are not concerned.
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    failures += 1;
                    if failures >= ACCEPT_FAILURES {
                        return Err(ServeError::Accept(error));
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// A place between 0 and 1 for the n-th of many: multiples of the golden ratio lie evenly, whatever their number.
fn spread(n: u32) -> f64 {
    (f64::from(n) * 0.618_033_988_749_895).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xds_x47_the_ends_of_many_connections_are_spread_out() {
        let mut places: Vec<f64> = (1..=1_000).map(spread).collect();
        places.sort_by(f64::total_cmp);
        let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
        // Of a thousand that came in one moment, no two hundredth of them go in one hundredth of the time.
        assert!(gaps.fold(0.0, f64::max) < 0.005);
        assert!(places[0] < 0.005 && places[999] > 0.995);
    }
}
