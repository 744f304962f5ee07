//! Over Redis, for servers that share a database. Losing it costs time and nothing else.

mod buckets;
mod link;
mod telemetry;

use std::sync::Arc;
use std::time::Duration;

use ::redis::{ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, TlsCertificates};
use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{broadcast, mpsc, watch};

use crate::bucket::{Ask, Buckets, Level};
use crate::fanout::{Fanout, Hints, LAG};
use crate::hint::Hint;
use crate::local::{Local, Servers};
use buckets::Shared;
pub use link::Link;

/// How many hints wait to be sent at most; the others are dropped.
const QUEUE: usize = 1024;
/// The longest prefix of keys.
const LONGEST_PREFIX: usize = 64;

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct Options {
    /// `redis://` or `rediss://` (TLS), with user and password if it wants some.
    pub url: SecretString,
    /// What every key and channel begins with: several Heddles may share a Redis.
    pub prefix: String,
    /// Certificate authority that Redis is verified with, PEM; `None`: those of this machine.
    pub ca_pem: Option<Vec<u8>>,
    /// How long it may take to count one request, which waits for that; see [`COUNT_WITHIN`].
    pub count_within: Duration,
}

/// Long for an answer from a Redis nearby, and not much for a request: beyond that a server counts by itself.
pub const COUNT_WITHIN: Duration = Duration::from_millis(50);

/// The options cannot be meant. Says nothing of the URL's secret.
#[derive(Debug, thiserror::Error)]
pub enum BadOptions {
    /// Not a URL of a Redis.
    #[error("the URL of Redis is not like redis://user:password@host:6379/0: {0}")]
    Url(&'static str),
    /// Not a prefix.
    #[error("the prefix of keys is not 1 to {LONGEST_PREFIX} of a-z, 0-9, '-', '_' and '.'")]
    Prefix,
    /// The certificate authority cannot be used.
    #[error("the certificate authority of Redis: {0}")]
    Authority(&'static str),
}

/// One server of those that share a Redis. What it does happens in its [`Link`].
#[derive(Debug)]
pub struct Redis {
    queue: mpsc::Sender<Hint>,
    heard: Arc<broadcast::Sender<(u64, Hint)>>,
    buckets: Arc<Shared>,
}

impl Redis {
    /// Reads the options; nothing is connected yet. The link is to be run, and ends with the server. `own` tells this server from all
    /// others; `servers` is how many share what cannot be counted together while Redis is away.
    ///
    /// # Errors
    /// The options cannot be meant.
    pub fn new(options: &Options, own: u64, servers: Servers) -> Result<(Self, Link), BadOptions> {
        let client = client(options)?;
        telemetry::register();
        let (queue, queued) = mpsc::channel(QUEUE);
        let heard = Arc::new(broadcast::channel(LAG).0);
        let (connection, connected) = watch::channel(None);
        let local = Local::new(servers);
        let shared = Shared::new(&options.prefix, connected, local, options.count_within);
        let redis = Self {
            queue,
            heard,
            buckets: Arc::new(shared),
        };
        let link = Link::new(
            client,
            format!("{}:hints", options.prefix),
            own,
            link::Ends {
                queue: queued,
                heard: Arc::clone(&redis.heard),
                connection,
                buckets: Arc::clone(&redis.buckets),
            },
        );
        Ok((redis, link))
    }
}

impl Fanout for Redis {
    fn publish(&self, hint: Hint) {
        // Whoever writes never waits for Redis: others find what was not told by themselves.
        if self.queue.try_send(hint).is_err() {
            telemetry::dropped(1);
        }
    }

    fn subscribe(&self) -> Hints {
        Hints::new(None, self.heard.subscribe())
    }
}

#[async_trait]
impl Buckets for Redis {
    async fn take(&self, asks: &[Ask]) -> Vec<Level> {
        self.buckets.take(asks).await
    }
}

fn client(options: &Options) -> Result<::redis::Client, BadOptions> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let fits = (1..=LONGEST_PREFIX).contains(&options.prefix.len());
    if !fits || !options.prefix.chars().all(plain) {
        return Err(BadOptions::Prefix);
    }
    let url = options.url.expose_secret();
    let tls = url.starts_with("rediss://");
    if !tls && !url.starts_with("redis://") {
        return Err(BadOptions::Url("it begins with neither redis nor rediss"));
    }
    // The text of the library's error may repeat what it could not read.
    let parsed: ConnectionInfo = url
        .into_connection_info()
        .map_err(|_| BadOptions::Url("it cannot be understood"))?;
    if url.contains('#') {
        return Err(BadOptions::Url("it has a fragment"));
    }
    let settings = parsed.redis_settings().clone();
    // Messages and answers over one connection.
    let info = parsed.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
    let Some(ca_pem) = options.ca_pem.clone() else {
        return ::redis::Client::open(info).map_err(|_| BadOptions::Url("it cannot be understood"));
    };
    if !tls {
        return Err(BadOptions::Authority("the URL says nothing of TLS"));
    }
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(ca_pem),
    };
    ::redis::Client::build_with_tls(info, certificates)
        .map_err(|_| BadOptions::Authority("it is not a certificate in PEM"))
}

#[cfg(test)]
mod tests;
