//! What an organisation asks of its members when they sign in.

use heddle_model::authz::Permission;
use heddle_model::authz::permission::MemberWrite;
use serde_json::json;

use crate::authz::Principal;
use crate::error::{Error, Result};
use crate::principals;
use crate::second_factors;
use crate::sessions;
use crate::tx::{Change, Tx, Work};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A second factor, of every member.
    pub require_mfa: bool,
    /// How many members have none.
    pub members_without: i64,
}

/// Reads it.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn read<P: Permission>(tx: &mut Tx<P>) -> Result<Policy> {
    select(&mut tx.work).await
}

async fn select(work: &mut Work) -> Result<Policy> {
    let (require_mfa, members_without) = sqlx::query_as(
        "select o.require_mfa, \
                (select count(*) from heddle.principals p where p.kind = 'member' and p.deleted_at is null \
                 and not exists (select from heddle.second_factors f \
                                 where f.principal_id = p.id and f.confirmed_at is not null)) \
         from heddle.orgs o",
    )
    .fetch_one(work.conn())
    .await?;
    Ok(Policy {
        require_mfa,
        members_without,
    })
}

/// Changes it, by a member who signed in just now. Nobody asks of others what they do not have themselves.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::SignInAgain`], [`Error::NoSecondFactor`], [`Error::Unavailable`].
pub async fn set(tx: &mut Tx<MemberWrite>, require_mfa: bool) -> Result<Policy> {
    let work = &mut tx.work;
    let (Some(Principal::Member(member)), Some(_)) = (work.principal(), work.session()) else {
        return Err(Error::NotSignedIn);
    };
    sessions::require_fresh(work).await?;
    principals::lock_roles(work).await?;
    if require_mfa && !second_factors::has(work, member.uuid()).await? {
        return Err(Error::NoSecondFactor);
    }
    let before = select(work).await?;
    if before.require_mfa == require_mfa {
        return Ok(before);
    }
    let org = work.org();
    let name: String = sqlx::query_scalar(
        "update heddle.orgs set require_mfa = $2 where org_id = $1 returning name",
    )
    .bind(org.uuid())
    .bind(require_mfa)
    .fetch_one(work.conn())
    .await?;
    let (was, is) = (
        json!({"require_mfa": before.require_mfa}),
        json!({"require_mfa": require_mfa}),
    );
    work.record(Change {
        mesh: None,
        revision: None,
        action: "replace",
        kind: "org",
        id: org.uuid(),
        name: &name,
        before: was.as_object(),
        after: is.as_object(),
    })
    .await?;
    select(work).await
}
