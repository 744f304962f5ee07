//! `heddled up` as a process, with a real PostgreSQL: what it holds, what it restarts, what it leaves behind.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Generous: a busy machine with two cores initialises a cluster in a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A supervisor under test. Dropping it kills it, which is itself a thing that it must survive well.
struct Up {
    process: Child,
    data: PathBuf,
    ready_file: PathBuf,
    output: PathBuf,
}

fn heddled() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heddled"));
    for (key, _) in std::env::vars_os() {
        let key = key.to_string_lossy().into_owned();
        if key == "DATABASE_URL" || key.starts_with("HEDDLE_") {
            command.env_remove(key);
        }
    }
    command
}

fn wait_for<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {patience:?} in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn alive(pid: u32) -> bool {
    // A zombie is dead: it only waits for somebody to ask how it ended.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// The children of a process, by the kernel's own list.
fn children(pid: u32) -> Vec<u32> {
    let list =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect()
}

impl Up {
    fn start(data: &Path) -> Self {
        let beside = data.parent().unwrap();
        let (ready_file, output) = (beside.join("ready.json"), beside.join("output.txt"));
        let log = std::fs::File::create(&output).unwrap();
        let process = heddled()
            .args(["up", "--only-postgres", "--data-dir"])
            .arg(data)
            .arg("--ready-file")
            .arg(&ready_file)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            process,
            data: data.to_path_buf(),
            ready_file,
            output,
        }
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    fn ready(&mut self) -> Value {
        wait_for("the ready file", PATIENCE, || {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "ended {ended:?}: {}",
                std::fs::read_to_string(&self.output).unwrap()
            );
            // A killed supervisor has left its file, which the next one takes away only when it is there.
            let ready: Value =
                serde_json::from_slice(&std::fs::read(&self.ready_file).ok()?).ok()?;
            (ready["pids"]["supervisor"] == self.process.id()).then_some(ready)
        })
    }

    fn postgres(&mut self) -> u32 {
        let ready = self.ready();
        let pids = &ready["pids"];
        assert_eq!(pids["server"], Value::Null);
        u32::try_from(pids["postgres"].as_u64().unwrap()).unwrap()
    }

    fn ended(&mut self) -> ExitStatus {
        let process = &mut self.process;
        wait_for("the supervisor ends", PATIENCE, || {
            process.try_wait().unwrap()
        })
    }

    /// Runs SQL in the way that a client of the embedded PostgreSQL connects: by its socket.
    fn sql(&self, statement: &str) -> Output {
        let sockets = self.data.canonicalize().unwrap().join("run");
        let mut command = Command::new("psql");
        command.args([
            "-X",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "heddle_admin",
            "-d",
            "heddle",
        ]);
        command
            .arg("-h")
            .arg(sockets)
            .args(["-c", statement])
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    fn one(&self, statement: &str) -> String {
        let output = self.sql(statement);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A directory that the user `postgres` may enter, as root's PostgreSQL normally needs.
fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn sigterm_drains_and_data_survives() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let mut up = Up::start(&data);
    let postgres = up.postgres();
    assert_eq!(
        up.one("show listen_addresses; show fsync; show data_checksums"),
        "on\non"
    );
    assert_eq!(up.one("show idle_in_transaction_session_timeout"), "30s");
    up.one("create table kept (n int); insert into kept values (42)");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&up.ready_file), 0o600);
    assert_eq!(
        (
            mode(&data),
            mode(&data.join("run")),
            mode(&data.join("postgres"))
        ),
        (0o700, 0o700, 0o700)
    );

    signal(up.process.id(), Signal::SIGTERM);
    assert_eq!(up.ended().code(), Some(0), "{}", up.output());
    assert!(!alive(postgres) && !up.ready_file.exists());
    assert!(
        !data.join("postgres/postmaster.pid").exists(),
        "not an orderly shutdown"
    );
    assert_eq!(std::fs::read_dir(data.join("run")).unwrap().count(), 0);

    let mut up = Up::start(&data);
    up.postgres();
    assert_eq!(up.one("select n from kept"), "42");
    signal(up.process.id(), Signal::SIGINT);
    assert_eq!(up.ended().code(), Some(0), "{}", up.output());
}

#[test]
fn a_second_one_on_the_same_directory_is_refused_and_harms_nothing() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let mut up = Up::start(&data);
    let postgres = up.postgres();
    let second = heddled()
        .args(["up", "--only-postgres", "--data-dir"])
        .arg(&data)
        .arg("--ready-file")
        .arg(&up.ready_file)
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(
        message.contains(&format!("process {}", up.process.id())),
        "{message}"
    );
    assert!(
        message.contains(&data.canonicalize().unwrap().display().to_string()),
        "{message}"
    );
    assert!(alive(postgres) && up.ready_file.exists());
    assert_eq!(up.one("select 1"), "1");
}

#[test]
fn killing_the_supervisor_ends_its_children_and_the_next_one_recovers() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let mut up = Up::start(&data);
    let postgres = up.postgres();
    up.one("create table kept (n int); insert into kept values (7)");
    let backends = children(postgres);
    assert!(!backends.is_empty());
    up.process.kill().unwrap();
    up.process.wait().unwrap();
    // At once: what is left of the old PostgreSQL is the new one's business.
    let mut next = Up::start(&data);
    let killed = Instant::now();
    wait_for(
        "the children of a killed supervisor end",
        Duration::from_secs(5),
        || (!alive(postgres) && !backends.iter().any(|&pid| alive(pid))).then_some(()),
    );
    assert!(killed.elapsed() < Duration::from_secs(5));
    assert_ne!(next.postgres(), postgres);
    assert_eq!(next.one("select n from kept"), "7");
}

