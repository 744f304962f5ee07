//! The store itself: the pool, its guards, and whether the database is fit for use.

use std::sync::Arc;
use std::time::Duration;

use heddle_model::clock::{Ids, SharedClock};
use heddle_model::quota::Quotas;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use tokio::sync::broadcast;

use crate::allowance::Allowance;
use crate::authz::MeshRef;
use crate::certificates::Journals;
use crate::error::Result;
use crate::lease::is_finished;
use crate::migrate;
use crate::password::Passwords;
use crate::proxies::{Joins, Refusals, SEEN_TOGETHER, SeenAgents};
use crate::pulse;
use crate::session_keys::Keys;
use crate::strangers::Strangers;
use crate::throttle::Throttle;
use crate::usage::Meters;
use crate::uses::Uses;

/// How many commits a slow listener may lag behind before it is told that it missed some.
const HINTS: usize = 1024;

/// A connection that was used this short a time ago is used again without asking whether it works. One that does not shows it
/// at the first statement of a transaction, which is then begun on another; see [`Store::work`].
const FRESH: Duration = Duration::from_secs(1);

/// How long it may take to see that a connection carries nothing on.
const CLEAN: Duration = Duration::from_secs(5);

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://` URL of the login role `heddle_server`.
    pub url: SecretString,
    /// Connections at most.
    pub max_connections: u32,
    /// How long a call waits for a free connection before it is [`crate::Error::Unavailable`].
    pub acquire_timeout: Duration,
    /// What organisations may have that were not told otherwise.
    pub quotas: Quotas,
}

/// A mesh got a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The mesh.
    pub mesh: MeshRef,
    /// Its revision.
    pub revision: u64,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    clock: SharedClock,
    ids: Arc<dyn Ids>,
    committed: broadcast::Sender<Moved>,
    told: broadcast::Sender<MeshRef>,
    passwords: Passwords,
    throttle: Throttle,
    allowance: Allowance,
    strangers: Strangers,
    refusals: Refusals,
    joins: Joins,
    seen_agents: SeenAgents,
    journals: Journals,
    session_keys: Keys,
    uses: Uses,
    quotas: Quotas,
    meters: Meters,
    seen: Arc<pulse::Seen>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Connects. Time and identifiers come from the two parameters, never from the machine or the database.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when the database does not answer.
    pub async fn connect(options: Options, clock: SharedClock, ids: Arc<dyn Ids>) -> Result<Self> {
        let connect = connect_options(options.url.expose_secret())?;
        let seen: Arc<pulse::Seen> = Arc::default();
        let before = Arc::clone(&seen);
        let pool = guarded(
            PgPoolOptions::new()
                .max_connections(options.max_connections)
                .acquire_timeout(options.acquire_timeout)
                .test_before_acquire(false)
                .before_acquire(move |connection, facts| {
                    if before.outlived(facts.age) {
                        return Box::pin(async { Ok(false) });
                    }
                    Box::pin(async move {
                        if facts.idle_for > FRESH {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                }),
        )
        .connect_with(connect)
        .await?;
        let (committed, _) = broadcast::channel(HINTS);
        let (told, _) = broadcast::channel(HINTS);
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                clock,
                ids,
                committed,
                told,
                passwords: Passwords::default(),
                throttle: Throttle::default(),
                allowance: Allowance::default(),
                strangers: Strangers::default(),
                refusals: Refusals::default(),
                joins: Joins::default(),
                seen_agents: SeenAgents::unhurried(SEEN_TOGETHER),
                journals: Journals::default(),
                session_keys: Keys::default(),
                uses: Uses::default(),
                quotas: options.quotas,
                meters: Meters::default(),
                seen,
            }),
        })
    }

    /// Whether the database answers, its schema is the one that this version was built for or a newer one that says that this
    /// version may go on, and row security binds the role that this process logged in as.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::PrivilegedLogin`], [`crate::Error::SchemaOlder`] or
    /// [`crate::Error::SchemaNewer`].
    pub async fn ping(&self) -> Result<()> {
        let (role, privileged): (String, bool) = sqlx::query_as(
            "select rolname::text, rolsuper or rolbypassrls from pg_roles where rolname = session_user",
        )
        .fetch_one(self.pool())
        .await?;
        if privileged {
            return Err(crate::Error::PrivilegedLogin { role });
        }
        let applied: std::result::Result<Vec<i64>, _> =
            sqlx::query_scalar("select version from heddle._sqlx_migrations where success")
                .fetch_all(self.pool())
                .await;
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) if is_missing(&error) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        migrate::compare(&applied, self.pool()).await
    }

    /// Listens for commits of this process: a hint that saves waiting for the next look at the feed, nothing more.
    #[must_use]
    pub fn committed(&self) -> broadcast::Receiver<Moved> {
        self.inner.committed.subscribe()
    }

    /// Listens for everything that this process learns of meshes: commits, and news about proxies. A hint, nothing more.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<MeshRef> {
        self.inner.told.subscribe()
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    /// How many connections may have died unnoticed, each found by a statement that fails.
    pub(crate) fn tries(&self) -> u32 {
        self.inner.pool.options().get_max_connections()
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    pub(crate) fn ids(&self) -> &dyn Ids {
        self.inner.ids.as_ref()
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.inner.quotas
    }

    pub(crate) fn seen(&self) -> &pulse::Seen {
        &self.inner.seen
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.inner.meters
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.inner.passwords
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }

    pub(crate) fn allowance(&self) -> &Allowance {
        &self.inner.allowance
    }

    pub(crate) fn strangers(&self) -> &Strangers {
        &self.inner.strangers
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.inner.refusals
    }

    pub(crate) fn joins(&self) -> &Joins {
        &self.inner.joins
    }

    pub(crate) fn seen_agents(&self) -> &SeenAgents {
        &self.inner.seen_agents
    }

    pub(crate) fn journals(&self) -> &Journals {
        &self.inner.journals
    }

    pub(crate) fn session_keys(&self) -> &Keys {
        &self.inner.session_keys
    }

    pub(crate) fn uses(&self) -> &Uses {
        &self.inner.uses
    }

    pub(crate) fn hint(&self, mesh: MeshRef, revision: u64) {
        // Nobody listening is not an error: the feed is what correctness rests on.
        let _ = self.inner.committed.send(Moved { mesh, revision });
        self.tell(mesh);
    }

    /// There is news about proxies of a mesh.
    pub(crate) fn tell(&self, mesh: MeshRef) {
        let _ = self.inner.told.send(mesh);
    }
}

