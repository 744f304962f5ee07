//! The embedded PostgreSQL: a private cluster in the data directory, reached by a Unix socket only.
//!
//! PostgreSQL refuses to run as root. Then it runs as `postgres` (or `nobody`), and reaches its directories
//! through descriptors that were opened before privileges were dropped: so a data directory below `/root`,
//! which that user could not enter, works like any other.

mod leftovers;
mod recover;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};

use self::leftovers::clear_leftovers;
use super::data_dir::DataDir;
use super::files::{hand_over, private_dir};
use super::process::{Account, Child, Spec, run_once};
use super::wait;

/// The superuser: migrations and nothing else.
const OWNER: &str = "heddle_admin";
/// The role of the server, which the migrations make.
const SERVER: &str = "heddle_server";
const DATABASE: &str = "heddle";
/// A Unix socket's path has room for 107 bytes.
const SOCKET_PATH_MOST: usize = 100;
const SOCKET_FILE: &str = "/.s.PGSQL.5432";
const START: Duration = Duration::from_secs(120);
/// What it takes to run a cluster.
pub(crate) const SERVER_PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// Where PostgreSQL is and how to reach it once it runs.
pub(crate) struct Postgres {
    binaries: PathBuf,
    account: Option<Account>,
    cluster: PathBuf,
    sockets: PathBuf,
    /// Whether the socket directory is ours alone to remove.
    sockets_outside: bool,
    logs: PathBuf,
}

impl Postgres {
    /// Finds the binaries and the directories; starts nothing.
    ///
    /// # Errors
    /// There are no binaries, or no user to run them as.
    pub(crate) fn find(data: &DataDir, binaries: Option<&Path>) -> anyhow::Result<Self> {
        Self::at(data.path(), find_binaries(binaries, &SERVER_PROGRAMS)?)
    }

    /// The one of a data directory (absolute and without links), which somebody else may hold.
    ///
    /// # Errors
    /// There is no user to run it as.
    pub(crate) fn at(data: &Path, binaries: PathBuf) -> anyhow::Result<Self> {
        let inside = data.join("run");
        let sockets_outside = inside.as_os_str().len() + SOCKET_FILE.len() > SOCKET_PATH_MOST;
        let sockets = if sockets_outside {
            short_directory(data)
        } else {
            inside
        };
        Ok(Self {
            binaries,
            account: account()?,
            cluster: data.join("postgres"),
            sockets,
            sockets_outside,
            logs: data.join("logs"),
        })
    }

    /// Makes the cluster if there is none. Nothing runs when this returns, or is dropped.
    ///
    /// # Errors
    /// Any step fails; the error carries the end of PostgreSQL's log.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        self.socket_directory()?;
        if !self.cluster.join("PG_VERSION").exists() {
            self.initialise()
                .await
                .context("make the PostgreSQL cluster")?;
        }
        Ok(())
    }

    /// Starts the server on a cluster that has been prepared.
    pub(crate) fn start(&self) -> Child {
        Child::start(self.server())
    }

    /// How it is run.
    fn server(&self) -> Spec {
        let mut spec = self
            .spec("postgres", "postgres", &[&self.cluster, &self.sockets])
            .args(["-D", "{dir0}", "-k", "{dir1}"])
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "unix_socket_permissions=0700",
            ])
            .args([
                "-c",
                "max_connections=100",
                "-c",
                "idle_in_transaction_session_timeout=30s",
                // Whoever follows with a backup and stops must not fill the disk.
                "-c",
                "max_slot_wal_keep_size=4GB",
            ])
            .args(["-c", "timezone=UTC", "-c", "log_timezone=UTC"])
            .args(["-c", "logging_collector=off", "-c", "cluster_name=heddle"]);
        // Immediate shutdown: the one that does not wait for anybody. It is recovered at the next start.
        spec.dies_with = Signal::SIGQUIT;
        spec.stop = vec![
            (Signal::SIGINT, Duration::from_secs(30)),
            (Signal::SIGQUIT, Duration::from_secs(10)),
        ];
        let (cluster, sockets) = (self.cluster.clone(), self.sockets.clone());
        spec.prepare = Some(Rc::new(move || {
            Box::pin(clear_leftovers(cluster.clone(), sockets.clone()))
        }));
        spec
    }

    /// Waits until it accepts connections, after recovery if need be.
    ///
    /// # Errors
    /// It fails three times, or takes too long.
    pub(crate) async fn ready(&self, child: &Child) -> anyhow::Result<()> {
        let pid_file = self.cluster.join("postmaster.pid");
        wait::until("PostgreSQL accepts connections", START, async || {
            child.check(3)?;
            Ok(is_ready(&pid_file, child.pid()).then_some(()))
        })
        .await
    }

    /// The database for the server.
    pub(crate) fn server_url(&self) -> String {
        self.url(DATABASE, SERVER)
    }

    /// The database for migrations.
    pub(crate) fn owner_url(&self) -> String {
        self.url(DATABASE, OWNER)
    }

    /// Whether a server of this cluster takes connections, as far as can be seen from outside.
    pub(crate) fn serves(&self) -> bool {
        let socket = self.sockets.join(SOCKET_FILE.trim_start_matches('/'));
        std::os::unix::net::UnixStream::connect(socket).is_ok()
    }

    /// Removes what lies outside the data directory. PostgreSQL has been stopped.
    pub(crate) fn tidy(&self) {
        if self.sockets_outside
            && let Err(error) = std::fs::remove_dir(&self.sockets)
        {
            tracing::warn!(%error, "cannot remove {}", self.sockets.display());
        }
    }

    fn url(&self, database: &str, user: &str) -> String {
        let host = percent_encode(&self.sockets.to_string_lossy());
        let (database, user) = (percent_encode(database), percent_encode(user));
        // Said here, or else PGPORT and PGSSLMODE of whoever started this would say it.
        format!("postgres:///{database}?host={host}&port=5432&sslmode=disable&user={user}")
    }

    fn spec(&self, name: &str, binary: &str, hold: &[&Path]) -> Spec {
        let mut spec = Spec::new(name, self.binaries.join(binary), &self.logs);
        spec.log = self.logs.join("postgres.log");
        spec.run_as = self.account;
        spec.hold = hold.iter().map(|path| path.to_path_buf()).collect();
        spec
    }

    fn socket_directory(&self) -> anyhow::Result<()> {
        private_dir(&self.sockets)?;
        let metadata = std::fs::symlink_metadata(&self.sockets)
            .with_context(|| format!("look at {}", self.sockets.display()))?;
        let owner = self
            .account
            .map_or(geteuid().as_raw(), |account| account.uid);
        // In /tmp, somebody else could have made it first.
        if !metadata.is_dir() || ![owner, geteuid().as_raw()].contains(&metadata.uid()) {
            bail!("{} belongs to somebody else", self.sockets.display());
        }
        let account = self.account.unwrap_or(Account {
            uid: owner,
            gid: metadata.gid(),
        });
        hand_over(&self.sockets, account)
    }

    /// Makes a cluster beside its place and moves it there when it is whole.
    async fn initialise(&self) -> anyhow::Result<()> {
        let fresh = self.cluster.with_extension("new");
        match std::fs::remove_dir_all(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", fresh.display()));
            }
            _ => {}
        }
        private_dir(&fresh)?;
        if let Some(account) = self.account {
            hand_over(&fresh, account)?;
        }
        // Whoever reaches the socket is trusted: it lies in a directory that nobody else enters.
        let initdb = self
            .spec("initdb", "initdb", &[&fresh])
            .args(["-D", "{dir0}", "--username", OWNER, "--auth=trust"])
            .args(["--encoding=UTF8", "--no-locale", "--data-checksums"]);
        run_once(&initdb, None).await?;
        // The single-user mode needs no client program and no open door.
        let single = self
            .spec("postgres --single", "postgres", &[&fresh])
            .args(["--single", "-j", "-D", "{dir0}", "postgres"]);
        run_once(&single, Some(&format!("create database {DATABASE};\n\n"))).await?;
        std::fs::rename(&fresh, &self.cluster)
            .with_context(|| format!("move the new cluster to {}", self.cluster.display()))
    }
}

