//! A private PostgreSQL, run by `heddled up --only-postgres`: the same code that users get.

mod standby;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use crate::cluster;
use crate::process::{Child, heddled};
use crate::until::{until, until_some};

/// A program of PostgreSQL's, of the newest version that is installed.
///
/// # Panics
/// None is.
#[must_use]
pub fn postgres_program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let versions = versions.flatten().flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let program = entry.path().join("bin").join(name);
        program.exists().then_some((version, program))
    });
    let newest = versions.max().expect("PostgreSQL is installed");
    newest.1
}

/// A running cluster in a directory of its own.
pub struct Postgres {
    supervisor: Child,
    data: PathBuf,
    socket_directory: PathBuf,
    ready: PathBuf,
    /// The process id of the postmaster that was started first.
    pub pid: i32,
}

impl Postgres {
    /// Starts one under `directory` whose database is migrated.
    pub async fn start(directory: &Path) -> Self {
        let data = directory.join("cluster");
        cluster::place(&data).await;
        Self::start_in(&data).await
    }

    /// Starts the one of a data directory; an empty one is made when there is none.
    pub async fn start_in(data: &Path) -> Self {
        let data = data.to_owned();
        let directory = data.parent().expect("a directory beside others");
        let name = data.file_name().expect("a name").to_string_lossy();
        let ready = directory.join(format!("{name}-ready.json"));
        let mut command = Command::new(heddled());
        command.args(["up", "--only-postgres", "--stop-with-parent"]);
        command
            .arg("--data-dir")
            .arg(&data)
            .arg("--ready-file")
            .arg(&ready);
        command.env_remove("DATABASE_URL");
        let log = directory.join(format!("{name}.log"));
        let supervisor = Child::start(&mut command, &log);
        let facts: Value = until_some("PostgreSQL is up", Duration::from_secs(60), async || {
            serde_json::from_slice(&std::fs::read(&ready).ok()?).ok()
        })
        .await;
        let pid = facts["pids"]["postgres"]
            .as_i64()
            .expect("the ready file names the postmaster");
        // Short enough for a socket, or else `heddled up` would have put it elsewhere.
        let socket_directory = data.join("run");
        assert!(
            socket_directory.is_dir(),
            "no socket in {}",
            socket_directory.display()
        );
        Self {
            supervisor,
            ready,
            data,
            socket_directory,
            pid: i32::try_from(pid).expect("a pid"),
        }
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        self.supervisor.signal(Signal::SIGTERM);
        let ended = self.supervisor.wait(Duration::from_secs(60)).await;
        assert!(ended.success(), "{}", self.supervisor.output());
    }

    /// Ends at once, without a word to anybody: the supervisor by SIGKILL, and what it started with it.
    pub async fn kill(&mut self) {
        self.supervisor.kill().await;
        let socket = self.socket_directory.join(".s.PGSQL.5432");
        until("PostgreSQL is gone", Duration::from_secs(20), async || {
            tokio::net::UnixStream::connect(&socket).await.is_err()
        })
        .await;
    }

    /// The process id of the postmaster of now, which its supervisor replaces; none while the file is being written.
    #[must_use]
    pub fn current_pid(&self) -> Option<i32> {
        let facts: Value = serde_json::from_slice(&std::fs::read(&self.ready).ok()?).ok()?;
        i32::try_from(facts["pids"]["postgres"].as_i64()?).ok()
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    fn url(&self, user: &str) -> String {
        self.url_of("heddle", user)
    }

    /// As a role, in another database of the cluster.
    #[must_use]
    pub fn url_of(&self, database: &str, user: &str) -> String {
        let host = self.socket_directory.to_string_lossy().replace('/', "%2F");
        format!("postgres:///{database}?host={host}&user={user}")
    }

    /// As the role that the server runs under.
    #[must_use]
    pub fn server_url(&self) -> String {
        self.url("heddle_server")
    }

    /// As the role that the process with the sealing key runs under.
    #[must_use]
    pub fn ca_url(&self) -> String {
        self.url("heddle_ca")
    }

    /// Where its socket is.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        &self.socket_directory
    }

    /// As the superuser.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url("heddle_admin")
    }

    /// A replica that follows this one at its own pace, with a data directory of its own. Nobody starts it again.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn standby(&self, data: &Path) -> Self {
        standby::start(self, data).await
    }

    /// Has a replica take over.
    ///
    /// # Panics
    /// It does not.
    pub async fn promote(&self) {
        standby::promote(self).await;
    }

    /// Stops the postmaster where it is; nobody can connect any more.
    pub fn freeze(&self) {
        kill(Pid::from_raw(self.pid), Signal::SIGSTOP).expect("the postmaster can be signalled");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        kill(Pid::from_raw(self.pid), Signal::SIGCONT).expect("the postmaster can be signalled");
    }

    /// The same, when it can be had.
    ///
    /// # Errors
    /// The database does not let one in.
    pub async fn try_inspect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.admin_url()).await
    }

    /// Its processes, the one first that others come from.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let first = self.current_pid().expect("it runs");
        let file = format!("/proc/{first}/task/{first}/children");
        let children = std::fs::read_to_string(file).expect("it runs");
        let children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        std::iter::once(first).chain(children).collect()
    }

    /// Sends a signal to each of its processes: with SIGSTOP, connections stay, and nobody gets an answer.
    pub fn signal(&self, signal: Signal) {
        for pid in self.processes() {
            // It may have ended since.
            let _gone = kill(Pid::from_raw(pid), signal);
        }
    }

    /// A connection past all row security, to look at what is stored.
    pub async fn inspect(&self) -> PgConnection {
        PgConnection::connect(&self.admin_url())
            .await
            .expect("the superuser can connect")
    }

    /// Waits until no connection of the server does or holds anything.
    ///
    /// # Panics
    /// That is not so within ten seconds.
    pub async fn at_rest(&self) {
        let mut database = self.inspect().await;
        let busy = "select count(*) from pg_stat_activity \
                    where usename = 'heddle_server' and state <> 'idle'";
        until("nothing is held", Duration::from_secs(10), async || {
            let busy: Result<i64, _> = sqlx::query_scalar(busy).fetch_one(&mut database).await;
            busy.expect("the database answers") == 0
        })
        .await;
    }
}
