//! One migration, beside servers that work: it waits for others only as long as they can wait for it, and takes up what was killed.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::{Migrate as _, MigrateError, Migration};
use sqlx::{Executor as _, PgConnection};
use tokio::time::Instant;

use super::failed;
use crate::error::{Error, Result};

/// For how long a migration waits for a lock at first, and at the most. Everybody who comes after it waits behind it for as long, and a
/// server lets nobody wait for a connection for more than two seconds. Longer than PostgreSQL's `deadlock_timeout`, or else a vacuum
/// would never make room.
const WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(1500));
/// How many times as long the others have for themselves before it is tried again.
const PAUSE: u32 = 20;
/// For how long it is tried.
const PATIENCE: Duration = Duration::from_secs(600);

/// Applies one migration.
///
/// # Errors
/// It fails, or somebody does not let go for [`PATIENCE`].
pub(super) async fn apply(connection: &mut PgConnection, migration: &Migration) -> Result<()> {
    if migration.no_tx {
        // Nobody waits behind it: it may wait for whoever is under way for as long as that takes.
        limit(connection, Duration::ZERO).await?;
        drop_half_built(connection, migration).await?;
        let applied = connection.apply(migration).await;
        return applied.map(|_| ()).map_err(failed);
    }
    let began = Instant::now();
    let mut wait = WAIT.0;
    loop {
        limit(connection, wait).await?;
        match connection.apply(migration).await {
            Err(error) if lost(&error) && began.elapsed() < PATIENCE => {
                let migration = migration.version;
                tracing::warn!(migration, "somebody holds what it needs; trying again");
                tokio::time::sleep(wait * PAUSE).await;
                wait = (wait * 2).min(WAIT.1);
            }
            Err(error) if lost(&error) => {
                return Err(Error::MigrationBlocked {
                    migration: migration.version,
                    minutes: PATIENCE.as_secs() / 60,
                });
            }
            ended => return ended.map(|_| ()).map_err(failed),
        }
    }
}

/// Whether it waited for a lock in vain, or others waited for it.
fn lost(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let code = error.as_database_error().and_then(DatabaseError::code);
    // lock_not_available, deadlock_detected
    code.is_some_and(|code| matches!(code.as_ref(), "55P03" | "40P01"))
}

/// Says for how long the next statements wait for a lock; zero: for ever.
async fn limit(connection: &mut PgConnection, wait: Duration) -> Result<()> {
    let set = sqlx::query("select set_config('lock_timeout', $1, false)");
    let milliseconds = wait.as_millis().to_string();
    set.bind(milliseconds).execute(connection).await?;
    Ok(())
}

/// Takes away what a migration that was killed left of an index: it is there by name, so that building it anew would be skipped, and
/// nobody uses it.
async fn drop_half_built(connection: &mut PgConnection, migration: &Migration) -> Result<()> {
    let names: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid \
         where not i.indisvalid and c.relnamespace = 'heddle'::regnamespace",
    )
    .fetch_all(&mut *connection)
    .await?;
    for name in names.iter().filter(|name| migration.sql.contains(*name)) {
        tracing::warn!(
            index = name,
            "an index was left half-built; building it anew"
        );
        let drop = format!("drop index concurrently if exists heddle.{name}");
        connection.execute(drop.as_str()).await?;
    }
    Ok(())
}