/// Where these programs of PostgreSQL are: in the directory that was asked for, or else the newest that there are.
///
/// # Errors
/// They are nowhere.
pub(crate) fn find_binaries(asked: Option<&Path>, programs: &[&str]) -> anyhow::Result<PathBuf> {
    let whole = |directory: &Path| programs.iter().all(|name| directory.join(name).is_file());
    let named = programs.join(" and ");
    if let Some(asked) = asked {
        if !whole(asked) {
            bail!("{} does not hold {named}", asked.display());
        }
        return Ok(asked.to_path_buf());
    }
    let packaged = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = packaged
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let directory = entry.path().join("bin");
            whole(&directory).then_some((version, directory))
        })
        .max();
    if let Some((_, directory)) = newest {
        return Ok(directory);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|directory| whole(directory));
    found.with_context(|| {
        format!(
            "no PostgreSQL binaries ({named}): run scripts/setup, name their directory with --pg-bin, or set \
             DATABASE_URL to use a PostgreSQL that runs already"
        )
    })
}

/// The user that PostgreSQL runs as, when we are root.
fn account() -> anyhow::Result<Option<Account>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name).with_context(|| format!("look up user {name}"))? {
            return Ok(Some(Account {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            }));
        }
    }
    bail!("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

/// A directory whose path is short, one for each data directory.
fn short_directory(data: &Path) -> PathBuf {
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        data.as_os_str().as_encoded_bytes(),
    );
    let digest = hex::encode(&digest.as_ref()[..8]);
    Path::new("/tmp").join(format!("heddle-{digest}"))
}

/// Whether `postmaster.pid` says that this very process accepts connections (its first and eighth line).
fn is_ready(pid_file: &Path, pid: Option<u32>) -> bool {
    let Some(pid) = pid else { return false };
    let text = std::fs::read_to_string(pid_file).unwrap_or_default();
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6) == Some("ready")
}

/// Everything but unreserved characters, as a query parameter needs it.
fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;

    text.bytes()
        .fold(String::with_capacity(text.len() * 2), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                // Writing to a String does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_one_query_value() {
        assert_eq!(
            percent_encode("/a b/run&x=ü"),
            "%2Fa%20b%2Frun%26x%3D%C3%BC"
        );
    }

    #[test]
    fn readiness_is_about_this_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("postmaster.pid");
        assert!(!is_ready(&file, Some(7)));
        std::fs::write(&file, "7\n/d\n1\n5432\n/s\n\n 1 2\nready   \n").unwrap();
        assert!(is_ready(&file, Some(7)));
        assert!(!is_ready(&file, Some(8)) && !is_ready(&file, None));
        std::fs::write(&file, "7\n/d\n1\n5432\n/s\n\n 1 2\nstarting\n").unwrap();
        assert!(!is_ready(&file, Some(7)));
    }

    #[test]
    fn binaries_that_are_not_there_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = find_binaries(Some(dir.path()), &SERVER_PROGRAMS)
            .unwrap_err()
            .to_string();
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
    }

    #[test]
    fn two_directories_have_two_socket_directories() {
        let (a, b) = (
            short_directory(Path::new("/a")),
            short_directory(Path::new("/b")),
        );
        assert_ne!(a, b);
        assert!(a.as_os_str().len() + SOCKET_FILE.len() < SOCKET_PATH_MOST);
    }
}
