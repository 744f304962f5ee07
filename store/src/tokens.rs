//! API tokens: who may speak for an organisation. The secret leaves this file once, in the answer to its creation.

use chrono::{DateTime, Utc};
use heddle_model::authz::Role;
use heddle_model::id::TokenId;
use heddle_model::name::Name;
use secrecy::SecretString;
use serde_json::json;

use crate::error::{Error, Result};
use crate::secret;
use crate::tx::{Change, Work};

/// An API token about to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name, unique among the organisation's tokens that are not revoked.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// When it stops working; `None`: when it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// An API token that was just made.
#[derive(Debug)]
pub struct Created {
    /// Its identifier.
    pub id: TokenId,
    /// The token itself. Stored nowhere.
    pub secret: SecretString,
}

pub(crate) async fn create(work: &mut Work, new: &NewToken) -> Result<Created> {
    let secret = secret::draw(secret::Kind::Personal).map_err(|e| Error::Database(Box::new(e)))?;
    let id = TokenId::from_uuid(work.next_id());
    let query = sqlx::query(
        "insert into heddle.tokens (org_id, id, name, role, hash, created_at, created_by, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(work.org().uuid())
    .bind(id.uuid())
    .bind(new.name.as_str())
    .bind(new.role.as_str())
    .bind(secret::digest_of(&secret))
    .bind(work.now())
    .bind(work.actor().to_owned())
    .bind(new.expires_at);
    query.execute(work.conn()).await?;
    let after = json!({"role": new.role.as_str(), "expires_at": new.expires_at});
    work.record(Change {
        mesh: None,
        revision: None,
        action: "create",
        kind: "token",
        id: id.uuid(),
        name: new.name.as_str(),
        before: None,
        after: after.as_object(),
    })
    .await?;
    Ok(Created { id, secret })
}

pub(crate) async fn revoke(work: &mut Work, name_or_id: &str) -> Result<TokenId> {
    let id = name_or_id.parse::<TokenId>().ok().map(TokenId::uuid);
    let query = sqlx::query_as(
        "update heddle.tokens set revoked_at = $3 \
         where revoked_at is null and (id = $1 or name = $2) returning id, name",
    )
    .bind(id)
    .bind(name_or_id)
    .bind(work.now());
    let revoked: Option<(uuid::Uuid, String)> = query.fetch_optional(work.conn()).await?;
    let (id, name) = revoked.ok_or(Error::NotFound)?;
    work.record(Change {
        mesh: None,
        revision: None,
        action: "revoke",
        kind: "token",
        id,
        name: &name,
        before: None,
        after: None,
    })
    .await?;
    Ok(TokenId::from_uuid(id))
}
