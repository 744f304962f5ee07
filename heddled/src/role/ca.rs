//! The certificate authority alone: the process with the sealing key, which talks to its socket and the database and nobody else.

use std::sync::Arc;

use anyhow::Context as _;
use heddle_model::clock::{SharedClock, SystemClock};
use nix::sys::prctl;
use tokio_util::sync::CancellationToken;

use super::all::{connect, wait_for_the_end};
use crate::adapter::{Authorities, Directory};
use crate::ca::{Desk, serve};
use crate::config::Config;
use crate::signing;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// A key cannot be used, the database refuses, or the socket cannot be made.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    // C15: its memory goes to no file and to no process of its user, whatever happens; nor does what it would start get more than it has.
    prctl::set_dumpable(false).context("turn core dumps off")?;
    prctl::set_no_new_privs().context("give up gaining privileges")?;
    let socket = config.ca_socket.as_deref().context(
        "ca_socket is not set: use --ca-socket, HEDDLE_CA_SOCKET or ca_socket in the file",
    )?;
    let keyring = Arc::new(config.sealing.open()?);
    let store = connect(&config, config.database_connections).await?;
    store.ping().await.context("check the database")?;
    let clock: SharedClock = Arc::new(SystemClock);
    let meshes = Arc::new(Directory::new(store.clone()));
    let authorities = Arc::new(Authorities::new(store.clone(), meshes));
    let signer = signing::local(
        &config,
        Arc::clone(&keyring),
        Arc::clone(&authorities) as _,
        &clock,
    )?;
    let shutdown = CancellationToken::new();
    let serving = serve(
        socket,
        Desk::new(authorities, signer, keyring),
        shutdown.clone(),
    );
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        ended = wait_for_the_end() => ended?,
    }
    tracing::info!("draining");
    shutdown.cancel();
    serving.await?;
    store.close().await;
    Ok(())
}
