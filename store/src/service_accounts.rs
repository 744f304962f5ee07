//! Service accounts: programs that call the API, each in one organisation.

use heddle_model::authz::Permission;
use heddle_model::authz::permission::ServiceAccountWrite;
use heddle_model::name::Name;
use heddle_model::quota::Quota;

use crate::error::Result;
use crate::principals::{self, Kind, PrincipalRow};
use crate::quotas;
use crate::tx::Tx;

/// Creates a service account without any role.
///
/// # Errors
/// [`crate::Error::LimitReached`], [`crate::Error::AlreadyExists`] with `principals_name_key`, [`crate::Error::Unavailable`].
pub async fn create(
    tx: &mut Tx<ServiceAccountWrite>,
    name: &Name,
    display_name: Option<&str>,
) -> Result<PrincipalRow> {
    let (work, name) = (&mut tx.work, name.as_str());
    quotas::admit(work, Quota::ServiceAccounts, 1).await?;
    principals::create(work, Kind::ServiceAccount, name, display_name, None).await
}

/// Finds a service account by name or identifier.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn find<P: Permission>(tx: &mut Tx<P>, name_or_id: &str) -> Result<Option<PrincipalRow>> {
    principals::find(&mut tx.work, Kind::ServiceAccount, name_or_id).await
}

/// The service accounts in the order of their names, after the name `after`, at most `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<PrincipalRow>> {
    principals::page(&mut tx.work, Kind::ServiceAccount, after, limit).await
}

/// Changes what people call a service account.
///
/// # Errors
/// [`crate::Error::NotFound`], [`crate::Error::Unavailable`].
pub async fn rename(
    tx: &mut Tx<ServiceAccountWrite>,
    account: &PrincipalRow,
    display_name: Option<&str>,
) -> Result<PrincipalRow> {
    principals::rename(&mut tx.work, Kind::ServiceAccount, account, display_name).await
}

/// Removes a service account with its roles and tokens.
///
/// # Errors
/// [`crate::Error::NotFound`], [`crate::Error::Escalation`] when it may do more than the caller,
/// [`crate::Error::Unavailable`].
pub async fn remove(tx: &mut Tx<ServiceAccountWrite>, account: &PrincipalRow) -> Result<()> {
    principals::remove(&mut tx.work, Kind::ServiceAccount, account).await
}
