//! A PostgreSQL as administrators hand one over: on TCP, with passwords, with a superuser, and with nothing of Heddle's in it.

use std::os::unix::fs::chown;
use std::time::Duration;

use nix::unistd::{User, geteuid};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use crate::ports::free_port;
use crate::postgres::postgres_program;
use crate::process::{Child, run, scratch};
use crate::until::until;

/// Its superuser, and what that has to say.
const SUPERUSER: &str = "postgres";
const PASSWORD: &str = "of-a-superuser";

/// A running cluster in a directory of its own.
pub struct BarePostgres {
    port: u16,
    // It ends before its directory.
    _server: Child,
    _directory: TempDir,
}

impl BarePostgres {
    /// Starts an empty one, and waits until it lets its superuser in.
    ///
    /// # Panics
    /// It cannot be made or started.
    pub async fn start() -> Self {
        let directory = scratch("heddle-pg-");
        let (here, data) = (directory.path(), directory.path().join("data"));
        let password = here.join("password");
        std::fs::write(&password, PASSWORD).expect("own directory");
        let mut make = Command::new(postgres_program("initdb"));
        make.args([
            "--auth=scram-sha-256",
            "--no-sync",
            "--locale=C",
            "--encoding=UTF8",
        ])
        .args(["--username", SUPERUSER, "--pwfile"])
        .arg(&password)
        .arg("--pgdata")
        .arg(&data);
        let port = free_port();
        let mut server = Command::new(postgres_program("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(here);
        server.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        server.args(["-c", "fsync=off"]);
        // It does not run as root.
        if geteuid().is_root() {
            let user = ["postgres", "nobody"].map(|name| User::from_name(name).ok().flatten());
            let user = user.into_iter().flatten().next().expect("a user");
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            chown(here, Some(uid), Some(gid)).expect("own directory");
            make.uid(uid).gid(gid);
            server.uid(uid).gid(gid);
        }
        let _ = run(make.current_dir(here)).await;
        let server = Child::start(server.current_dir(here), &here.join("log"));
        let url = format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/postgres");
        until(
            "PostgreSQL lets one in",
            Duration::from_secs(60),
            async || PgConnection::connect(&url).await.is_ok(),
        )
        .await;
        Self {
            port,
            _server: server,
            _directory: directory,
        }
    }

    /// What PostgreSQL's programs are told of it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
            ("PGPASSWORD", PASSWORD.to_owned()),
        ]
    }
}
