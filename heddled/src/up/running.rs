//! What runs, and the order in which it ends: traffic, then what serves it, then what it depends on.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use anyhow::Context as _;

use super::parent;
use super::postgres::Postgres;
use super::process::Child;
use crate::demo::load::Load;

/// Everything that was started and not yet stopped.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) load: Option<Load>,
    /// The demo's services and Envoys.
    pub(crate) fleet: Vec<Child>,
    pub(crate) server: Option<Child>,
    pub(crate) postgres: Option<(Postgres, Child)>,
}

impl Running {
    /// Ends everything, in order.
    pub(crate) async fn drain(self) {
        if let Some(load) = self.load {
            load.stop().await;
        }
        futures::future::join_all(self.fleet.into_iter().map(Child::stop)).await;
        if let Some(server) = self.server {
            server.stop().await;
        }
        if let Some((postgres, child)) = self.postgres {
            child.stop().await;
            postgres.tidy();
        }
    }

    /// Returns when the server or PostgreSQL got another process id.
    pub(crate) async fn pids_changed(&self) {
        let server = self.server.as_ref().map(Child::state);
        let postgres = self.postgres.as_ref().map(|(_, child)| child.state());
        let changes = [server, postgres].into_iter().flatten().map(|mut state| {
            Box::pin(async move {
                let before = state.borrow().pid;
                // The sender lives as long as the child is watched over.
                let _ = state
                    .wait_for(|now| now.pid.is_some() && now.pid != before)
                    .await;
            })
        });
        let changes: Vec<_> = changes.collect();
        if changes.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(changes).await;
    }
}

/// The signals that ask us to end.
pub(crate) struct Signals(Vec<(tokio::signal::unix::Signal, Signal)>);

impl Signals {
    /// Takes them over from now on. A hang-up that is ignored, as under `nohup`, stays ignored.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let mut kinds = vec![
            (SignalKind::interrupt(), Signal::SIGINT),
            (SignalKind::terminate(), Signal::SIGTERM),
        ];
        if !parent::ignores(Pid::this(), Signal::SIGHUP) {
            kinds.push((SignalKind::hangup(), Signal::SIGHUP));
        }
        let taken = kinds
            .into_iter()
            .map(|(kind, name)| Ok((signal(kind)?, name)));
        let taken = taken
            .collect::<std::io::Result<_>>()
            .context("take over signals")?;
        Ok(Self(taken))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Signal {
        let each = self.0.iter_mut().map(|(signal, name)| {
            Box::pin(async {
                signal.recv().await;
                *name
            })
        });
        futures::future::select_all(each).await.0
    }
}
