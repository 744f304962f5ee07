//! The data directory: who holds it, what lies where in it, and what was chosen last time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::files::{private_dir, read_if_there, write_private};

/// A data directory that this process holds until it ends, however it ends.
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be and takes its lock.
    ///
    /// # Errors
    /// Another process holds it (the error names both), or it cannot be made.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        private_dir(path)?;
        let path = path
            .canonicalize()
            .with_context(|| format!("find the data directory {}", path.display()))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock_path)
            .with_context(|| format!("open {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The number only makes the message better.
                let _ = lock.read_to_string(&mut holder);
                bail!(
                    "another `heddled up` (process {}) is using {}; stop it, or give this one another \
                     directory with --data-dir",
                    holder.trim(),
                    path.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", lock_path.display()));
            }
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("write {}", lock_path.display()))?;
        let this = Self { path, _lock: lock };
        for directory in [this.logs(), this.path.join("keys")] {
            private_dir(&directory)?;
        }
        Ok(this)
    }

    /// The directory, absolute and without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the children's output goes.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The key that seals private keys in the database.
    pub(crate) fn sealing_key(&self) -> PathBuf {
        self.path.join("keys/sealing.key")
    }

    /// The xDS server's authority and certificate.
    pub(crate) fn tls(&self) -> PathBuf {
        self.path.join("tls")
    }

    /// Where mails are files, unless a mail server takes them.
    pub(crate) fn mail(&self) -> PathBuf {
        self.path.join("mail")
    }

    /// What the demo keeps.
    pub(crate) fn demo(&self) -> PathBuf {
        self.path.join("demo")
    }

    /// What was chosen last time; nothing, if there was no last time.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub(crate) fn choices(&self) -> anyhow::Result<Choices> {
        let path = self.path.join("up.json");
        match read_if_there(&path)? {
            Some(text) => serde_json::from_str(&text)
                .with_context(|| format!("understand {} (it may be deleted)", path.display())),
            None => Ok(Choices::default()),
        }
    }

    /// Remembers what was chosen.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn remember(&self, choices: &Choices) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(choices).context("write the choices")?;
        text.push('\n');
        write_private(&self.path.join("up.json"), text)
    }
}

/// What one start picks and the next one keeps, as far as it can.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Choices {
    /// Where the API listens.
    pub(crate) api_listen: Option<SocketAddr>,
    /// Where the xDS server listens.
    pub(crate) xds_listen: Option<SocketAddr>,
    /// The third number of the demo's addresses, 127.0.N.x.
    pub(crate) demo_net: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/data");
        let held = DataDir::take(&path).unwrap();
        let error = DataDir::take(&path).err().unwrap().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(
            error.contains(&held.path().display().to_string()),
            "{error}"
        );
        drop(held);
        assert!(DataDir::take(&path).is_ok());
    }

    #[test]
    fn choices_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::take(dir.path()).unwrap();
        assert_eq!(held.choices().unwrap(), Choices::default());
        let choices = Choices {
            demo_net: Some(7),
            ..Choices::default()
        };
        held.remember(&choices).unwrap();
        assert_eq!(held.choices().unwrap(), choices);
    }
}
