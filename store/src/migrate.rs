//! Brings the schema to the version that this binary was built with, and tells when it is not there.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::error::{Error, Result};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Any number, as long as it is always the same: who holds this lock may create the schema.
const LOCK: i64 = 0x6865_6464_6c65;
/// How often that is asked for while somebody else holds it.
const AGAIN: Duration = Duration::from_millis(100);

/// Applies every migration that the database does not have yet. Idempotent, and safe to run several times at once.
///
/// `url` is that of the owner of the database (or a superuser), not that of the server.
///
/// # Errors
/// [`Error::SchemaNewer`] when the database has migrations that this version does not know; [`Error::Unavailable`];
/// [`Error::Database`] when a migration fails or was edited after it had been applied.
pub async fn migrate(url: &str) -> Result<()> {
    let options: PgConnectOptions = url.parse()?;
    // The search path decides where the table of applied migrations lives.
    let options = options
        .application_name("heddle migrate")
        .options([("search_path", "heddle"), ("lock_timeout", "60s")]);
    let mut connection = PgConnection::connect_with(&options).await?;
    // Asked for again and again instead of waited for: who waits in a statement holds a snapshot, and an index that is built beside
    // writers would wait for that.
    while !sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut connection)
        .await?
    {
        tokio::time::sleep(AGAIN).await;
    }
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_namespace where nspname = 'heddle')")
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        connection.execute("create schema heddle").await?;
    }
    MIGRATOR
        .run_direct(&mut connection)
        .await
        .map_err(|error| match error {
            MigrateError::Execute(error) => Error::from(error),
            MigrateError::VersionMissing(have) => Error::SchemaNewer {
                have,
                know: newest(),
            },
            other => Error::Database(Box::new(other)),
        })?;
    // Closing the session frees the lock.
    connection.close().await?;
    Ok(())
}

/// The schema that this version has: the number of its newest migration.
#[must_use]
pub fn newest() -> i64 {
    MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0)
}

/// Compares the applied migrations with those that this version has.
pub(crate) fn compare(applied: &[i64]) -> Result<()> {
    let know = newest();
    if let Some(unknown) = applied
        .iter()
        .copied()
        .filter(|version| !MIGRATOR.version_exists(*version))
        .max()
    {
        return Err(Error::SchemaNewer {
            have: unknown,
            know,
        });
    }
    if MIGRATOR.iter().any(|m| !applied.contains(&m.version)) {
        return Err(Error::SchemaOlder {
            have: applied.iter().copied().max().unwrap_or(0),
            need: know,
        });
    }
    Ok(())
}
