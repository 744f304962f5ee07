//! A member's own password.

use heddle_model::authz::permission::AccountManage;
use secrecy::SecretString;

use super::{Refused, end_all};
use crate::authz::{Grant, Principal};
use crate::error::{Error, Result};
use crate::links::{self, Purpose};
use crate::mails::{self, Notice};
use crate::principals::{self, Kind};
use crate::store::Store;
use crate::tx::Tx;

/// Changes the caller's own password and ends its other sessions, in the transaction that comes back. `Err` when the
/// current one is wrong.
///
/// # Errors
/// [`Error::NoPrincipal`] when the caller is no member, [`Error::Busy`], [`Error::Unavailable`].
pub async fn change_password(
    store: &Store,
    grant: &Grant<AccountManage>,
    current: SecretString,
    new: SecretString,
) -> Result<std::result::Result<Tx<AccountManage>, Refused>> {
    let Some(Principal::Member(member)) = grant.principal() else {
        return Err(Error::NoPrincipal);
    };
    let account = ["password", &member.to_string()];
    if let Err(wait) = store.throttle().begin(&account, store.clock().now()) {
        return Ok(Err(Refused::Wait(wait)));
    }
    // Not while a connection waits: hashing takes its time.
    let mut tx = store.begin(grant).await?;
    let hash: Option<Option<String>> = sqlx::query_scalar(
        "select password_hash from heddle.principals where id = $1 and deleted_at is null",
    )
    .bind(member.uuid())
    .fetch_optional(tx.work.conn())
    .await?;
    drop(tx);
    let hash = hash.flatten();
    if !store.verify_password(current, hash.clone()).await? {
        return Ok(Err(Refused::Credentials));
    }
    store.throttle().succeed(&account);
    let next = store.hash_password(new).await?;
    let mut tx = store.begin(grant).await?;
    let work = &mut tx.work;
    let done = sqlx::query(
        "update heddle.principals set password_hash = $2 where id = $1 and password_hash = $3 and deleted_at is null",
    )
    .bind(member.uuid())
    .bind(&next)
    .bind(&hash)
    .execute(work.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Err(Refused::Credentials));
    }
    let keep = work.session();
    end_all(work, member.uuid(), keep).await?;
    links::void(work, Purpose::PasswordReset, member.uuid()).await?;
    let row = principals::by_id(work, member.uuid()).await?;
    let email = row.ok_or(Error::NotFound)?.name;
    mails::tell(work, Notice::PasswordChanged, &email).await?;
    let id = member.uuid();
    principals::record(
        work,
        Kind::Member,
        "change_password",
        id,
        &email,
        None,
        None,
    )
    .await?;
    Ok(Ok(tx))
}
