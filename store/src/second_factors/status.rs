//! What a member may know of its own second factor.

use chrono::{DateTime, Utc};
use heddle_model::authz::permission::AccountRead;

use crate::authz::Principal;
use crate::error::{Error, Result};
use crate::tx::Tx;

/// What a member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Since when it has a second factor.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// How many recovery codes are left.
    pub recovery_codes_left: i64,
    /// Whether the organisation asks its members for one.
    pub required: bool,
}

/// What the caller has.
///
/// # Errors
/// [`Error::NoPrincipal`] when the caller is no member, [`Error::Unavailable`].
pub async fn status(tx: &mut Tx<AccountRead>) -> Result<Status> {
    let work = &mut tx.work;
    let Some(Principal::Member(member)) = work.principal() else {
        return Err(Error::NoPrincipal);
    };
    let (confirmed_at, recovery_codes_left, required) = sqlx::query_as(
        "select (select confirmed_at from heddle.second_factors where principal_id = $1), \
                (select count(*) from heddle.recovery_codes where principal_id = $1 and used_at is null), \
                (select require_mfa from heddle.orgs)",
    )
    .bind(member.uuid())
    .fetch_one(work.conn())
    .await?;
    Ok(Status {
        confirmed_at,
        recovery_codes_left,
        required,
    })
}
