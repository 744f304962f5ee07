//! What may be lost: one suite against both implementations, and what only Redis can do to us.

mod buckets;
mod fanout;
mod redis;

use heddle_ephemeral::{COUNT_WITHIN, Options, Redis, Servers};
use heddle_tests::Redis as RedisServer;
use tokio_util::sync::{CancellationToken, DropGuard};

fn options(server: &RedisServer, prefix: &str) -> Options {
    Options {
        url: server.url().into(),
        prefix: prefix.to_owned(),
        ca_pem: None,
        count_within: COUNT_WITHIN,
    }
}

/// One of two servers that share a Redis; its link ends with the guard.
fn join(options: &Options, own: u64) -> (Redis, DropGuard) {
    let servers = Servers::default();
    servers.set(2);
    let (redis, link) = Redis::new(options, own, servers).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(link.run(shutdown.clone()));
    (redis, shutdown.drop_guard())
}