#[test]
fn a_killed_postgres_is_restarted_and_recovers() {
    let dir = open_dir();
    let mut up = Up::start(&dir.path().join("data"));
    let first = up.postgres();
    up.one("create table kept (n int); insert into kept values (3)");
    signal(first, Signal::SIGKILL);
    let second = wait_for("a new process id in the ready file", PATIENCE, || {
        Some(up.postgres()).filter(|&pid| pid != first)
    });
    assert!(alive(second));
    wait_for("PostgreSQL answers again", PATIENCE, || {
        up.sql("select 1").status.success().then_some(())
    });
    assert_eq!(up.one("select n from kept"), "3");
    let log = up.output();
    assert!(
        log.contains("postgres was ended by SIGKILL; starting it again"),
        "{log}"
    );
}

#[test]
fn a_long_path_and_a_directory_above_that_others_cannot_enter_work() {
    // 0700 and ours: as root, the user that PostgreSQL runs as cannot pass through it.
    let dir = tempfile::tempdir().unwrap();
    let data = dir
        .path()
        .join("a-rather-long-directory-name".repeat(4))
        .join("data");
    std::fs::create_dir_all(data.parent().unwrap()).unwrap();
    let mut up = Up::start(&data);
    up.postgres();
    assert!(!data.join("run").exists());
    let log = std::fs::read_to_string(data.join("logs/postgres.log")).unwrap();
    assert!(log.contains("ready to accept connections"), "{log}");
    let mine = || {
        let entries = std::fs::read_dir("/tmp").unwrap().flatten();
        let sockets = entries.map(|entry| entry.path().join(".s.PGSQL.5432.lock"));
        sockets
            .filter_map(|lock| std::fs::read_to_string(lock).ok())
            .filter(|lock| {
                lock.lines()
                    .next()
                    .is_some_and(|pid| log.contains(&format!("[{pid}]")))
            })
            .count()
    };
    assert_eq!(mine(), 1);
    signal(up.process.id(), Signal::SIGTERM);
    assert_eq!(up.ended().code(), Some(0), "{}", up.output());
    assert_eq!(mine(), 0);
}

#[test]
fn a_stale_pid_file_of_another_program_does_not_stop_the_start() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let mut up = Up::start(&data);
    up.postgres();
    signal(up.process.id(), Signal::SIGTERM);
    assert_eq!(up.ended().code(), Some(0));
    // As after a crash, when the number meanwhile belongs to a program of the same user.
    let owner = std::fs::metadata(data.join("postgres")).unwrap();
    let mut other = Command::new("sleep");
    let other = other.arg("600").uid(owner.uid()).gid(owner.gid());
    let mut other = other.spawn().unwrap();
    let stale = format!("{}\n{}\n1\n5432\n\n\n\nready\n", other.id(), data.display());
    std::fs::write(data.join("postgres/postmaster.pid"), stale).unwrap();
    let mut up = Up::start(&data);
    up.postgres();
    assert!(
        other.try_wait().unwrap().is_none(),
        "the other program was harmed"
    );
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn what_is_wrong_with_the_command_line_or_the_file_is_named() {
    let dir = open_dir();
    let file = dir.path().join("heddle.toml");
    std::fs::write(&file, "api_lisen = \"127.0.0.1:1\"\n").unwrap();
    let output = heddled()
        .args(["up", "--only-postgres", "--data-dir"])
        .arg(dir.path().join("data"))
        .arg("--config")
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("api_lisen") && message.contains("heddle.toml"),
        "{message}"
    );
    let version = heddled().arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    assert_eq!(
        version.trim(),
        concat!("heddled ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn make_is_one_thing_with_what_it_runs() {
    let dir = open_dir();
    let data = dir.path().join("data");
    let makefile = dir.path().join("Makefile");
    let ready_file = dir.path().join("ready.json");
    let (program, data) = (env!("CARGO_BIN_EXE_heddled"), data.display());
    let recipe = format!(
        "run:\n\t@exec {program} up --only-postgres --stop-with-parent --data-dir {data} --ready-file {}\n",
        ready_file.display()
    );
    std::fs::write(&makefile, recipe).unwrap();
    for (sent, harness) in [
        (Signal::SIGTERM, "passes it on"),
        (Signal::SIGINT, "keeps it and waits"),
        (Signal::SIGHUP, "keeps it and waits"),
        (Signal::SIGKILL, "is gone"),
    ] {
        // A shell starts what runs in its background with SIGINT ignored, and make hands that on; people's make listens to it.
        let mut make = Command::new("env");
        make.args(["--default-signal=INT,HUP,TERM", "make"])
            .arg("-s")
            .arg("-f")
            .arg(&makefile)
            .arg("run")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut make = make.spawn().unwrap();
        let ready: Value = wait_for("the ready file", PATIENCE, || {
            serde_json::from_slice(&std::fs::read(&ready_file).ok()?).ok()
        });
        let pid = |name: &str| u32::try_from(ready["pids"][name].as_u64().unwrap()).unwrap();
        signal(make.id(), sent);
        wait_for(
            &format!("everything ends when make gets {sent} and {harness}"),
            PATIENCE,
            || {
                (!alive(pid("supervisor")) && !alive(pid("postgres")) && !ready_file.exists())
                    .then_some(())
            },
        );
        make.wait().unwrap();
    }
}
