//! Brings the schema to the version that this binary was built with, and tells when it is not there.

mod turn;

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::error::{Error, Result};
use crate::store::is_missing;
use turn::apply;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Any number, as long as it is always the same: who holds this lock may create the schema.
const LOCK: i64 = 0x6865_6464_6c65;
/// How often that is asked for while somebody else holds it.
const AGAIN: Duration = Duration::from_millis(100);

/// What [`migrate`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The newest migration that the schema has now.
    pub schema: i64,
    /// How many were applied just now.
    pub applied: usize,
}

/// Applies every migration that the database does not have yet. Idempotent, and safe to run several times at once, to kill at any
/// moment, and beside servers that work.
///
/// `url` is that of the owner of the database (or a superuser), not that of the server.
///
/// # Errors
/// [`Error::SchemaNewer`] when the database has migrations that this version does not know, and does not say that this version may go on
/// with them; [`Error::MigrationBlocked`] when somebody does not let go of a table; [`Error::Unavailable`]; [`Error::Database`] when a
/// migration fails or was edited after it had been applied.
pub async fn migrate(url: &str) -> Result<Migrated> {
    migrate_to(url, newest()).await
}

/// The same, up to and with this migration: for tests of what lies between two releases.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_to(url: &str, newest: i64) -> Result<Migrated> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.application_name("heddle migrate").options([
        // It decides where the table of applied migrations lives.
        ("search_path", "heddle"),
        // However long it takes to look at every row of a table.
        ("statement_timeout", "0"),
        // What is there already is not worth a word.
        ("client_min_messages", "warning"),
    ]);
    let mut connection = PgConnection::connect_with(&options).await?;
    let done = run(&mut connection, newest).await;
    // Closing the session frees the lock.
    let closed = connection.close().await;
    let done = done?;
    closed?;
    Ok(done)
}

async fn run(connection: &mut PgConnection, newest: i64) -> Result<Migrated> {
    // What a migration holds is let go of soon after its process was killed, and not when its statement comes to an end. Known to
    // PostgreSQL 14 and newer.
    connection
        .execute(
            "select set_config('client_connection_check_interval', '1s', false) \
             where current_setting('server_version_num')::int >= 140000",
        )
        .await?;
    // Asked for again and again instead of waited for: who waits in a statement holds a snapshot, and an index that is built beside
    // writers would wait for that.
    while !sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut *connection)
        .await?
    {
        tokio::time::sleep(AGAIN).await;
    }
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_namespace where nspname = 'heddle')")
            .fetch_one(&mut *connection)
            .await?;
    if !exists {
        connection.execute("create schema heddle").await?;
    }
    connection.ensure_migrations_table().await.map_err(failed)?;
    let applied = connection.list_applied_migrations().await.map_err(failed)?;
    let applied: BTreeMap<i64, _> = applied.iter().map(|m| (m.version, &m.checksum)).collect();
    let versions: Vec<i64> = applied.keys().copied().collect();
    if let Some(have) = unknown(&versions) {
        may_go_on(&versions, since(connection).await?)?;
        return Ok(Migrated {
            schema: have,
            applied: 0,
        });
    }
    let mut done = Migrated {
        schema: versions.last().copied().unwrap_or_default(),
        applied: 0,
    };
    for migration in MIGRATOR.iter().filter(|m| m.version <= newest) {
        match applied.get(&migration.version) {
            Some(checksum) if **checksum == migration.checksum => {}
            Some(_) => return Err(failed(MigrateError::VersionMismatch(migration.version))),
            None => {
                apply(connection, migration).await?;
                done.applied += 1;
                done.schema = done.schema.max(migration.version);
            }
        }
    }
    Ok(done)
}

fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) => error.into(),
        other => Error::Database(Box::new(other)),
    }
}

/// The schema that this version has: the number of its newest migration.
#[must_use]
pub fn newest() -> i64 {
    MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0)
}

/// The newest of these migrations that this version does not have.
fn unknown(applied: &[i64]) -> Option<i64> {
    let unknown = applied.iter().copied();
    unknown.filter(|v| !MIGRATOR.version_exists(*v)).max()
}

/// The oldest migration that a server has to know, as a schema says that is newer than this version.
async fn since(connection: impl sqlx::PgExecutor<'_>) -> Result<i64> {
    let since = sqlx::query_scalar("select since from heddle.compatibility");
    match since.fetch_one(connection).await {
        // It says nothing: then it is for those that know all of it.
        Err(error) if is_missing(&error) => Ok(i64::MAX),
        since => Ok(since?),
    }
}

/// Whether this version works on a schema with these migrations.
///
/// # Errors
/// [`Error::SchemaOlder`], [`Error::SchemaNewer`], or the database does not say.
pub(crate) async fn compare(applied: &[i64], pool: &sqlx::PgPool) -> Result<()> {
    let since = match unknown(applied) {
        Some(_) => since(pool).await?,
        None => 0,
    };
    may_go_on(applied, since)
}

fn may_go_on(applied: &[i64], since: i64) -> Result<()> {
    let know = newest();
    let lacks = MIGRATOR.iter().any(|m| !applied.contains(&m.version));
    match unknown(applied) {
        Some(have) if lacks || know < since => Err(Error::SchemaNewer { have, know }),
        None if lacks => Err(Error::SchemaOlder {
            have: applied.iter().copied().max().unwrap_or(0),
            need: know,
        }),
        _ => Ok(()),
    }
}
