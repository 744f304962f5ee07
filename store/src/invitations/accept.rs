//! What whoever got the link of an invitation does with it.

use heddle_model::email::Email;
use secrecy::SecretString;
use serde_json::json;

use super::{InvitationRow, State, by_id, inviter, locked, record};
use crate::devices::Wait;
use crate::error::{Error, Result};
use crate::links::{self, Purpose, Unusable};
use crate::origin::Visitor;
use crate::password_resets::named;
use crate::principals::{self, Kind, PrincipalRow};
use crate::rights::Bound;
use crate::role_bindings;
use crate::store::Store;
use crate::tx::Mode;

/// Why nobody becomes a member by a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The link leads to nothing.
    #[error(transparent)]
    Link(#[from] Unusable),
    /// The invitation is for another address.
    #[error("the invitation is for another address")]
    Address,
    /// Too much from one place.
    #[error(transparent)]
    Wait(#[from] Wait),
}

/// What a link leads to, for whoever has it.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn look(
    store: &Store,
    link: (&str, &SecretString),
    from: &Visitor<'_>,
) -> Result<std::result::Result<InvitationRow, Refused>> {
    // Taken first, so that of many at once none gets past it; given back, or never asked for, by whoever has a good one.
    let tried = store.strangers().try_link(from.ip, store.clock().now());
    match (open(store, link).await?, tried) {
        (Some(row), tried) => {
            if tried.is_ok() {
                store.strangers().link_was_good(from.ip);
            }
            Ok(Ok(row))
        }
        (None, Err(wait)) => Ok(Err(wait.into())),
        (None, Ok(())) => Ok(Err(Unusable.into())),
    }
}

/// The invitation that a link opens, if it does.
async fn open(
    store: &Store,
    (org, secret): (&str, &SecretString),
) -> Result<Option<InvitationRow>> {
    let Some(org) = named(store, org).await? else {
        return Ok(None);
    };
    let mut work = store.work(org, "invitation", Mode::Read).await?;
    let Ok(id) = links::target(&mut work, Purpose::Invitation, secret).await? else {
        return Ok(None);
    };
    let row = by_id(&mut work, id).await?;
    let usable = row.state == State::Pending && inviter::may_still(&mut work, id, row.role).await?;
    Ok(usable.then_some(row))
}

/// Who somebody wants to be.
#[derive(Debug)]
pub struct NewAccount<'a> {
    /// The address that the invitation was sent to.
    pub email: &'a Email,
    /// What people call them.
    pub display_name: Option<&'a str>,
    /// What they sign in with.
    pub password: SecretString,
}

/// Makes a member of whoever got the link, once. Whether they are a member of another organisation, and signed in there, is
/// nobody's business here: that is another member with another password.
///
/// # Errors
/// [`Error::AlreadyExists`] with `principals_name_key` when there is such a member by now; [`Error::Busy`], [`Error::Unavailable`].
pub async fn accept(
    store: &Store,
    link: (&str, &SecretString),
    new: NewAccount<'_>,
    from: &Visitor<'_>,
) -> Result<std::result::Result<PrincipalRow, Refused>> {
    let looked = match look(store, link, from).await? {
        Ok(looked) => looked,
        Err(refused) => return Ok(Err(refused)),
    };
    if looked.email != new.email.as_str() {
        return Ok(Err(Refused::Address));
    }
    let (org, secret) = link;
    let Some(org) = named(store, org).await? else {
        return Ok(Err(Unusable.into()));
    };
    let hash = store.hash_password(new.password).await?;
    let actor = format!("{} ({})", looked.id, looked.email);
    let mut work = store.work(org, &actor, Mode::Write).await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    principals::lock_roles(&mut work).await?;
    let row = match locked(&mut work, looked.id).await {
        Ok(row) if row.state == State::Pending => row,
        Ok(_) | Err(Error::NotFound) => return Ok(Err(Unusable.into())),
        Err(error) => return Err(error),
    };
    if !inviter::may_still(&mut work, row.id.uuid(), row.role).await? {
        return Ok(Err(Unusable.into()));
    }
    if let Err(unusable) = links::take(&mut work, Purpose::Invitation, secret).await? {
        return Ok(Err(unusable.into()));
    }
    let member = principals::create(
        &mut work,
        Kind::Member,
        &row.email,
        new.display_name,
        Some(&hash),
    )
    .await?;
    let bound = Bound {
        role: row.role,
        mesh: None,
    };
    role_bindings::insert(&mut work, &member, bound, None).await?;
    let (id, now) = (row.id.uuid(), work.now());
    sqlx::query("update heddle.invitations set accepted_at = $2, principal_id = $3 where id = $1")
        .bind(id)
        .bind(now)
        .bind(member.id.uuid())
        .execute(work.conn())
        .await?;
    let after = json!({"member": member.id.to_string()});
    record(&mut work, "accept", id, &row.email, Some(&after)).await?;
    let member = principals::by_id(&mut work, member.id.uuid()).await?;
    work.commit().await?;
    member.ok_or(Error::NotFound).map(Ok)
}
