//! One supervised process: started through [`super::child`], started again when it ends, stopped in order.
//!
//! Everything is spawned from the one thread of the supervisor, because the kernel's "parent ended" signal
//! is about the thread that forked. So nothing here may run inside `spawn_blocking`.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::LocalBoxFuture;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::logs;

/// The variables of our own environment that children get; everything else is said explicitly, so that no
/// database address or `PGHOST` of the person's shell leaks into an Envoy or a PostgreSQL.
const INHERITED: [&str; 8] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "RUST_BACKTRACE",
];
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MOST: Duration = Duration::from_secs(5);
/// A process that lived this long starts over with the shortest back-off.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// How long after SIGKILL we still wait for the kernel to hand the process over.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// The user that a child runs as, when it is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Work that has to be done each time before a process starts.
pub(crate) type Prepare = Rc<dyn Fn() -> LocalBoxFuture<'static, anyhow::Result<()>>>;

/// What to run and how to end it.
#[derive(Clone)]
pub(crate) struct Spec {
    /// The name in log lines and of the log file.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) run_as: Option<Account>,
    /// Directories that the program reaches as `{dir0}`, `{dir1}`, ... in its arguments.
    pub(crate) hold: Vec<PathBuf>,
    /// What the kernel sends when the supervisor ends without having stopped it.
    pub(crate) dies_with: Signal,
    /// What ends it, one after the other, each with the time it is given; SIGKILL comes last by itself.
    pub(crate) stop: Vec<(Signal, Duration)>,
    pub(crate) prepare: Option<Prepare>,
    /// Where standard output and standard error go.
    pub(crate) log: PathBuf,
}

impl Spec {
    /// A program of our own user that may be killed without harm.
    pub(crate) fn new(name: impl Into<String>, program: impl Into<PathBuf>, logs: &Path) -> Self {
        let name = name.into();
        Self {
            log: logs.join(format!("{name}.log")),
            name,
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            run_as: None,
            hold: Vec::new(),
            dies_with: Signal::SIGKILL,
            stop: vec![(Signal::SIGTERM, Duration::from_secs(5))],
            prepare: None,
        }
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The command that becomes this program and dies with this process.
    pub(crate) fn command(&self) -> anyhow::Result<tokio::process::Command> {
        let executable = std::env::current_exe().context("find our own executable")?;
        let mut command = tokio::process::Command::new(executable);
        command
            .arg("child")
            .arg("--parent")
            .arg(std::process::id().to_string());
        command.arg("--die-with").arg(self.dies_with.as_str());
        if let Some(Account { uid, gid }) = self.run_as {
            command
                .arg("--uid")
                .arg(uid.to_string())
                .arg("--gid")
                .arg(gid.to_string());
        }
        for dir in &self.hold {
            command.arg("--hold-dir").arg(dir);
        }
        command.arg("--").arg(&self.program).args(&self.args);
        command.env_clear();
        command.envs(
            INHERITED
                .iter()
                .filter_map(|key| Some((key, std::env::var_os(key)?))),
        );
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        // A group of its own, so that Ctrl-C on the terminal reaches the supervisor alone.
        command.process_group(0).stdin(Stdio::null());
        Ok(command)
    }

    fn spawn(&self) -> anyhow::Result<tokio::process::Child> {
        let log = logs::open(&self.log)?;
        let errors = log.try_clone().context("share the log file")?;
        let mut command = self.command()?;
        command.stdout(log).stderr(errors);
        command
            .spawn()
            .with_context(|| format!("start {}", self.name))
    }
}

/// Runs a program once to its end, with its output in the log file (and `input` on its standard input).
/// It is killed when the future is dropped.
pub(crate) async fn run_once(spec: &Spec, input: Option<&str>) -> anyhow::Result<Vec<u8>> {
    use tokio::io::AsyncWriteExt as _;

    let mut command = spec.command()?;
    command
        .stdout(Stdio::piped())
        .stderr(logs::open(&spec.log)?)
        .kill_on_drop(true);
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .spawn()
        .with_context(|| format!("start {}", spec.name))?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        pipe.write_all(input.as_bytes())
            .await
            .with_context(|| format!("feed {}", spec.name))?;
    }
    let output = child
        .wait_with_output()
        .await
        .with_context(|| format!("run {}", spec.name))?;
    if !output.status.success() {
        anyhow::bail!(
            "{} {}\n{}",
            spec.name,
            describe(output.status),
            logs::tail(&spec.log)
        );
    }
    Ok(output.stdout)
}

