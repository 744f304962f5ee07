//! What whoever got the link of an invitation does with it.

use heddle_model::email::Email;
use heddle_model::id::OrgId;
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
use crate::tx::{Mode, Work};

/// Why nobody becomes a member by a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The link leads to nothing.
    #[error(transparent)]
    Link(#[from] Unusable),
    /// The invitation is for another address.
    #[error("the invitation is for another address")]
    Address,
    /// The organisation asks its members to sign in by its provider, so that is what the invitation is accepted with.
    #[error("the organisation asks to sign in by its provider")]
    Sso,
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
    counted(store, open(store, link), from).await
}

/// Counts whoever tries links that lead to nothing.
async fn counted(
    store: &Store,
    opening: impl Future<Output = Result<Option<InvitationRow>>>,
    from: &Visitor<'_>,
) -> Result<std::result::Result<InvitationRow, Refused>> {
    // Taken first, so that of many at once none gets past it; given back, or never asked for, by whoever has a good one.
    let tried = store.strangers().try_link(from.ip, store.clock().now());
    match (opening.await?, tried) {
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
    match named(store, org).await? {
        Some(org) => open_in(store, org, secret).await,
        None => Ok(None),
    }
}

async fn open_in(
    store: &Store,
    org: OrgId,
    secret: &SecretString,
) -> Result<Option<InvitationRow>> {
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
    let mut work = store.work(org, &actor(&looked), Mode::Write).await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    let made = accept_in(&mut work, (&looked, secret), new.display_name, Some(&hash)).await?;
    match made {
        Ok(member) => {
            work.commit().await?;
            Ok(Ok(member))
        }
        Err(refused) => Ok(Err(refused)),
    }
}

fn actor(looked: &InvitationRow) -> String {
    format!("{} ({})", looked.id, looked.email)
}

/// What a link leads to, for whoever a provider vouches for.
pub(crate) async fn by_link(
    store: &Store,
    (org, secret): (OrgId, &SecretString),
    from: &Visitor<'_>,
) -> Result<std::result::Result<InvitationRow, Refused>> {
    counted(store, open_in(store, org, secret), from).await
}

/// Makes a member of whoever was looked up, once, in a transaction that its caller ends.
pub(crate) async fn accept_in(
    work: &mut Work,
    (looked, secret): (&InvitationRow, &SecretString),
    display_name: Option<&str>,
    password_hash: Option<&str>,
) -> Result<std::result::Result<PrincipalRow, Refused>> {
    principals::lock_roles(work).await?;
    // A password would be of no use where members sign in by a provider.
    let required: bool = sqlx::query_scalar("select require_sso from heddle.orgs")
        .fetch_one(work.conn())
        .await?;
    if required && password_hash.is_some() {
        return Ok(Err(Refused::Sso));
    }
    let row = match locked(work, looked.id).await {
        Ok(row) if row.state == State::Pending => row,
        Ok(_) | Err(Error::NotFound) => return Ok(Err(Unusable.into())),
        Err(error) => return Err(error),
    };
    if !inviter::may_still(work, row.id.uuid(), row.role).await? {
        return Ok(Err(Unusable.into()));
    }
    if let Err(unusable) = links::take(work, Purpose::Invitation, secret).await? {
        return Ok(Err(unusable.into()));
    }
    let member =
        principals::create(work, Kind::Member, &row.email, display_name, password_hash).await?;
    let bound = Bound {
        role: row.role,
        mesh: None,
    };
    role_bindings::insert(work, &member, bound, None).await?;
    let (id, now) = (row.id.uuid(), work.now());
    sqlx::query("update heddle.invitations set accepted_at = $2, principal_id = $3 where id = $1")
        .bind(id)
        .bind(now)
        .bind(member.id.uuid())
        .execute(work.conn())
        .await?;
    let after = json!({"member": member.id.to_string()});
    record(work, "accept", id, &row.email, Some(&after)).await?;
    let member = principals::by_id(work, member.id.uuid()).await?;
    member.ok_or(Error::NotFound).map(Ok)
}
