//! API tokens: what people and programs call with. A secret leaves this file once, in the answer that makes it.
//!
//! A token belongs to a member or a service account and can do what its owner can, or less: it is narrowed by scopes and
//! meshes when it is made, and by whatever roles its owner has left when it is used. One that was made on the command line
//! belongs to nobody and has a role of its own.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::authz::{Action, Role};
use heddle_model::id::{MemberId, MeshId, ServiceAccountId, TokenId};
use heddle_model::name::Name;
use heddle_model::quota::Quota;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::authz::Principal;
use crate::error::{Error, Result, inconsistent};
use crate::principals::{self, PrincipalRow};
use crate::quotas;
use crate::rights::{self, Rights};
use crate::secret;
use crate::sessions;
use crate::tx::{Change, Tx, Work};

/// Whose rights a token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Its own, in the whole organisation.
    Role(Role),
    /// Those of a member or service account.
    Principal(Principal),
}

/// An API token about to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name, unique among the organisation's tokens that are not revoked.
    pub name: Name,
    /// The permissions that it is narrowed to.
    pub scopes: Option<BTreeSet<Action>>,
    /// The meshes that it is narrowed to.
    pub meshes: Option<BTreeSet<MeshId>>,
    /// When it stops working; `None`: when it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// An API token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its identifier.
    pub id: TokenId,
    /// Its name.
    pub name: Name,
    /// Whose rights it has.
    pub owner: Owner,
    /// A member's e-mail address, a service account's name.
    pub owner_name: Option<String>,
    /// The permissions that it is narrowed to, as they were given.
    pub scopes: Option<Vec<String>>,
    /// The meshes that it is narrowed to.
    pub meshes: Option<Vec<MeshId>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, exact to about a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it got its present secret, if that is not the first.
    pub rotated_at: Option<DateTime<Utc>>,
    /// Until when the secret before this one works.
    pub previous_until: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// An API token with a secret that was just made.
#[derive(Debug)]
pub struct Created {
    /// What is stored of it.
    pub row: TokenRow,
    /// The token itself. Stored nowhere.
    pub secret: SecretString,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    role: Option<String>,
    principal_id: Option<Uuid>,
    kind: Option<String>,
    principal_name: Option<String>,
    scopes: Option<Vec<String>>,
    mesh_ids: Option<Vec<Uuid>>,
    created_at: DateTime<Utc>,
    created_by: String,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    rotated_at: Option<DateTime<Utc>>,
    previous_until: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for TokenRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = TokenId::from_uuid(row.id);
        let bad = |column, reason: String| inconsistent("tokens", column, id, reason);
        let owner = match (row.role, row.principal_id, row.kind.as_deref()) {
            (Some(role), _, _) => Owner::Role(role.parse().map_err(|_| bad("role", role))?),
            (None, Some(id), Some("member")) => {
                Owner::Principal(Principal::Member(MemberId::from_uuid(id)))
            }
            (None, Some(id), Some(_)) => {
                Owner::Principal(Principal::ServiceAccount(ServiceAccountId::from_uuid(id)))
            }
            _ => return Err(bad("principal_id", String::from("nobody's"))),
        };
        let name = row.name.parse::<Name>();
        Ok(Self {
            id,
            name: name.map_err(|e| bad("name", e.to_string()))?,
            owner,
            owner_name: row.principal_name,
            scopes: row.scopes,
            meshes: row
                .mesh_ids
                .map(|ids| ids.into_iter().map(MeshId::from_uuid).collect()),
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            rotated_at: row.rotated_at,
            previous_until: row.previous_until,
            revoked_at: row.revoked_at,
        })
    }
}

/// Creates a token of the caller's own or, with `account`, of a service account, which takes `tokens:write`. Nobody makes one
/// that could do more than they can.
///
/// # Errors
/// [`Error::NoPrincipal`] when the caller's token belongs to nobody, [`Error::Forbidden`], [`Error::Escalation`],
/// [`Error::SignInAgain`], [`Error::LimitReached`], [`Error::AlreadyExists`] with `tokens_name_key`, [`Error::Unavailable`].
pub async fn create(
    tx: &mut Tx<AccountManage>,
    account: Option<&PrincipalRow>,
    new: &NewToken,
) -> Result<Created> {
    let work = &mut tx.work;
    // With the roles that it has now, whatever the caller read before.
    principals::lock_roles(work).await?;
    let owner = match account {
        Some(account) => {
            require(work, Action::TokenWrite)?;
            account.id
        }
        None => work.principal().ok_or(Error::NoPrincipal)?,
    };
    let owner = principals::by_id(work, owner.uuid()).await?;
    let owner = owner.ok_or(Error::NotFound)?;
    let wanted = Rights::new(owner.bound.clone(), new.scopes.clone(), new.meshes.clone());
    work.require_rights(&wanted)?;
    sessions::require_fresh(work).await?;
    quotas::admit(work, Quota::Tokens, 1).await?;
    insert(work, Owner::Principal(owner.id), new).await
}

