//! Members: people, each in one organisation.

use heddle_model::authz::permission::MemberWrite;
use heddle_model::authz::{Action, Permission, Role};
use heddle_model::email::Email;
use heddle_model::quota::Quota;

use crate::error::{Error, Result};
use crate::invitations;
use crate::links::{self, Purpose};
use crate::mails::{self, Notice};
use crate::principals::{self, Kind, PrincipalRow};
use crate::quotas;
use crate::rights::Bound;
use crate::role_bindings;
use crate::sessions;
use crate::tx::Tx;

/// A member about to be made.
#[derive(Debug, Clone)]
pub struct NewMember {
    /// What it signs in with; unique in the organisation.
    pub email: Email,
    /// What people call it.
    pub display_name: Option<String>,
    /// Argon2id in PHC form; without one it cannot sign in.
    pub password_hash: Option<String>,
    /// A role in the whole organisation, which takes `role_bindings:write` as well. Nobody gives more than they have.
    pub role: Option<Role>,
}

/// Creates a member. An invitation to the address is open no more.
///
/// # Errors
/// [`Error::SignInAgain`], [`Error::Forbidden`], [`Error::Escalation`], [`Error::LimitReached`], [`Error::AlreadyExists`] with
/// `principals_name_key`,
/// [`Error::Unavailable`].
pub async fn create(tx: &mut Tx<MemberWrite>, new: &NewMember) -> Result<PrincipalRow> {
    let work = &mut tx.work;
    sessions::require_fresh(work).await?;
    principals::lock_roles(work).await?;
    let (name, display_name) = (new.email.as_str(), new.display_name.as_deref());
    let hash = new.password_hash.as_deref();
    // Whoever was invited had a place already.
    invitations::withdraw_to(work, name).await?;
    quotas::admit(work, Quota::Members, 1).await?;
    let row = principals::create(work, Kind::Member, name, display_name, hash).await?;
    let Some(role) = new.role else {
        return Ok(row);
    };
    if !work.may(Action::RoleBindingWrite) {
        return Err(Error::Forbidden {
            scope: Action::RoleBindingWrite.scope(),
        });
    }
    let bound = Bound { role, mesh: None };
    work.require_role(bound)?;
    role_bindings::insert(work, &row, bound, None).await?;
    let row = principals::by_id(work, row.id.uuid()).await?;
    row.ok_or(Error::NotFound)
}

/// Gives a member another password and ends all of its sessions. Nobody does so to one who may do more than they.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Escalation`], [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn set_password(
    tx: &mut Tx<MemberWrite>,
    member: &PrincipalRow,
    password_hash: &str,
) -> Result<()> {
    let work = &mut tx.work;
    let id = member.id.uuid();
    principals::lock_roles(work).await?;
    let row = principals::by_id(work, id).await?.ok_or(Error::NotFound)?;
    work.require_rights(&row.rights())?;
    sessions::require_fresh(work).await?;
    sqlx::query(
        "update heddle.principals set password_hash = $2 where id = $1 and deleted_at is null",
    )
    .bind(id)
    .bind(password_hash)
    .execute(work.conn())
    .await?;
    sessions::end_all(work, id, None).await?;
    links::void(work, Purpose::PasswordReset, id).await?;
    mails::tell(work, Notice::PasswordChanged, &row.name).await?;
    principals::record(
        work,
        Kind::Member,
        "reset_password",
        id,
        &row.name,
        None,
        None,
    )
    .await
}

/// Finds a member by e-mail address or identifier.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    email_or_id: &str,
) -> Result<Option<PrincipalRow>> {
    principals::find(&mut tx.work, Kind::Member, email_or_id).await
}

/// The members in the order of their addresses, after the address `after`, at most `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<PrincipalRow>> {
    principals::page(&mut tx.work, Kind::Member, after, limit).await
}

/// Changes what people call a member.
///
/// # Errors
/// [`crate::Error::NotFound`], [`crate::Error::Unavailable`].
pub async fn rename(
    tx: &mut Tx<MemberWrite>,
    member: &PrincipalRow,
    display_name: Option<&str>,
) -> Result<PrincipalRow> {
    principals::rename(&mut tx.work, Kind::Member, member, display_name).await
}

/// Removes a member with its roles, tokens and sessions, and whatever invitation to the address is open.
///
/// # Errors
/// [`crate::Error::NotFound`], [`crate::Error::Escalation`] when it may do more than the caller,
/// [`crate::Error::LastOwner`], [`crate::Error::Unavailable`].
pub async fn remove(tx: &mut Tx<MemberWrite>, member: &PrincipalRow) -> Result<()> {
    principals::remove(&mut tx.work, Kind::Member, member).await?;
    invitations::withdraw_to(&mut tx.work, &member.name).await
}
