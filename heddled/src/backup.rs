//! `heddled backup`: PostgreSQL's own base backup, verified, and what is written after it, as it is written.
//!
//! Nothing here holds a sealing key, so no backup does: what is sealed in the database is sealed in it.

mod base;
pub(crate) mod connection;
mod follow;
pub(crate) mod manifest;
pub(crate) mod tools;
pub(crate) mod wal;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use heddle_ca::{KekId, sealed_under};
use heddle_model::clock::{SystemClock, SystemIds};
use heddle_model::quota::Quotas;
use heddle_store::reseal::{Place, Resealer};
use heddle_store::{Cause, Options, Store};
use secrecy::SecretString;

use self::connection::Connection;
use self::tools::Tools;
use crate::cli::BackupArgs;
use crate::config::Settings;
use crate::telemetry;
use crate::up::postgres::{Postgres, find_binaries};
use crate::up::running::Signals;

/// What it takes to make backups.
const PROGRAMS: [&str; 3] = ["pg_basebackup", "pg_receivewal", "pg_verifybackup"];

/// Makes a backup, follows what is written, or both.
///
/// # Errors
/// A program of PostgreSQL fails, the database refuses, or the directory is not empty.
pub(crate) async fn run(args: BackupArgs) -> anyhow::Result<()> {
    let settings = args.settings.clone().with_file()?;
    telemetry::init_log(
        settings.log_level.as_deref().unwrap_or("info"),
        settings.log_format.unwrap_or_default(),
    )?;
    let binaries = find_binaries(args.pg_bin.as_deref(), &PROGRAMS)?;
    let source = Source::find(&args, settings, &binaries)?;
    let tools = Tools::new(binaries);
    let mut signals = Signals::take()?;
    let made = AtomicBool::new(args.to.is_none());
    let work = async {
        // Before the backup, so that nothing is missing between the two.
        let following = match &args.wal {
            Some(wal) => {
                Some(follow::Following::start(&tools, &source.replication, wal, &args.slot).await?)
            }
            None => None,
        };
        if let Some(to) = &args.to {
            base::take(&tools, &source, to, args.json).await?;
            made.store(true, Ordering::Relaxed);
        }
        match following {
            Some(following) => following.run().await,
            None => Ok(()),
        }
    };
    // What runs is asked to end by being dropped.
    tokio::select! {
        done = work => done,
        signal = signals.next() => {
            tracing::info!(%signal, "stopping");
            match args.follow && made.load(Ordering::Relaxed) {
                true => Ok(()),
                false => bail!("stopped by {signal}; there is no backup"),
            }
        }
    }
}

/// The database to back up.
pub(crate) struct Source {
    /// As a role that may replicate.
    replication: Connection,
    /// As the role of the server.
    server: SecretString,
}

impl Source {
    fn find(
        args: &BackupArgs,
        settings: Settings,
        binaries: &std::path::Path,
    ) -> anyhow::Result<Self> {
        let said = |url: Option<String>| url.filter(|url| !url.is_empty());
        let asked = said(args.backup_database_url.clone());
        if let Some(server) = said(settings.database_url) {
            let replication = asked
                .or_else(|| said(settings.migrate_database_url))
                .unwrap_or_else(|| server.clone());
            return Ok(Self {
                replication: Connection::parse(&replication)?,
                server: server.into(),
            });
        }
        if asked.is_some() {
            bail!("backup_database_url is set, but database_url is not");
        }
        let directory = args.data_dir.canonicalize().with_context(|| {
            format!(
                "find the data directory {}: name it with --data-dir, or a database with DATABASE_URL",
                args.data_dir.display()
            )
        })?;
        let postgres = Postgres::at(&directory, binaries.to_owned())?;
        if !postgres.serves() {
            bail!(
                "no PostgreSQL serves {}: a backup is made while `heddled up` runs",
                directory.display()
            );
        }
        Ok(Self {
            replication: Connection::parse(&postgres.owner_url())?,
            server: postgres.server_url().into(),
        })
    }
}

/// Connects as the role of the server.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn connect(url: &SecretString) -> anyhow::Result<Store> {
    let options = Options {
        url: url.clone(),
        max_connections: 2,
        acquire_timeout: Duration::from_secs(10),
        quotas: Quotas::default(),
    };
    Store::connect(options, Arc::new(SystemClock), Arc::new(SystemIds))
        .await
        .context("connect to the database")
}

/// Counts what each sealing key has sealed, and changes nothing.
#[derive(Default)]
pub(crate) struct Counting(Mutex<BTreeMap<KekId, u64>>);

impl Counting {
    /// How many private keys each has sealed.
    pub(crate) fn counts(self) -> BTreeMap<KekId, u64> {
        self.0.into_inner().unwrap_or_default()
    }
}

impl Resealer for Counting {
    fn reseal(&self, _: Place, sealed: &[u8]) -> Result<Option<Vec<u8>>, Cause> {
        let key = sealed_under(sealed)?;
        let mut counts = self.0.lock().map_err(|_| "a thread panicked")?;
        *counts.entry(key).or_default() += 1;
        Ok(None)
    }
}
