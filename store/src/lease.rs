//! A connection of the pool while it is in use, and how it goes back.
//!
//! Whoever finished what it did says so, and the connection is not asked whether it is clean. All others are: those of a caller
//! that failed, was cancelled or forgot. See [`crate::store::guarded`].

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;

tokio::task_local! {
    /// Set while a connection goes back of which it is known that nothing is open on it.
    static FINISHED: ();
}

/// Whether the connection that this task gives back is known to be clean.
pub(crate) fn is_finished() -> bool {
    FINISHED.try_with(|()| ()).is_ok()
}

/// A connection in use. Dropping it undoes what it had begun.
pub(crate) struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    /// Waits for a free connection.
    pub(crate) async fn take(pool: &PgPool) -> Result<Self, sqlx::Error> {
        pool.acquire()
            .await
            .map(|connection| Self(Some(connection)))
    }

    /// Gives it back outside of any transaction: each statement was answered, and the last one ended it.
    pub(crate) fn finish(mut self) {
        if let Some(mut connection) = self.0.take() {
            let back = connection.return_to_pool();
            tokio::spawn(FINISHED.scope((), back));
        }
    }

    /// Ends a transaction that only read, behind the back of the caller: each of its statements was answered.
    pub(crate) fn finish_reading(mut self) {
        if let Some(mut connection) = self.0.take() {
            tokio::spawn(async move {
                let ended = connection.execute("rollback").await;
                let back = connection.return_to_pool();
                match ended {
                    Ok(_) => FINISHED.scope((), back).await,
                    Err(_) => back.await,
                }
            });
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("only finishing takes it")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("only finishing takes it")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without a runtime nobody can be asked to do anything: the driver drops it.
        if let (Some(mut connection), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move {
                // Whether that worked shows when it is asked whether it is clean.
                let _ = connection.execute("rollback").await;
                connection.return_to_pool().await;
            });
        }
    }
}
