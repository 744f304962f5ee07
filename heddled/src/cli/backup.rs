//! `heddled backup`, `heddled restore` and `heddled admin database`.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use crate::config::Settings;

/// `heddled backup`.
#[derive(Args)]
pub(crate) struct BackupArgs {
    /// Make a backup of the whole database here: a directory that is empty, or is not there yet
    #[arg(long, value_name = "DIR", required_unless_present = "follow")]
    pub(crate) to: Option<PathBuf>,
    /// Go on, until stopped, by writing to --wal whatever is committed from now on
    #[arg(long, requires = "wal")]
    pub(crate) follow: bool,
    /// Where --follow writes
    #[arg(long, value_name = "DIR", requires = "follow")]
    pub(crate) wal: Option<PathBuf>,
    /// The replication slot of --follow: one for each place that is written to
    #[arg(long, value_name = "NAME", default_value = "heddle_backup")]
    pub(crate) slot: String,
    /// The data directory of the `heddled up` to back up, when no database is named
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".heddle",
        env = "HEDDLE_DATA_DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// PostgreSQL, as a role that may replicate [default: the one that owns the schema]
    #[arg(
        long,
        value_name = "URL",
        env = "HEDDLE_BACKUP_DATABASE_URL",
        hide_env_values = true
    )]
    pub(crate) backup_database_url: Option<String>,
    /// Where pg_basebackup, pg_receivewal and pg_verifybackup are [default: the newest in /usr/lib/postgresql, then PATH]
    #[arg(long, value_name = "DIR", env = "HEDDLE_PG_BIN")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// Print one JSON object about the backup instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `heddled restore`.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// What `heddled backup --to` made
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// What `heddled backup --follow` wrote: go on to its end
    #[arg(long, value_name = "DIR")]
    pub(crate) wal: Option<PathBuf>,
    /// Go on to this moment only, as in 2026-11-27T21:00:00Z
    #[arg(long, value_name = "TIME", requires = "wal")]
    pub(crate) until: Option<DateTime<Utc>>,
    /// The data directory to make. What is in its keys/ and tls/ already stays; a database must not be in it
    #[arg(long, value_name = "DIR", env = "HEDDLE_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// Where initdb, postgres and pg_verifybackup are [default: the newest in /usr/lib/postgresql, then PATH]
    #[arg(long, value_name = "DIR", env = "HEDDLE_PG_BIN")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the sealing keys are.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `heddled admin database`.
#[derive(Subcommand)]
pub(crate) enum DatabaseCommand {
    /// After PostgreSQL was restored by other means, and before a server starts: see that the sealing keys open what is sealed,
    /// move every mesh to revisions that nobody has seen, give waiting mail up, and note it in the audit log
    Restored(Box<RestoredArgs>),
}

/// `heddled admin database restored`.
#[derive(Args)]
pub(crate) struct RestoredArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database (also as the role that owns the schema) and the sealing keys are.
    #[command(flatten)]
    pub(crate) settings: Settings,
}
