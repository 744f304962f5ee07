//! What whoever backs a database up, or has restored one, asks about it: facts, across all organisations.

use chrono::{DateTime, Utc};
use heddle_model::id::OrgId;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::error::Result;
use crate::store::Store;

/// Which database this is.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Facts {
    /// Its name.
    pub database: String,
    /// The role that the server logs in as.
    pub role: String,
    /// The number that PostgreSQL drew for the cluster when it was made: it stays the same through backups.
    pub cluster: String,
    /// The newest migration in it.
    pub schema: i64,
}

/// Which database this is.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn facts(store: &Store) -> Result<Facts> {
    let facts = sqlx::query_as(
        "select current_database()::text as database, session_user::text as role, \
                (select system_identifier::text from pg_control_system()) as cluster, \
                coalesce((select max(version) from heddle._sqlx_migrations where success), 0) as schema",
    );
    Ok(facts.fetch_one(store.pool()).await?)
}

/// A role that may do everything in the cluster, for whoever can log in as any.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn superuser(store: &Store) -> Result<Option<String>> {
    let role = sqlx::query_scalar(
        "select rolname::text from pg_roles where rolsuper and rolcanlogin order by oid limit 1",
    );
    Ok(role.fetch_optional(store.pool()).await?)
}

/// What a database holds, over all organisations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Every organisation.
    pub orgs: Vec<OrgId>,
    /// When the newest change in it was made.
    pub newest: Option<DateTime<Utc>>,
}

/// Looks across all organisations. `url` is that of the role that owns the schema, as for [`crate::migrate`].
///
/// # Errors
/// [`crate::Error::Unavailable`]; [`crate::Error::Database`] when that role may not.
pub async fn held(url: &str) -> Result<Held> {
    let options: PgConnectOptions = url.parse()?;
    let mut connection = PgConnection::connect_with(&options).await?;
    let mut tx = connection.begin().await?;
    // The one that may look at every organisation. It is gone with the transaction.
    sqlx::query("set local role heddle_door")
        .execute(&mut *tx)
        .await?;
    let orgs: Vec<Uuid> = sqlx::query_scalar("select org_id from heddle.orgs order by org_id")
        .fetch_all(&mut *tx)
        .await?;
    let newest: Option<DateTime<Utc>> = sqlx::query_scalar("select max(at) from heddle.changes")
        .fetch_one(&mut *tx)
        .await?;
    tx.rollback().await?;
    connection.close().await?;
    Ok(Held {
        orgs: orgs.into_iter().map(OrgId::from_uuid).collect(),
        newest,
    })
}
