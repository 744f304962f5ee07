//! Files of a backup become those of a cluster.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A cluster is run by the PostgreSQL that made it.
///
/// # Errors
/// It is of another version.
pub(super) fn check_version(backup: &Path, ours: u32) -> anyhow::Result<()> {
    let path = backup.join("PG_VERSION");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    if text.trim() != ours.to_string() {
        bail!(
            "the backup is of PostgreSQL {}, and the programs here are of {ours}: name others with --pg-bin",
            text.trim()
        );
    }
    Ok(())
}

/// Copies a backup into a directory that is there and empty, and what was written after it to where PostgreSQL looks for it.
///
/// # Errors
/// A file cannot be copied.
pub(super) fn cluster(
    backup: &Path,
    to: &Path,
    written: &[(PathBuf, String)],
) -> anyhow::Result<()> {
    let mut left = vec![PathBuf::new()];
    while let Some(inside) = left.pop() {
        let from = backup.join(&inside);
        let entries = std::fs::read_dir(&from)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .with_context(|| format!("read {}", from.display()))?;
        for entry in entries {
            let inside = inside.join(entry.file_name());
            let (from, to) = (entry.path(), to.join(&inside));
            let metadata =
                std::fs::metadata(&from).with_context(|| format!("look at {}", from.display()))?;
            if metadata.is_dir() {
                std::fs::create_dir(&to).with_context(|| format!("make {}", to.display()))?;
                close(&to)?;
                left.push(inside);
            } else {
                file(&from, &to)?;
            }
        }
    }
    for (from, name) in written {
        file(from, &to.join("pg_wal").join(name))?;
    }
    // PostgreSQL syncs what it writes itself, and takes the rest for synced.
    nix::unistd::sync();
    Ok(())
}

fn file(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to)
        .map(|_| ())
        .and_then(|()| std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600)))
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

fn close(directory: &Path) -> anyhow::Result<()> {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("close {}", directory.display()))
}
