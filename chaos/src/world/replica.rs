//! One server, with a way of its own to the database that can be made long or cut.

use std::path::Path;

use heddle_bench::process::{Usage, descriptors};
use heddle_tests::{Postgres, Redis, Server, ServerOptions};

use crate::relay::{Relay, Upstream};

/// What they are called, in the order in which they are kept.
const NAMES: [&str; 4] = ["api-1", "api-2", "xds-1", "xds-2"];

/// A server.
pub(crate) struct Replica {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    /// Its way to the database.
    pub(crate) database: Relay,
    /// Its way to Redis.
    pub(crate) redis: Relay,
}

/// What one uses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Uses {
    pub(crate) resident: f64,
    pub(crate) descriptors: f64,
    pub(crate) tasks: f64,
    pub(crate) panics: f64,
}

impl Replica {
    /// The memory that it has, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        let pid = u32::try_from(self.server.pid()).unwrap_or_default();
        Usage::of(pid).resident_bytes as f64
    }

    /// What it uses now.
    pub(crate) async fn uses(&self) -> Uses {
        let pid = u32::try_from(self.server.pid()).unwrap_or_default();
        let metrics = self.server.metrics().await;
        let metric = |name: &str| metrics.get(name).copied().unwrap_or_default();
        Uses {
            resident: self.resident(),
            descriptors: descriptors(pid) as f64,
            tasks: metric("heddle_tasks"),
            panics: metric("heddle_panics_total"),
        }
    }
}

/// Starts all of them.
///
/// # Errors
/// There is no port for a way to the database.
pub(crate) async fn start(
    directory: &Path,
    postgres: &Postgres,
    redis: &Redis,
    front: &Relay,
) -> anyhow::Result<Vec<Replica>> {
    let socket = postgres.socket_directory().join(".s.PGSQL.5432");
    let mut replicas: Vec<Replica> = Vec::new();
    for name in NAMES {
        let database = Relay::start(Upstream::Socket(socket.clone())).await?;
        let to_redis = Relay::start(Upstream::Ports(vec![redis.port()])).await?;
        let options = options(&database, &redis.url_at(to_redis.port()), front);
        let server = match replicas.first() {
            None => Server::start(directory, postgres, options).await,
            Some(first) => first.server.replica(name, options).await,
        };
        replicas.push(Replica {
            name,
            server,
            database,
            redis: to_redis,
        });
    }
    Ok(replicas)
}

fn options(database: &Relay, redis_url: &str, front: &Relay) -> ServerOptions {
    let url = format!(
        "postgres://heddle_server@127.0.0.1:{}/heddle?sslmode=disable",
        database.port()
    );
    ServerOptions {
        // So that certificates are renewed all the time.
        leaf_lifetime: String::from("10m"),
        endpoint_grace: String::from("10s"),
        endpoint_drain: String::from("10s"),
        database_url: Some(url),
        log_level: String::from("info"),
        certificate_days: 60,
        xds_address: Some(format!("127.0.0.1:{}", front.port())),
        redis_url: Some(redis_url.to_owned()),
        ..ServerOptions::default()
    }
}