/// What is known about a supervised process.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Its process id while it runs.
    pub(crate) pid: Option<u32>,
    /// How many times it has ended, or failed to start, without having been asked to.
    pub(crate) failures: u32,
}

/// A process under supervision.
pub(crate) struct Child {
    pub(crate) name: String,
    log: PathBuf,
    state: watch::Receiver<State>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Child {
    /// Starts a process and keeps it running until [`Child::stop`]. Must run inside a `LocalSet`.
    pub(crate) fn start(spec: Spec) -> Self {
        let (sender, state) = watch::channel(State::default());
        let stop = CancellationToken::new();
        let (name, log) = (spec.name.clone(), spec.log.clone());
        let task = tokio::task::spawn_local(supervise(spec, sender, stop.clone()));
        Self {
            name,
            log,
            state,
            stop,
            task,
        }
    }

    /// Follows what happens to the process.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Its process id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.state.borrow().pid
    }

    /// An error with the end of its log once it has failed `times` times.
    pub(crate) fn check(&self, times: u32) -> anyhow::Result<()> {
        if self.state.borrow().failures >= times {
            anyhow::bail!(
                "{} does not start; the end of {}:\n{}",
                self.name,
                self.log.display(),
                logs::tail(&self.log)
            );
        }
        Ok(())
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(child = self.name, %error, "the watch over a process failed");
        }
    }
}

async fn supervise(spec: Spec, state: watch::Sender<State>, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        let started = Instant::now();
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            outcome = start(&spec) => outcome,
        };
        let ended = match outcome {
            Ok(mut process) => {
                let pid = process.id();
                state.send_modify(|state| state.pid = pid);
                tracing::debug!(child = spec.name, pid, "started");
                tokio::select! {
                    status = process.wait() => match status {
                        Ok(status) => describe(status),
                        Err(error) => format!("cannot be waited for: {error}"),
                    },
                    () = stop.cancelled() => {
                        end(&spec, &mut process).await;
                        state.send_modify(|state| state.pid = None);
                        return;
                    }
                }
            }
            Err(error) => format!("{error:#}"),
        };
        state.send_modify(|state| {
            state.pid = None;
            state.failures += 1;
        });
        if started.elapsed() >= HEALTHY_AFTER {
            backoff = Backoff::default();
        }
        let pause = backoff.next();
        let (child, pause_ms) = (&spec.name, pause.as_millis());
        tracing::warn!(child, pause_ms, "{child} {ended}; starting it again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn start(spec: &Spec) -> anyhow::Result<tokio::process::Child> {
    if let Some(prepare) = &spec.prepare {
        prepare().await?;
    }
    spec.spawn()
}

async fn end(spec: &Spec, process: &mut tokio::process::Child) {
    let Some(pid) = process
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .map(Pid::from_raw)
    else {
        return;
    };
    for &(signal, patience) in &spec.stop {
        // An error means that it is gone, which is what we want.
        let _ = kill(pid, signal);
        if tokio::time::timeout(patience, process.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(child = spec.name, %signal, "did not end within {patience:?}");
    }
    let _ = killpg(pid, Signal::SIGKILL);
    if tokio::time::timeout(AFTER_KILL, process.wait())
        .await
        .is_err()
    {
        tracing::error!(child = spec.name, "is still there after SIGKILL");
    }
}

/// Says how a process ended, to continue a sentence that begins with its name.
pub(crate) fn describe(status: ExitStatus) -> String {
    if let Some(signal) = status.signal() {
        let name = Signal::try_from(signal).map_or("an unknown signal", Signal::as_str);
        return format!("was ended by {name}");
    }
    match status.code() {
        Some(code) => format!("ended with code {code}"),
        None => "ended".to_owned(),
    }
}

/// 0.2 s, doubled up to 5 s.
#[derive(Debug, Default)]
struct Backoff(Option<Duration>);

impl Backoff {
    fn next(&mut self) -> Duration {
        let pause = self
            .0
            .map_or(BACKOFF_FIRST, |last| (last * 2).min(BACKOFF_MOST));
        self.0 = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_and_stays_at_five_seconds() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..8).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    }

    #[test]
    fn an_end_is_told_as_a_sentence() {
        assert_eq!(describe(ExitStatus::from_raw(9)), "was ended by SIGKILL");
        assert_eq!(describe(ExitStatus::from_raw(3 << 8)), "ended with code 3");
    }
}
