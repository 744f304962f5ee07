//! The log files of children: appended to, kept below a size, one older file each.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

/// A log file past this many bytes becomes `<file>.1`.
const LIMIT_BYTES: u64 = 16 << 20;
/// How often files that are being written are looked at.
const EVERY: Duration = Duration::from_secs(30);
/// How much of the end of a log an error message shows.
const TAIL_LINES: usize = 20;

/// Opens a log for a child that is about to start.
pub(crate) fn open(path: &Path) -> anyhow::Result<File> {
    rotate(path, LIMIT_BYTES).with_context(|| format!("rotate {}", path.display()))?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("open the log {}", path.display()))
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Watches a directory of logs for ever.
pub(crate) async fn keep_small(directory: PathBuf) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "log")
                && let Err(error) = rotate(&path, LIMIT_BYTES)
            {
                tracing::warn!(%error, "cannot rotate {}", path.display());
            }
        }
    }
}

/// Copies a file that is too long aside and empties it in place: its writer appends, so it goes on in the
/// same file. Lines written between the two steps are lost, which a log may.
fn rotate(path: &Path, limit: u64) -> std::io::Result<()> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > limit => {
            let mut older = path.as_os_str().to_owned();
            older.push(".1");
            std::fs::copy(path, older)?;
            OpenOptions::new().write(true).open(path)?.set_len(0)
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_long_log_is_set_aside_and_its_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut writer = open(&path).unwrap();
        writer.write_all(b"first\n").unwrap();
        rotate(&path, 100).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\n");
        rotate(&path, 3).unwrap();
        writer.write_all(b"second\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second\n");
        assert_eq!(
            std::fs::read_to_string(dir.path().join("a.log.1")).unwrap(),
            "first\n"
        );
    }

    #[test]
    fn the_tail_is_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let text: String = (0..50).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let tail = tail(&path);
        assert!(
            tail.starts_with("line 30\n") && tail.ends_with("line 49"),
            "{tail}"
        );
        assert_eq!(super::tail(&dir.path().join("none")), "");
    }
}
