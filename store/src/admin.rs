//! What the administrator of an installation does without an API token: organisations and their first credentials.
//!
//! The right to do so is the right to log in to the database as the server. No further door: creating an organisation writes
//! inside the new one, and an existing one is found by name through the first door.

use chrono::{DateTime, Utc};
use heddle_model::authz::Role;
use heddle_model::email::Email;
use heddle_model::id::{MemberId, OrgId, TokenId};
use heddle_model::name::Name;
use heddle_model::quota::{Limit, Quota};
use secrecy::SecretString;
use serde_json::json;

use crate::authz::Door;
use crate::error::{Error, Result};
use crate::invitations;
use crate::principals;
use crate::quotas::{self, QuotaRow};
use crate::rights::Bound;
use crate::role_bindings;
use crate::second_factors;
use crate::sign_in_policy;
use crate::store::Store;
use crate::tokens::{self, NewToken, Owner};
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
    let name = "owner".parse().expect("`owner` is a DNS label");
    let token = token(name, None);
    let created = tokens::insert(&mut work, Owner::Role(Role::Owner), &token).await?;
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
    let token = token(name.clone(), expires_at);
    let created = tokens::insert(&mut work, Owner::Role(role), &token).await?;
    work.commit().await?;
    Ok((created.row.id, created.secret))
}

fn token(name: Name, expires_at: Option<DateTime<Utc>>) -> NewToken {
    NewToken {
        name,
        scopes: None,
        meshes: None,
        expires_at,
    }
}

/// Creates a member of an organisation with a role in all of it. `password_hash` is Argon2id in PHC form.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation, [`Error::AlreadyExists`] with `principals_name_key`,
/// [`Error::Unavailable`].
pub async fn create_member(
    store: &Store,
    org: &Name,
    email: &Email,
    role: Role,
    password_hash: Option<&str>,
) -> Result<MemberId> {
    let mut work = enter(store, org).await?;
    let kind = principals::Kind::Member;
    principals::lock_roles(&mut work).await?;
    let member = principals::create(&mut work, kind, email.as_str(), None, password_hash).await?;
    invitations::withdraw_to(&mut work, email.as_str()).await?;
    let bound = Bound { role, mesh: None };
    role_bindings::insert(&mut work, &member, bound, None).await?;
    work.commit().await?;
    Ok(MemberId::from_uuid(member.id.uuid()))
}

/// Takes a member's second factor away that it has lost, and ends its sessions.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation or member, [`Error::NoSecondFactor`], [`Error::Unavailable`].
pub async fn reset_second_factor(store: &Store, org: &Name, email: &Email) -> Result<MemberId> {
    let mut work = enter(store, org).await?;
    let kind = principals::Kind::Member;
    let member = principals::find(&mut work, kind, email.as_str()).await?;
    let member = member.ok_or(Error::NotFound)?;
    second_factors::reset_of(&mut work, &member).await?;
    work.commit().await?;
    Ok(MemberId::from_uuid(member.id.uuid()))
}

/// Lets members of an organisation sign in with passwords again, whose provider is of no use to anybody any more.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation, [`Error::Unavailable`].
pub async fn allow_passwords(store: &Store, org: &Name) -> Result<OrgId> {
    let mut work = enter(store, org).await?;
    sign_in_policy::allow_passwords(&mut work).await?;
    let id = work.org();
    work.commit().await?;
    Ok(id)
}

/// Revokes an API token by name or identifier.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation or token, [`Error::Unavailable`].
pub async fn revoke_token(store: &Store, org: &Name, name_or_id: &str) -> Result<TokenId> {
    let mut work = enter(store, org).await?;
    let revoked = tokens::revoke_of(&mut work, name_or_id).await?;
    work.commit().await?;
    Ok(revoked.id)
}

/// Everything that is limited in an organisation.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation, [`Error::Unavailable`].
pub async fn quotas(store: &Store, org: &Name) -> Result<Vec<QuotaRow>> {
    let mut work = enter(store, org).await?;
    quotas::select(&mut work).await
}

/// Says how many of something an organisation may have; `None`: as many as others. Its audit log says so. What there is already stays.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation, [`Error::Unavailable`].
pub async fn set_quota(
    store: &Store,
    org: &Name,
    quota: Quota,
    limit: Option<Limit>,
) -> Result<QuotaRow> {
    let mut work = enter(store, org).await?;
    let before = quota_row(&mut work, quota).await?;
    quotas::set(&mut work, quota, limit).await?;
    let after = quota_row(&mut work, quota).await?;
    let said = |row: &QuotaRow| json!({"quota": quota.as_str(), "limit": row.limit.number(), "own_limit": row.own});
    let (was, is) = (said(&before), said(&after));
    if was != is {
        let id = work.org().uuid();
        work.record(Change {
            mesh: None,
            revision: None,
            action: "replace",
            kind: "org",
            id,
            name: org.as_str(),
            before: was.as_object(),
            after: is.as_object(),
        })
        .await?;
    }
    work.commit().await?;
    Ok(after)
}

async fn quota_row(work: &mut Work, quota: Quota) -> Result<QuotaRow> {
    let rows = quotas::select(work).await?;
    let row = rows.into_iter().find(|row| row.quota == quota);
    row.ok_or(Error::NotFound)
}

async fn enter(store: &Store, org: &Name) -> Result<Work> {
    let found = store.door(Door::OrgName, org.as_str().as_bytes()).await?;
    let org = OrgId::from_uuid(found.ok_or(Error::NotFound)?.org_id);
    store.work(org, ACTOR, Mode::Write).await
}
