//! When API tokens were last used: written at most once a minute, after the answer, without waiting for the disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::id::{OrgId, TokenId};

use crate::authz::Caller;
use crate::error::Result;
use crate::store::Store;
use crate::tx::Mode;

/// How exact it is.
const EXACT: TimeDelta = TimeDelta::seconds(60);
/// How many tokens a process remembers to have written.
const TOKENS: usize = 10_000;

/// What a process has written lately.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<HashMap<TokenId, DateTime<Utc>>>);

/// A use of a token that is worth writing down.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    org: OrgId,
    token: TokenId,
    at: DateTime<Utc>,
}

impl Store {
    /// Whether this use of the caller's token is worth writing down: once a minute.
    #[must_use]
    pub fn worth_noting(&self, caller: &Caller) -> Option<Use> {
        let token = caller.token()?;
        let at = self.clock().now();
        if caller.last_used_at().is_some_and(|last| at - last < EXACT) {
            return None;
        }
        let mut written = self.uses().0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(&token).is_some_and(|last| at - *last < EXACT) {
            return None;
        }
        if written.len() >= TOKENS {
            written.clear();
        }
        written.insert(token, at);
        let org = caller.org();
        Some(Use { org, token, at })
    }

    /// Writes down when a token was used. What a crash loses is a minute.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`]: nothing was written.
    pub async fn note(&self, used: Use) -> Result<()> {
        let mut work = self.work(used.org, "use", Mode::Soft).await?;
        sqlx::query(
            "update heddle.tokens set last_used_at = $2 \
             where id = $1 and (last_used_at is null or last_used_at < $2)",
        )
        .bind(used.token.uuid())
        .bind(used.at)
        .execute(work.conn())
        .await?;
        work.commit().await?;
        Ok(())
    }
}
