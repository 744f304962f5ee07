//! The organisation of a transaction.

use heddle_model::authz::Permission;
use heddle_model::name::Name;

use crate::error::{Result, inconsistent};
use crate::tx::{Tx, Work};

/// What it is called in paths of the API.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn org_name<P: Permission>(tx: &mut Tx<P>) -> Result<Name> {
    name_of(&mut tx.work).await
}

pub(crate) async fn name_of(work: &mut Work) -> Result<Name> {
    let name: String = sqlx::query_scalar("select name from heddle.orgs")
        .fetch_one(work.conn())
        .await?;
    name.parse()
        .map_err(|e| inconsistent("orgs", "name", work.org(), e))
}
