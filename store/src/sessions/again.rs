//! Signing in again: what a session that somebody left open, or took, may not do by itself.

use chrono::TimeDelta;

use crate::error::{Error, Result};
use crate::tx::Work;

/// For so long after signing in nobody is asked to do so again.
pub const FRESH: TimeDelta = TimeDelta::minutes(5);

/// Asked before what cannot be taken back, and before what makes a credential or a right that outlives the session. A program
/// with an API token is not asked: it has nobody who could sign in.
///
/// # Errors
/// [`Error::SignInAgain`], [`Error::Unavailable`].
pub(crate) async fn require_fresh(work: &mut Work) -> Result<()> {
    let Some(session) = work.session() else {
        return Ok(());
    };
    let oldest = work.now() - FRESH;
    let fresh: bool = sqlx::query_scalar(
        "select exists (select from heddle.sessions where id = $1 and coalesce(authenticated_at, created_at) >= $2)",
    )
    .bind(session.uuid())
    .bind(oldest)
    .fetch_one(work.conn())
    .await?;
    if fresh {
        Ok(())
    } else {
        Err(Error::SignInAgain)
    }
}
