//! A folder for what a shell starts.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::scratch;

/// The folder in which everything happens; whatever works in it ends with it.
pub struct Yard(TempDir);

impl Yard {
    /// An empty one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(scratch("heddle-yard-"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(pid) = process.file_name().to_string_lossy().parse::<i32>() else {
                continue;
            };
            let place = std::fs::read_link(process.path().join("cwd"));
            if place.is_ok_and(|place| place.starts_with(self.0.path())) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        // Whoever looks for the cause of a failure needs the logs.
        if std::thread::panicking() {
            self.0.disable_cleanup(true);
        }
    }
}
