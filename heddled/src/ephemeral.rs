//! Where what may be lost lies: in this process, or in the Redis that the configuration names.

use std::sync::Arc;

use anyhow::Context as _;
use heddle_ephemeral::{Buckets, COUNT_WITHIN, Fanout, InProcess, Link, Options, Redis, Servers};
use uuid::Uuid;

use crate::config::Config;

/// What may be lost.
pub(crate) struct Ephemeral {
    pub(crate) fanout: Arc<dyn Fanout>,
    pub(crate) buckets: Arc<dyn Buckets>,
    /// How many servers there are, for whoever counts alone.
    pub(crate) servers: Servers,
    /// To be run, when there is one.
    pub(crate) link: Option<Link>,
}

impl Ephemeral {
    fn new<T: Fanout + Buckets + 'static>(is: T, servers: Servers, link: Option<Link>) -> Self {
        let is = Arc::new(is);
        Self {
            fanout: Arc::clone(&is) as _,
            buckets: is,
            servers,
            link,
        }
    }
}

/// Chooses. Nothing is connected yet: the link does that, and a Redis that is not there keeps no server from starting.
///
/// # Errors
/// What the configuration says of Redis cannot be meant.
pub(crate) fn open(config: &Config, id: Uuid) -> anyhow::Result<Ephemeral> {
    let servers = Servers::default();
    let Some(url) = config.redis_url.clone() else {
        return Ok(Ephemeral::new(
            InProcess::new(servers.clone()),
            servers,
            None,
        ));
    };
    let ca_pem = match &config.redis_ca {
        Some(path) => Some(
            std::fs::read(path).with_context(|| format!("redis_ca: read {}", path.display()))?,
        ),
        None => None,
    };
    let options = Options {
        url,
        prefix: config.redis_prefix.clone(),
        ca_pem,
        count_within: COUNT_WITHIN,
    };
    // The random half of the identifier.
    let (_, own) = id.as_u64_pair();
    let made = Redis::new(&options, own, servers.clone());
    let (redis, link) = made.context("redis_url, redis_ca, redis_prefix")?;
    Ok(Ephemeral::new(redis, servers, Some(link)))
}
