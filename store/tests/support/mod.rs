//! A private Postgres for one test binary, and a fresh database for each test.
//!
//! The cluster lives in a temporary directory, listens on a Unix socket only, and ends with the test process however
//! that ends: a small shell stands between, reading a pipe that only this process writes to.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use heddle_model::authz::Role;
use heddle_model::clock::{SharedClock, SystemIds, TestClock};
use heddle_model::quota::Quotas;
use heddle_store::{Caller, Grant, Options, Store, admin};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

const TEMPLATE: &str = "heddle_template";

/// What becomes of the cluster when this process is gone: no orphans, no files.
const KEEPER: &str = r#"
trap '' INT TERM HUP
dir=$1; shift
"$@" >"$dir/log" 2>&1 &
pid=$!
cat >/dev/null
kill -QUIT "$pid" 2>/dev/null
wait "$pid"
rm -rf "$dir"
"#;

pub(crate) struct Cluster {
    socket: PathBuf,
    databases: AtomicU32,
    creating: Mutex<()>,
    // Its standard input is the pipe.
    _keeper: Mutex<Child>,
}

/// The cluster of this process, started at first use.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        // Not on the runtime of whichever test comes first.
        std::thread::spawn(Cluster::start).join().unwrap()
    })
}

impl Cluster {
    fn start() -> Self {
        let bin = newest_bin();
        let dir = tempfile::Builder::new()
            .prefix("heddle-pg-")
            .tempdir()
            .unwrap()
            .keep();
        let user = unprivileged(&dir);
        let data = dir.join("data");
        let initdb = as_user(user.as_deref(), &bin.join("initdb"))
            .args([
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .args(["--locale=C", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "initdb: {initdb:?}");

        let mut server = as_user(user.as_deref(), &bin.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&dir);
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=300",
            "shared_buffers=32MB",
            "log_min_messages=fatal",
        ] {
            server.args(["-c", setting]);
        }
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .arg(server.get_program())
            .args(server.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cluster = Self {
            socket: dir,
            databases: AtomicU32::new(0),
            creating: Mutex::new(()),
            _keeper: Mutex::new(keeper),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let postgres = cluster.wait().await;
            sqlx::query(&format!("create database {TEMPLATE}"))
                .execute(&postgres)
                .await
                .unwrap();
            heddle_store::migrate(&cluster.url("postgres", TEMPLATE))
                .await
                .unwrap();
        });
        cluster
    }

    /// The server says nothing when it is up, so it is asked until it answers.
    async fn wait(&self) -> PgPool {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            match self.pool("postgres", "postgres").await {
                Ok(pool) => return pool,
                Err(error) => assert!(
                    tokio::time::Instant::now() < deadline,
                    "postgres does not start: {error}; {}",
                    std::fs::read_to_string(self.socket.join("log")).unwrap_or_default()
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        url(&self.socket, user, database)
    }

    /// The directory with the socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    async fn pool(&self, user: &str, database: &str) -> Result<PgPool, sqlx::Error> {
        let options: PgConnectOptions = self.url(user, database).parse()?;
        PgPoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
    }

    /// Makes a database, migrated or empty, and returns its name.
    pub(crate) async fn database(&self, template: Option<&str>) -> String {
        let name = format!("t_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let template = template.unwrap_or("template0");
        let socket = self.url("postgres", "postgres");
        let sql = format!("create database {name} template {template}");
        // One at a time: a template that is being copied must not be connected to.
        let create = move || {
            let _one = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                use sqlx::Connection as _;
                let mut connection = sqlx::PgConnection::connect(&socket).await.unwrap();
                sqlx::query(&sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            });
        };
        std::thread::scope(|scope| scope.spawn(create).join()).unwrap();
        name
    }
}

/// The URL of a database behind the socket in a directory.
pub(crate) fn url(socket: &Path, user: &str, database: &str) -> String {
    let host = socket.to_str().unwrap();
    let host = host.replace('%', "%25").replace('/', "%2F");
    format!("postgres:///{database}?host={host}&user={user}")
}

fn newest_bin() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("Postgres server binaries are installed")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            bin.join("postgres").exists().then_some((version, bin))
        })
        .collect();
    versions.sort();
    versions
        .pop()
        .expect("Postgres server binaries are installed")
        .1
}

/// Postgres refuses to run as root: then the directory goes to somebody else, who is returned.
fn unprivileged(dir: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata(dir).unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"].into_iter().find_map(|user| {
        let line = users
            .lines()
            .find(|line| line.starts_with(&format!("{user}:")))?;
        let mut fields = line.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        chown(dir, Some(uid), Some(gid)).ok()?;
        Some(format!("{uid}:{gid}"))
    })
}

fn as_user(user: Option<&str>, program: &Path) -> Command {
    match user.and_then(|ids| ids.split_once(':')) {
        None => Command::new(program),
        Some((uid, gid)) => {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"))
                .arg("--clear-groups")
                .arg("--")
                .arg(program);
            command
        }
    }
}

/// A migrated database of its own, with a store on it.
pub(crate) struct TestDb {
    pub(crate) name: String,
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
}

pub(crate) fn start() -> DateTime<Utc> {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

impl TestDb {
    pub(crate) async fn new() -> Self {
        Self::with_connections(20).await
    }

    pub(crate) async fn with_connections(max_connections: u32) -> Self {
        let cluster = cluster();
        let name = cluster.database(Some(TEMPLATE)).await;
        let clock = Arc::new(TestClock::at(start()));
        let store = connect(
            &cluster.url("heddle_server", &name),
            max_connections,
            Arc::clone(&clock) as SharedClock,
        )
        .await;
        Self { name, store, clock }
    }

    /// A superuser's view, past every policy.
    pub(crate) async fn superuser(&self) -> PgPool {
        cluster().pool("postgres", &self.name).await.unwrap()
    }

    pub(crate) async fn server(&self) -> PgPool {
        cluster().pool("heddle_server", &self.name).await.unwrap()
    }

    /// An organisation, and its owner's token.
    pub(crate) async fn org(&self, name: &str) -> SecretString {
        let (_, token) = admin::create_org(&self.store, &name.parse().unwrap(), None, "test")
            .await
            .unwrap();
        token
    }

    /// An organisation, and its owner.
    pub(crate) async fn owner(&self, org: &str) -> Caller {
        let token = self.org(org).await;
        self.caller(&token).await.unwrap()
    }

    pub(crate) async fn caller(&self, token: &SecretString) -> Option<Caller> {
        self.store
            .authenticate(token.expose_secret())
            .await
            .unwrap()
    }

    pub(crate) async fn token(&self, org: &str, role: Role, name: &str) -> SecretString {
        let (org, name) = (org.parse().unwrap(), name.parse().unwrap());
        admin::create_token(&self.store, &org, role, &name, None)
            .await
            .unwrap()
            .1
    }
}

pub(crate) async fn connect(url: &str, max_connections: u32, clock: SharedClock) -> Store {
    connect_with(url, max_connections, clock, Quotas::default()).await
}

pub(crate) async fn connect_with(
    url: &str,
    max_connections: u32,
    clock: SharedClock,
    quotas: Quotas,
) -> Store {
    let options = Options {
        url: SecretString::from(url),
        max_connections,
        acquire_timeout: Duration::from_secs(20),
        quotas,
    };
    Store::connect(options, clock, Arc::new(SystemIds))
        .await
        .unwrap()
}

pub(crate) fn grant<P: heddle_model::authz::Permission>(caller: &Caller) -> Grant<P> {
    caller.grant("-").unwrap()
}
