//! The servers that live: each holds a lease, and what belongs to one whose lease ran out is taken for gone.
//!
//! All of them are judged by the clock of the database, which is the one that they share.

use std::time::Duration;

use uuid::Uuid;

use crate::error::Result;
use crate::store::Store;

/// Says that a server lives for another `lease`. Returns whether it was known to live until now: when it was not, others may have
/// taken what it wrote for gone.
///
/// # Errors
/// [`crate::Error::Unavailable`]: it is not known whether that was said.
pub async fn renew(store: &Store, replica: Uuid, lease: Duration) -> Result<bool> {
    let held = sqlx::query(
        "update heddle.replicas set lease_until = now() + $2 where replica = $1 and lease_until > now()",
    )
    .bind(replica)
    .bind(lease)
    .execute(store.pool())
    .await?;
    if held.rows_affected() > 0 {
        return Ok(true);
    }
    sqlx::query(
        "insert into heddle.replicas (replica, started_at, lease_until) values ($1, now(), now() + $2) \
         on conflict (replica) do update set lease_until = excluded.lease_until",
    )
    .bind(replica)
    .bind(lease)
    .execute(store.pool())
    .await?;
    Ok(false)
}

/// Says that a server ends now.
///
/// # Errors
/// [`crate::Error::Unavailable`]: it is taken for gone once its lease ends.
pub async fn retire(store: &Store, replica: Uuid) -> Result<()> {
    sqlx::query("update heddle.replicas set lease_until = now() where replica = $1")
        .bind(replica)
        .execute(store.pool())
        .await?;
    Ok(())
}

/// How many servers live.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn living(store: &Store) -> Result<u32> {
    let living: i64 =
        sqlx::query_scalar("select count(*) from heddle.replicas where lease_until > now()")
            .fetch_one(store.pool())
            .await?;
    Ok(u32::try_from(living).unwrap_or(u32::MAX))
}

/// Servers that do not live any more and that nobody has cleaned up after.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn gone(store: &Store) -> Result<Vec<Uuid>> {
    let gone = sqlx::query_scalar("select replica from heddle.replicas where lease_until <= now()")
        .fetch_all(store.pool())
        .await?;
    Ok(gone)
}

/// Forgets servers that were cleaned up after; not those that live again.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn forget(store: &Store, gone: &[Uuid]) -> Result<()> {
    sqlx::query("delete from heddle.replicas where replica = any($1) and lease_until <= now()")
        .bind(gone)
        .execute(store.pool())
        .await?;
    Ok(())
}
