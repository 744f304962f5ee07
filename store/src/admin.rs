//! What the administrator of an installation does without an API token: organisations and their first credentials.
//!
//! The right to do so is the right to log in to the database as the server. No further door: creating an organisation writes
//! inside the new one, and an existing one is found by name through the first door.

use chrono::{DateTime, Utc};
use heddle_model::authz::Role;
use heddle_model::id::{OrgId, TokenId};
use heddle_model::name::Name;
use secrecy::SecretString;
use serde_json::json;

use crate::authz::Door;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::tokens::{self, NewToken};
use crate::tx::{Change, Mode, Work};

/// Who acts when nobody said it.
const ACTOR: &str = "installation admin";

/// Creates an organisation with one token of role `owner`, named `owner`, that does not expire.
///
/// # Errors
/// [`Error::AlreadyExists`] with `orgs_name_key`, [`Error::Unavailable`].
pub async fn create_org(
    store: &Store,
    name: &Name,
    display_name: Option<&str>,
    actor: &str,
) -> Result<(OrgId, SecretString)> {
    let org = OrgId::from_uuid(store.ids().next());
    let mut work = store.work(org, actor, Mode::Write).await?;
    let query = sqlx::query(
        "insert into heddle.orgs (org_id, name, display_name, created_at) values ($1, $2, $3, $4)",
    )
    .bind(org.uuid())
    .bind(name.as_str())
    .bind(display_name)
    .bind(work.now());
    query.execute(work.conn()).await?;
    let after = json!({"display_name": display_name});
    work.record(Change {
        mesh: None,
        revision: None,
        action: "create",
        kind: "org",
        id: org.uuid(),
        name: name.as_str(),
        before: None,
        after: after.as_object(),
    })
    .await?;
    let token = NewToken {
        name: "owner".parse().expect("`owner` is a DNS label"),
        role: Role::Owner,
        expires_at: None,
    };
    let created = tokens::create(&mut work, &token).await?;
    work.commit().await?;
    Ok((org, created.secret))
}

/// Creates an API token of an organisation.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation, [`Error::AlreadyExists`] with `tokens_name_key`,
/// [`Error::Unavailable`].
pub async fn create_token(
    store: &Store,
    org: &Name,
    role: Role,
    name: &Name,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(TokenId, SecretString)> {
    let mut work = enter(store, org).await?;
    let token = NewToken {
        name: name.clone(),
        role,
        expires_at,
    };
    let created = tokens::create(&mut work, &token).await?;
    work.commit().await?;
    Ok((created.id, created.secret))
}

/// Revokes an API token by name or identifier.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation or token, [`Error::Unavailable`].
pub async fn revoke_token(store: &Store, org: &Name, name_or_id: &str) -> Result<TokenId> {
    let mut work = enter(store, org).await?;
    let id = tokens::revoke(&mut work, name_or_id).await?;
    work.commit().await?;
    Ok(id)
}

async fn enter(store: &Store, org: &Name) -> Result<Work> {
    let found = store.door(Door::OrgName, org.as_str().as_bytes()).await?;
    let org = OrgId::from_uuid(found.ok_or(Error::NotFound)?.org_id);
    store.work(org, ACTOR, Mode::Write).await
}
