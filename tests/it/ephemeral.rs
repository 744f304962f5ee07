//! What may be lost: one suite against both implementations, and what only Redis can do to us.

mod fanout;
mod redis;

use heddle_ephemeral::{Options, Redis};
use heddle_tests::Redis as RedisServer;
use tokio_util::sync::{CancellationToken, DropGuard};

fn options(server: &RedisServer, prefix: &str) -> Options {
    Options {
        url: server.url().into(),
        prefix: prefix.to_owned(),
        ca_pem: None,
    }
}

/// One of the servers that share a Redis; its link ends with the guard.
fn join(options: &Options, own: u64) -> (Redis, DropGuard) {
    let (redis, link) = Redis::new(options, own).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(link.run(shutdown.clone()));
    (redis, shutdown.drop_guard())
}
