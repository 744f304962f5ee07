//! The certificate of one proxy, for as long as its stream lives: is what it holds current, and when is the next due.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use heddle_model::id::AuthorityId;
use tokio::task::JoinHandle;

use crate::engine::resource::Resource;
use crate::engine::session::Own;
use crate::graph::resource;
use crate::source::{IdentitySource, Leaf, Proxy, SourceError};

/// The pauses between attempts: doubling from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A certificate that the proxy may use, and when to replace it.
pub(super) struct Current {
    pub(super) own: Own,
    pub(super) renew_at: DateTime<Utc>,
    /// Its serial, and what signed it.
    pub(super) serial: Arc<str>,
    pub(super) authority: AuthorityId,
}

/// Gets certificates for one proxy, one at a time, and does not give up: the proxy goes on with what it has.
pub(super) struct Identity {
    source: Arc<dyn IdentitySource>,
    proxy: Proxy,
    job: Option<JoinHandle<Current>>,
}

impl Identity {
    pub(super) fn new(source: Arc<dyn IdentitySource>, proxy: Proxy) -> Self {
        Self {
            source,
            proxy,
            job: None,
        }
    }

    /// Starts to get one; to be called when none is under way. `held` is the serial that the proxy says it has.
    pub(super) fn want(&mut self, trust_domain: Arc<str>, held: Option<Arc<str>>) {
        let (source, proxy) = (self.source.clone(), self.proxy.clone());
        self.job = Some(tokio::spawn(persist(source, proxy, trust_domain, held)));
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.job.is_some()
    }

    /// The next certificate; never, when none is wanted. `None` when getting it panicked.
    pub(super) async fn next(&mut self) -> Option<Current> {
        match &mut self.job {
            Some(job) => {
                let outcome = job.await;
                self.job = None;
                outcome.ok()
            }
            None => std::future::pending().await,
        }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        if let Some(job) = &self.job {
            job.abort();
        }
    }
}

async fn persist(
    source: Arc<dyn IdentitySource>,
    proxy: Proxy,
    trust_domain: Arc<str>,
    held: Option<Arc<str>>,
) -> Current {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt(&*source, &proxy, &trust_domain, held.as_deref()).await {
            Ok(current) => return current,
            Err(error) => {
                let cause = error.source.to_string();
                tracing::warn!(
                    org.id = %proxy.mesh.org,
                    mesh.id = %proxy.mesh.mesh,
                    proxy.id = %proxy.proxy,
                    %error,
                    cause,
                    "no certificate yet"
                );
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(
    source: &dyn IdentitySource,
    proxy: &Proxy,
    trust_domain: &str,
    held: Option<&str>,
) -> Result<Current, SourceError> {
    if let Some(serial) = held
        && let Some(held) = source.is_current(proxy, trust_domain, serial).await?
    {
        return Ok(Current {
            own: Own::Held,
            renew_at: held.renew_at,
            serial: serial.into(),
            authority: held.authority,
        });
    }
    let leaf = source.leaf(proxy, trust_domain).await?;
    Ok(Current {
        own: Own::Issued(Arc::new(secret(&leaf))),
        renew_at: leaf.renew_at,
        serial: leaf.serial.as_str().into(),
        authority: leaf.authority,
    })
}

fn secret(leaf: &Leaf) -> Resource {
    resource(heddle_translate::identity_secret(
        &leaf.chain_pem,
        &leaf.key_pem,
        &leaf.serial,
    ))
}
