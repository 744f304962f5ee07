//! What a backup says of itself: written last, so that a backup without one is none.

use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::wal;
use crate::up::files::{read_if_there, write_private};

/// The cluster in a backup's directory.
pub(crate) const CLUSTER: &str = "cluster";
const FILE: &str = "heddle-backup.json";

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The version of this form.
    pub(crate) format: u32,
    /// The Heddle that made it.
    pub(crate) heddle: String,
    /// The newest migration in it.
    pub(crate) schema: i64,
    /// The database's name.
    pub(crate) database: String,
    /// The role that the server logs in as.
    pub(crate) role: String,
    /// The number of the cluster that it is of.
    pub(crate) cluster: String,
    /// When it was begun.
    pub(crate) began_at: DateTime<Utc>,
    /// What was committed until then is in it.
    pub(crate) ended_at: DateTime<Utc>,
    /// The part of PostgreSQL's log that it needs, and has.
    pub(crate) written: Written,
    /// The keys that whoever restores it needs. They are not in it.
    pub(crate) sealing_keys: Vec<SealedUnder>,
}

/// A part of PostgreSQL's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) timeline: u32,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// A sealing key, by its name, and how many private keys it has sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedUnder {
    pub(crate) id: String,
    pub(crate) sealed: u64,
}

/// What PostgreSQL itself says of a base backup; nothing but what is needed.
#[derive(Deserialize)]
struct BackupManifest {
    #[serde(rename = "WAL-Ranges")]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    from: String,
    #[serde(rename = "End-LSN")]
    to: String,
}

impl Manifest {
    pub(crate) const FORMAT: u32 = 1;

    /// Reads the one of a backup.
    ///
    /// # Errors
    /// There is none, or this version does not know its form.
    pub(crate) fn read(backup: &Path) -> anyhow::Result<Self> {
        let path = backup.join(FILE);
        let text = read_if_there(&path)?.with_context(|| {
            format!(
                "{} holds no backup: {FILE}, which is written last, is not there",
                backup.display()
            )
        })?;
        let this: Self = serde_json::from_str(&text)
            .with_context(|| format!("understand {}", path.display()))?;
        if this.format != Self::FORMAT {
            bail!(
                "{} is of a form ({}) that this version does not know",
                path.display(),
                this.format
            );
        }
        Ok(this)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, backup: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        write_private(&backup.join(FILE), text)
    }

    /// What PostgreSQL has noted of its log.
    ///
    /// # Errors
    /// There is no such note.
    pub(super) fn read_written(cluster: &Path) -> anyhow::Result<Written> {
        let path = cluster.join("backup_manifest");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let noted: BackupManifest = serde_json::from_str(&text)
            .with_context(|| format!("understand {}", path.display()))?;
        let range = noted.ranges.into_iter().next_back();
        let range =
            range.with_context(|| format!("{} names no part of the log", path.display()))?;
        Ok(Written {
            timeline: range.timeline,
            from: range.from,
            to: range.to,
        })
    }
}

impl Written {
    /// From where to where.
    ///
    /// # Errors
    /// It does not say so in PostgreSQL's way.
    pub(crate) fn places(&self) -> anyhow::Result<(u64, u64)> {
        let both = wal::place(&self.from).zip(wal::place(&self.to));
        both.with_context(|| format!("{} and {} are no places in a log", self.from, self.to))
    }
}
