//! A replica by PostgreSQL's own tools.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{User, chown, geteuid};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;

use super::Postgres;
use crate::process::Child;
use crate::until::until;

const PATIENCE: Duration = Duration::from_secs(60);

/// Where the newest of PostgreSQL's programs are.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let directories = versions.flatten().map(|entry| entry.path().join("bin"));
    let newest = directories.filter(|directory| directory.join("pg_basebackup").is_file());
    newest.max().expect("PostgreSQL's programs")
}

/// One of them, as somebody whom it accepts.
fn program(name: &str) -> Command {
    let binary = binaries().join(name);
    if !geteuid().is_root() {
        return Command::new(binary);
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--init-groups",
        "--",
    ]);
    command.arg(binary);
    command
}

/// A directory that is PostgreSQL's.
fn make(directory: &Path) {
    std::fs::create_dir(directory).expect("a directory");
    if geteuid().is_root() {
        let user = User::from_name("postgres").expect("users are known");
        let user = user.expect("there is a user postgres");
        chown(directory, Some(user.uid), Some(user.gid)).expect("own directory");
    }
}

pub(super) async fn start(of: &Postgres, data: &Path) -> Postgres {
    let (cluster, sockets, logs) = (data.join("postgres"), data.join("run"), data.join("logs"));
    std::fs::create_dir(data).expect("a directory");
    for directory in [&cluster, &sockets, &logs] {
        make(directory);
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&cluster, mode).expect("own directory");
    let mut copy = program("pg_basebackup");
    copy.args([
        "--write-recovery-conf",
        "--checkpoint=fast",
        "--username=heddle_admin",
    ])
    .arg("--host")
    .arg(of.socket_directory())
    .arg("--pgdata")
    .arg(&cluster);
    let output = copy.output().await.expect("pg_basebackup runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut server = program("postgres");
    server
        .arg("-D")
        .arg(&cluster)
        .arg("-k")
        .arg(&sockets)
        .args([
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_permissions=0700",
        ])
        .args(["-c", "max_connections=100", "-c", "timezone=UTC"]);
    let log = data.join("standby.log");
    let child = Child::start(&mut server, &log);
    // `setpriv` becomes what it starts.
    let pid = child.pid().expect("it runs");
    let ready = data.join("ready.json");
    let facts = json!({"pids": {"postgres": pid}});
    std::fs::write(&ready, facts.to_string()).expect("a file");
    let standby = Postgres {
        supervisor: child,
        ready,
        data: data.to_owned(),
        socket_directory: sockets,
        pid,
    };
    until("the replica answers", PATIENCE, async || {
        standby.try_inspect().await.is_ok()
    })
    .await;
    standby
}

pub(super) async fn promote(standby: &Postgres) {
    let mut database = standby.inspect().await;
    let done: bool = sqlx::query_scalar("select pg_promote(true, 60)")
        .fetch_one(&mut database)
        .await
        .expect("it can be promoted");
    assert!(done, "it is promoted");
    until("it takes writes", PATIENCE, async || {
        writable(&mut database).await
    })
    .await;
}

async fn writable(database: &mut PgConnection) -> bool {
    let recovering = sqlx::query_scalar("select pg_is_in_recovery()");
    matches!(recovering.fetch_one(&mut *database).await, Ok(false)) && database.ping().await.is_ok()
}
