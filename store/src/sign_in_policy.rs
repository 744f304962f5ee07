//! What an organisation asks of its members when they sign in.

use heddle_model::authz::Permission;
use heddle_model::authz::permission::MemberWrite;
use heddle_model::id::SessionId;
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
    /// To sign in by a provider, of every member.
    pub require_sso: bool,
    /// How many members are linked with nobody there.
    pub members_unlinked: i64,
}

/// What is changed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changed {
    /// Whether a second factor is asked for.
    pub require_mfa: Option<bool>,
    /// Whether members are asked to sign in by a provider.
    pub require_sso: Option<bool>,
}

impl Changed {
    /// Whether all stays as it is.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.require_mfa.is_none() && self.require_sso.is_none()
    }
}

/// Reads it.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn read<P: Permission>(tx: &mut Tx<P>) -> Result<Policy> {
    select(&mut tx.work).await
}

async fn select(work: &mut Work) -> Result<Policy> {
    let (require_mfa, members_without, require_sso, members_unlinked) = sqlx::query_as(
        "select o.require_mfa, \
                (select count(*) from heddle.principals p where p.kind = 'member' and p.deleted_at is null \
                 and not exists (select from heddle.second_factors f \
                                 where f.principal_id = p.id and f.confirmed_at is not null)), \
                o.require_sso, \
                (select count(*) from heddle.principals p where p.kind = 'member' and p.deleted_at is null \
                 and not exists (select from heddle.identities i where i.principal_id = p.id)) \
         from heddle.orgs o",
    )
    .fetch_one(work.conn())
    .await?;
    Ok(Policy {
        require_mfa,
        members_without,
        require_sso,
        members_unlinked,
    })
}

/// Changes it, by a member who signed in just now. Nobody asks of others what they do not have themselves.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::SignInAgain`], [`Error::NoSecondFactor`], [`Error::SsoUnproven`], [`Error::Unavailable`].
pub async fn set(tx: &mut Tx<MemberWrite>, changed: Changed) -> Result<Policy> {
    let work = &mut tx.work;
    let (Some(Principal::Member(member)), Some(session)) = (work.principal(), work.session())
    else {
        return Err(Error::NotSignedIn);
    };
    sessions::require_fresh(work).await?;
    principals::lock_roles(work).await?;
    let before = select(work).await?;
    let require_mfa = changed.require_mfa.unwrap_or(before.require_mfa);
    let require_sso = changed.require_sso.unwrap_or(before.require_sso);
    if changed.require_mfa == Some(true) && !second_factors::has(work, member.uuid()).await? {
        return Err(Error::NoSecondFactor);
    }
    if require_sso && !before.require_sso {
        require_by_sso(work, session).await?;
        sessions::end_of_devices(work).await?;
    }
    if (before.require_mfa, before.require_sso) == (require_mfa, require_sso) {
        return Ok(before);
    }
    write(work, before, (require_mfa, require_sso)).await?;
    select(work).await
}

/// The session began by the word of a provider: what is asked of others works.
async fn require_by_sso(work: &mut Work, session: SessionId) -> Result<()> {
    let proven: bool = sqlx::query_scalar(
        "select exists (select from heddle.sessions where id = $1 and method = 'sso')",
    )
    .bind(session.uuid())
    .fetch_one(work.conn())
    .await?;
    if proven {
        Ok(())
    } else {
        Err(Error::SsoUnproven)
    }
}

/// Asks for no provider any more, by whoever administers the installation.
pub(crate) async fn allow_passwords(work: &mut Work) -> Result<()> {
    principals::lock_roles(work).await?;
    let before = select(work).await?;
    if before.require_sso {
        write(work, before, (before.require_mfa, false)).await?;
    }
    Ok(())
}

async fn write(
    work: &mut Work,
    before: Policy,
    (require_mfa, require_sso): (bool, bool),
) -> Result<()> {
    let org = work.org();
    let name: String = sqlx::query_scalar(
        "update heddle.orgs set require_mfa = $2, require_sso = $3 where org_id = $1 returning name",
    )
    .bind(org.uuid())
    .bind(require_mfa)
    .bind(require_sso)
    .fetch_one(work.conn())
    .await?;
    let (was, is) = (
        json!({"require_mfa": before.require_mfa, "require_sso": before.require_sso}),
        json!({"require_mfa": require_mfa, "require_sso": require_sso}),
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
    .await
}
