//! Where what may be lost lies: in this process, or in the Redis that the configuration names.

use std::sync::Arc;

use anyhow::Context as _;
use heddle_ephemeral::{Fanout, InProcess, Link, Options, Redis};
use uuid::Uuid;

use crate::config::Config;

/// Chooses. Nothing is connected yet: the link does that, and a Redis that is not there keeps no server from starting.
///
/// # Errors
/// What the configuration says of Redis cannot be meant.
pub(crate) fn open(config: &Config, id: Uuid) -> anyhow::Result<(Arc<dyn Fanout>, Option<Link>)> {
    let Some(url) = config.redis_url.clone() else {
        return Ok((Arc::new(InProcess::default()), None));
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
    };
    // The random half of the identifier.
    let (_, own) = id.as_u64_pair();
    let (redis, link) = Redis::new(&options, own).context("redis_url, redis_ca, redis_prefix")?;
    Ok((Arc::new(redis), Some(link)))
}