/// [`create`] without asking whose right it is, or how many there are: whoever runs the server lets in whom they must.
pub(crate) async fn insert(work: &mut Work, owner: Owner, new: &NewToken) -> Result<Created> {
    let secret = draw(owner)?;
    let id = TokenId::from_uuid(work.next_id());
    let scopes = scope_texts(new.scopes.as_ref());
    let meshes = mesh_uuids(new.meshes.as_ref());
    let (role, principal) = match owner {
        Owner::Role(role) => (Some(role.as_str()), None),
        Owner::Principal(principal) => (None, Some(principal.uuid())),
    };
    let query = sqlx::query(
        "insert into heddle.tokens (org_id, id, name, role, principal_id, scopes, mesh_ids, hash, created_at, \
                                    created_by, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(work.org().uuid())
    .bind(id.uuid())
    .bind(new.name.as_str())
    .bind(role)
    .bind(principal)
    .bind(scopes)
    .bind(meshes)
    .bind(secret::digest_of(&secret))
    .bind(work.now())
    .bind(work.actor().to_owned())
    .bind(new.expires_at);
    query.execute(work.conn()).await?;
    let row = by_id(work, id).await?;
    let after = json!({
        "role": role,
        "owner": row.owner_name,
        "scopes": row.scopes,
        "meshes": row.meshes,
        "expires_at": new.expires_at,
    });
    record(work, "create", &row, None, Some(&after)).await?;
    Ok(Created { row, secret })
}

fn draw(owner: Owner) -> Result<SecretString> {
    let kind = match owner {
        Owner::Principal(Principal::ServiceAccount(_)) => secret::Kind::Service,
        Owner::Principal(Principal::Member(_)) | Owner::Role(_) => secret::Kind::Personal,
    };
    secret::draw(kind).map_err(|e| Error::Database(Box::new(e)))
}

fn scope_texts(scopes: Option<&BTreeSet<Action>>) -> Option<Vec<&'static str>> {
    scopes.map(|scopes| scopes.iter().map(|action| action.scope()).collect())
}

fn mesh_uuids(meshes: Option<&BTreeSet<MeshId>>) -> Option<Vec<Uuid>> {
    meshes.map(|meshes| meshes.iter().map(|mesh| mesh.uuid()).collect())
}

/// Whether the caller may make tokens for others.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn require_others(tx: &Tx<AccountManage>) -> Result<()> {
    require(&tx.work, Action::TokenWrite)
}

fn require(work: &Work, action: Action) -> Result<()> {
    if work.may(action) {
        Ok(())
    } else {
        Err(Error::Forbidden {
            scope: action.scope(),
        })
    }
}

/// Finds a token: by identifier also a revoked one, by name only one that is not. Without `tokens:read`, only the caller's
/// own are found.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find(tx: &mut Tx<AccountRead>, name_or_id: &str) -> Result<Option<TokenRow>> {
    let whose = whose(&tx.work, Action::TokenRead);
    find_of(&mut tx.work, name_or_id, whose).await
}

/// The tokens that are not revoked in the order of their names, after the name `after`, at most `limit`; only those of one
/// owner, when one is given. Without `tokens:read`, only the caller's own.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page(
    tx: &mut Tx<AccountRead>,
    owner: Option<Principal>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<TokenRow>> {
    let whose = whose(&tx.work, Action::TokenRead);
    let owner = owner.map(Principal::uuid);
    let query = Query {
        owner,
        after,
        limit: Some(limit),
        ..Query::default()
    };
    select(&mut tx.work, whose, query).await
}

/// `None`: anybody's.
fn whose(work: &Work, action: Action) -> Option<Uuid> {
    if work.may(action) {
        None
    } else {
        // Who is nobody has no tokens.
        Some(work.principal().map_or(Uuid::nil(), Principal::uuid))
    }
}

async fn find_of(
    work: &mut Work,
    name_or_id: &str,
    whose: Option<Uuid>,
) -> Result<Option<TokenRow>> {
    let id = name_or_id.parse::<TokenId>().ok().map(TokenId::uuid);
    let query = Query {
        id,
        name: id.is_none().then_some(name_or_id),
        ..Query::default()
    };
    Ok(select(work, whose, query).await?.into_iter().next())
}

async fn by_id(work: &mut Work, id: TokenId) -> Result<TokenRow> {
    let query = Query {
        id: Some(id.uuid()),
        ..Query::default()
    };
    let rows = select(work, None, query).await?;
    rows.into_iter().next().ok_or(Error::NotFound)
}

#[derive(Default)]
struct Query<'a> {
    id: Option<Uuid>,
    name: Option<&'a str>,
    owner: Option<Uuid>,
    after: Option<&'a str>,
    limit: Option<u32>,
}