/// Neither the table nor the schema is there: no migration ever ran. (Or this role may not see them.)
pub(crate) fn is_missing(error: &sqlx::Error) -> bool {
    // undefined_table, invalid_schema_name
    error
        .as_database_error()
        .and_then(|e| {
            e.code()
                .map(|code| matches!(code.as_ref(), "42P01" | "3F000"))
        })
        .unwrap_or(false)
}

fn connect_options(url: &str) -> Result<PgConnectOptions> {
    let options: PgConnectOptions = url.parse()?;
    Ok(options.application_name("heddle").options([
        // A statement that hangs frees its connection; a transaction that was forgotten ends.
        ("statement_timeout", "15s"),
        ("idle_in_transaction_session_timeout", "20s"),
        ("timezone", "utc"),
        // What is asked for is nearly always in memory. Otherwise tables of a few pages are read whole, with every version of each row
        // that writers have left behind.
        ("random_page_cost", "1.1"),
    ]))
}

/// Adds the guard that every pool of ours needs: a connection that comes back inside a transaction, or still
/// carrying someone's tenant, is closed and not handed to the next caller.
///
/// A request that is cancelled while it begins a transaction can leave one open behind the driver's back; the next
/// borrower's writes would then vanish with it. Public only so that a test can show that it bites.
#[doc(hidden)]
#[must_use]
pub fn guarded(options: PgPoolOptions) -> PgPoolOptions {
    options.after_release(|connection, _| {
        Box::pin(async move {
            // One that is not told to be clean is closed, and its place in the pool is free.
            let clean = tokio::time::timeout(CLEAN, is_clean(connection));
            Ok(is_finished() || clean.await.unwrap_or(Ok(false))?)
        })
    })
}

async fn is_clean(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // As one simple query: outside a transaction block the statement and its transaction start at the same
    // instant, inside one the transaction is older.
    let row = connection
        .fetch_one(
            "select now() = statement_timestamp() \
               and current_user = session_user \
               and coalesce(current_setting('heddle.org_id', true), '') = ''",
        )
        .await;
    match row {
        Ok(row) => {
            let clean: bool = row.try_get(0)?;
            if !clean {
                tracing::info!("closing a connection that came back inside a transaction");
            }
            Ok(clean)
        }
        // In a failed transaction block every statement fails: the connection is not clean either.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("25P02") => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_k01_options_do_not_print_the_password() {
        let options = Options {
            url: SecretString::from("postgres://heddle_server:hunter2@localhost/heddle"),
            max_connections: 1,
            acquire_timeout: Duration::from_secs(2),
            quotas: Quotas::default(),
        };
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn a_url_that_is_none_does_not_print_either() {
        let error = connect_options("postgres://user:hunter2@local host/").unwrap_err();
        assert!(matches!(error, crate::Error::Database(_)));
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
