//! Invitations that nobody needs any more: whoever they are for is a member, or is to be none.

use uuid::Uuid;

use super::record;
use crate::error::Result;
use crate::links::{self, Purpose};
use crate::tx::Work;

/// Withdraws whatever invitation to an address is open. The roles must be locked: nobody accepts meanwhile, and nobody invites.
pub(crate) async fn withdraw_to(work: &mut Work, email: &str) -> Result<()> {
    let now = work.now();
    let open: Vec<Uuid> = sqlx::query_scalar(
        "update heddle.invitations set withdrawn_at = $2 \
         where email = $1 and accepted_at is null and withdrawn_at is null returning id",
    )
    .bind(email)
    .bind(now)
    .fetch_all(work.conn())
    .await?;
    for id in open {
        links::void(work, Purpose::Invitation, id).await?;
        record(work, "withdraw", id, email, None).await?;
    }
    Ok(())
}
