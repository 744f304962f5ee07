//! What signs and seals for a server: keys of its own, or the process that has them; and whether it could right now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::future::BoxFuture;
use heddle_ca::{
    Aad, Journal, Keyring, LocalSigner, Profile, SealingKey as _, Signer, SystemRandom,
};
use heddle_model::clock::SharedClock;
use heddle_store::KeySealer;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::adapter::{Authorities, LocalSealer};
use crate::ca::Remote;
use crate::config::Config;

/// How often it is asked whether it could sign.
const LOOK: Duration = Duration::from_secs(2);

/// Whether something could be signed; why not.
type Checked = BoxFuture<'static, Result<(), heddle_ca::Error>>;
/// Asks for that.
type Check = Arc<dyn Fn() -> Checked + Send + Sync>;

/// What signs and seals.
#[derive(Clone)]
pub(crate) struct Signing {
    /// Signs leaves and authorities.
    pub(crate) signer: Arc<dyn Signer>,
    /// Seals the keys of sessions and of second factors.
    pub(crate) sealer: Arc<dyn KeySealer>,
    /// Whether it could right now, as it was seen last.
    pub(crate) ready: Arc<AtomicBool>,
    check: Check,
}

impl Signing {
    /// By the process behind the socket, or by keys of this one.
    ///
    /// # Errors
    /// Both are set or neither, a key cannot be used, or `leaf_lifetime` is out of bounds.
    pub(crate) fn open(
        config: &Config,
        journal: Arc<Authorities>,
        clock: &SharedClock,
    ) -> anyhow::Result<Self> {
        let ready = Arc::new(AtomicBool::new(true));
        let Some(socket) = &config.ca_socket else {
            let keyring = Arc::new(config.sealing.open()?);
            return Ok(Self {
                signer: Arc::new(local(config, Arc::clone(&keyring), journal, clock)?),
                sealer: Arc::new(LocalSealer::new(Arc::clone(&keyring))),
                ready,
                check: Arc::new(move || {
                    let checked = check(&keyring);
                    Box::pin(std::future::ready(checked)) as Checked
                }),
            });
        };
        if config.sealing.is_set() {
            bail!(
                "of ca_socket and a sealing key, set one: whoever asks another process to sign needs no key"
            );
        }
        let remote = Remote::new(socket)?;
        let asked = remote.clone();
        Ok(Self {
            signer: Arc::new(remote.clone()),
            sealer: Arc::new(remote),
            ready,
            check: Arc::new(move || {
                let remote = asked.clone();
                Box::pin(async move { remote.check().await }) as Checked
            }),
        })
    }

    /// Looks again and again whether it could sign, and says so in a metric, at `/readyz` and, when that changes, in the log.
    pub(crate) async fn watch(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            let checked = (self.check)().await;
            let now = checked.is_ok();
            metrics::gauge!("heddle_ca_ready").set(if now { 1.0 } else { 0.0 });
            match (self.ready.swap(now, Ordering::Relaxed), checked) {
                (true, Err(error)) => {
                    let error = chain(&error);
                    tracing::error!(error, "no certificate can be issued; trying on");
                }
                (false, Ok(())) => tracing::info!("certificates can be issued again"),
                _ => {}
            }
        }
    }
}

/// A signer with keys of this process.
///
/// # Errors
/// `leaf_lifetime` is out of bounds.
pub(crate) fn local(
    config: &Config,
    keyring: Arc<Keyring>,
    journal: Arc<dyn Journal>,
    clock: &SharedClock,
) -> anyhow::Result<LocalSigner> {
    let profile = Profile::new(config.leaf_lifetime).context("leaf_lifetime")?;
    let clock = Arc::clone(clock);
    Ok(LocalSigner::new(
        journal,
        keyring,
        Arc::new(move || clock.now()),
        Arc::new(SystemRandom),
        profile,
    ))
}

/// Seals and opens something: shows that the key is there, wherever it is.
///
/// # Errors
/// [`heddle_ca::Error::Seal`].
pub(crate) fn check(keyring: &Keyring) -> Result<(), heddle_ca::Error> {
    let nowhere = Aad {
        org: Uuid::nil(),
        mesh: Uuid::nil(),
        key: Uuid::nil(),
        purpose: "check",
    };
    let sealed = keyring.seal(&nowhere, b"check")?;
    keyring.open(&nowhere, &sealed)?;
    Ok(())
}

/// An error with what caused it, down to the first cause: whoever reads the log needs that one most.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
