//! Child processes that end with the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the repository")
        .to_owned()
}

/// The binary under test: the one that `HEDDLE_TEST_HEDDLED` names (`make test-long` tests the release), or the one beside the test binary.
#[must_use]
pub fn heddled() -> PathBuf {
    std::env::var_os("HEDDLE_TEST_HEDDLED").map_or_else(|| beside("heddled"), PathBuf::from)
}

/// The command line, built beside the test binary.
#[must_use]
pub fn heddle() -> PathBuf {
    beside("heddle")
}

fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test binary has a path");
    let directory = own
        .parent()
        .and_then(Path::parent)
        .expect("<target>/<profile>/deps/<test>");
    let binary = directory.join(name);
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build -p {name}` first",
        binary.display()
    );
    binary
}

/// A directory for files of a cluster and of servers, with a short path: that of a socket has room for 107 bytes.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn scratch(prefix: &str) -> tempfile::TempDir {
    let directory = tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in("/tmp")
        .expect("a directory");
    // PostgreSQL runs as another user when the test runs as root, and has to pass through.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), mode).expect("own directory");
    directory
}

/// Runs a program to its end, which has to be a good one.
///
/// # Panics
/// It cannot be started, or fails.
pub(crate) async fn run(command: &mut Command) {
    let output = command.output().await.expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    inner: tokio::process::Child,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Child {
    /// Starts a program with both outputs in one file.
    ///
    /// # Panics
    /// The program cannot be started.
    #[must_use]
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log can be opened");
        let errors = file.try_clone().expect("a file handle can be copied");
        let inner = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        Self {
            inner,
            log: log.to_owned(),
        }
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.inner.id().and_then(|id| i32::try_from(id).ok())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            kill(Pid::from_raw(pid), signal).expect("the child can be signalled");
        }
    }

    /// Kills it at once and waits for its end.
    pub async fn kill(&mut self) {
        self.inner.kill().await.expect("the child can be killed");
    }

    /// Waits for its end. Panics when that takes longer than `deadline`.
    pub async fn wait(&mut self, deadline: Duration) -> std::process::ExitStatus {
        tokio::time::timeout(deadline, self.inner.wait())
            .await
            .unwrap_or_else(|_| panic!("{} has not ended after {deadline:?}", self.log.display()))
            .expect("the child can be waited for")
    }

    /// Whether it has ended already.
    pub fn has_ended(&mut self) -> bool {
        self.inner
            .try_wait()
            .expect("the child can be asked")
            .is_some()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}
