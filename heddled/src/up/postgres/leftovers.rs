//! What is left of an earlier PostgreSQL, whose supervisor was killed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

/// How long processes left over from a supervisor that was killed get to end, after SIGQUIT and after SIGKILL.
const LEFTOVER: Duration = Duration::from_secs(5);

/// Before a start: ends what is left of an earlier PostgreSQL in this very directory, and removes its lock
/// files. The number in them may by now belong to some other program, which PostgreSQL would take for itself.
pub(super) async fn clear_leftovers(cluster: PathBuf, sockets: PathBuf) -> anyhow::Result<()> {
    for signal in [Signal::SIGQUIT, Signal::SIGKILL] {
        let left = processes_in(&cluster);
        if left.is_empty() {
            break;
        }
        tracing::warn!(?left, %signal, "ending what is left of an earlier PostgreSQL");
        for pid in left {
            // It may have ended meanwhile.
            let _ = kill(pid, signal);
        }
        let deadline = Instant::now() + LEFTOVER;
        while !processes_in(&cluster).is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let left = processes_in(&cluster);
    if !left.is_empty() {
        bail!("processes {left:?} still use {}", cluster.display());
    }
    for lock in [
        cluster.join("postmaster.pid"),
        sockets.join(".s.PGSQL.5432.lock"),
    ] {
        match std::fs::remove_file(&lock) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove the stale {}", lock.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The PostgreSQL processes whose working directory is this cluster: its own, and no others.
fn processes_in(cluster: &Path) -> Vec<Pid> {
    let identity = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let Some(wanted) = identity(cluster) else {
        return Vec::new();
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            let ours =
                name.starts_with("postgres") && identity(&entry.path().join("cwd")) == Some(wanted);
            ours.then_some(Pid::from_raw(pid))
        })
        .collect()
}