async fn select(work: &mut Work, whose: Option<Uuid>, query: Query<'_>) -> Result<Vec<TokenRow>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select t.id, t.name, t.role, t.principal_id, p.kind, p.name as principal_name, t.scopes, t.mesh_ids, \
                t.created_at, t.created_by, t.expires_at, t.last_used_at, t.rotated_at, t.previous_until, t.revoked_at \
         from heddle.tokens t \
         left join heddle.principals p on p.org_id = t.org_id and p.id = t.principal_id \
         where ($1::uuid is null or t.principal_id = $1) and ($2::uuid is null or t.id = $2) \
           and ($3::text is null or t.name = $3) and ($4::uuid is null or t.principal_id = $4) \
           and ($2 is not null or t.revoked_at is null) and t.name > $5 \
         order by t.name limit $6",
    )
    .bind(whose)
    .bind(query.id)
    .bind(query.name)
    .bind(query.owner)
    .bind(query.after.unwrap_or_default())
    .bind(query.limit.map(i64::from))
    .fetch_all(work.conn())
    .await?;
    rows.into_iter().map(TokenRow::try_from).collect()
}

/// Revokes a token: with the next request it is none. The caller's own, or with `tokens:write` anybody's.
///
/// # Errors
/// [`Error::NotFound`], also when it is revoked already or somebody else's; [`Error::Unavailable`].
pub async fn revoke(tx: &mut Tx<AccountManage>, name_or_id: &str) -> Result<TokenRow> {
    revoke_of(&mut tx.work, name_or_id).await
}

/// [`revoke`] without its type.
pub(crate) async fn revoke_of(work: &mut Work, name_or_id: &str) -> Result<TokenRow> {
    let whose = whose(work, Action::TokenWrite);
    let found = find_of(work, name_or_id, whose).await?;
    let mut row = found.ok_or(Error::NotFound)?;
    let now = work.now();
    let done = sqlx::query(
        "update heddle.tokens set revoked_at = $2, previous_hash = null, previous_until = null \
         where id = $1 and revoked_at is null",
    )
    .bind(row.id.uuid())
    .bind(now)
    .execute(work.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    record(work, "revoke", &row, None, None).await?;
    row.revoked_at = Some(now);
    Ok(row)
}

/// Gives a token a new secret and a new end; with `keep_endless`, one that has no end keeps none. The old secret works until `overlap_until`; one that is older still, no more. The
/// caller's own, or with `tokens:write` that of anybody who may do no more than the caller.
///
/// # Errors
/// [`Error::NotFound`], also when it is revoked or somebody else's; [`Error::Escalation`], [`Error::SignInAgain`], [`Error::LimitReached`],
/// [`Error::Unavailable`].
pub async fn rotate(
    tx: &mut Tx<AccountManage>,
    name_or_id: &str,
    expires_at: Option<DateTime<Utc>>,
    keep_endless: bool,
    overlap_until: DateTime<Utc>,
) -> Result<Created> {
    let work = &mut tx.work;
    let whose = whose(work, Action::TokenWrite);
    let found = find_of(work, name_or_id, whose).await?;
    let before = found.ok_or(Error::NotFound)?;
    let bound = match before.owner {
        Owner::Role(role) => vec![rights::Bound { role, mesh: None }],
        Owner::Principal(principal) => {
            let owner = principals::by_id(work, principal.uuid()).await?;
            owner.ok_or(Error::NotFound)?.bound
        }
    };
    let scopes = before.scopes.as_deref().map(rights::scopes);
    let meshes = before.meshes.clone().map(|ids| ids.into_iter().collect());
    work.require_rights(&Rights::new(bound, scopes, meshes))?;
    sessions::require_fresh(work).await?;
    if before.expires_at.is_some_and(|at| at <= work.now()) {
        // It had ended, and counts again.
        quotas::admit(work, Quota::Tokens, 1).await?;
    }
    let expires_at = expires_at.filter(|_| !keep_endless || before.expires_at.is_some());
    let secret = draw(before.owner)?;
    let done = sqlx::query(
        "update heddle.tokens set previous_hash = hash, previous_until = $3, hash = $2, rotated_at = $4, \
                                  expires_at = $5 \
         where id = $1 and revoked_at is null",
    )
    .bind(before.id.uuid())
    .bind(secret::digest_of(&secret))
    .bind(overlap_until)
    .bind(work.now())
    .bind(expires_at)
    .execute(work.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    let row = by_id(work, before.id).await?;
    let was = json!({"expires_at": before.expires_at});
    let is = json!({"expires_at": row.expires_at, "previous_until": overlap_until});
    record(work, "rotate", &row, Some(&was), Some(&is)).await?;
    Ok(Created { row, secret })
}

async fn record(
    work: &mut Work,
    action: &'static str,
    row: &TokenRow,
    before: Option<&serde_json::Value>,
    after: Option<&serde_json::Value>,
) -> Result<()> {
    work.record(Change {
        mesh: None,
        revision: None,
        action,
        kind: "token",
        id: row.id.uuid(),
        name: row.name.as_str(),
        before: before.and_then(serde_json::Value::as_object),
        after: after.and_then(serde_json::Value::as_object),
    })
    .await
}
