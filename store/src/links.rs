//! The secrets in links that are sent by mail: 256 random bits, of which the digest is kept.
//!
//! One is drawn each time that a mail is sent, so none waits anywhere to be sent. Several may lead to the same thing; using one of them
//! makes an end of all.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::secret;
use crate::tx::Work;

/// A link that leads to nothing: mistyped, used, taken back or expired. Which one is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link cannot be used")]
pub struct Unusable;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A member sets a password anew.
    PasswordReset,
    /// Somebody becomes a member.
    Invitation,
}

impl Purpose {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::Invitation => "invitation",
        }
    }

    const fn kind(self) -> secret::Kind {
        match self {
            Self::PasswordReset => secret::Kind::Reset,
            Self::Invitation => secret::Kind::Invitation,
        }
    }
}

/// Draws the secret of a link.
pub(crate) async fn draw(
    work: &mut Work,
    purpose: Purpose,
    target: Uuid,
    expires_at: DateTime<Utc>,
) -> Result<SecretString> {
    let secret = secret::draw(purpose.kind()).map_err(|e| Error::Database(Box::new(e)))?;
    let now = work.now();
    sqlx::query("delete from heddle.link_secrets where expires_at < $1")
        .bind(now)
        .execute(work.conn())
        .await?;
    let query = sqlx::query(
        "insert into heddle.link_secrets (org_id, id, purpose, target, hash, created_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(work.org().uuid())
    .bind(work.next_id())
    .bind(purpose.as_str())
    .bind(target)
    .bind(secret::digest_of(&secret))
    .bind(now)
    .bind(expires_at);
    query.execute(work.conn()).await?;
    Ok(secret)
}

/// What a link leads to. A text that cannot be the secret of one does not reach the database.
pub(crate) async fn target(
    work: &mut Work,
    purpose: Purpose,
    secret: &SecretString,
) -> Result<std::result::Result<Uuid, Unusable>> {
    if secret::kind_of(secret.expose_secret()) != Some(purpose.kind()) {
        return Ok(Err(Unusable));
    }
    let now = work.now();
    let found: Option<Uuid> = sqlx::query_scalar(
        "select target from heddle.link_secrets where purpose = $1 and hash = $2 and expires_at > $3",
    )
    .bind(purpose.as_str())
    .bind(secret::digest_of(secret))
    .bind(now)
    .fetch_optional(work.conn())
    .await?;
    Ok(found.ok_or(Unusable))
}

/// Uses a link: of several who do so at once one has done so, and with it an end of all that lead to the same.
pub(crate) async fn take(
    work: &mut Work,
    purpose: Purpose,
    secret: &SecretString,
) -> Result<std::result::Result<Uuid, Unusable>> {
    if secret::kind_of(secret.expose_secret()) != Some(purpose.kind()) {
        return Ok(Err(Unusable));
    }
    let now = work.now();
    let taken: Option<Uuid> = sqlx::query_scalar(
        "delete from heddle.link_secrets where purpose = $1 and hash = $2 and expires_at > $3 returning target",
    )
    .bind(purpose.as_str())
    .bind(secret::digest_of(secret))
    .bind(now)
    .fetch_optional(work.conn())
    .await?;
    let Some(target) = taken else {
        return Ok(Err(Unusable));
    };
    void(work, purpose, target).await?;
    Ok(Ok(target))
}

/// Makes an end of every link that leads to something.
pub(crate) async fn void(work: &mut Work, purpose: Purpose, target: Uuid) -> Result<()> {
    sqlx::query("delete from heddle.link_secrets where purpose = $1 and target = $2")
        .bind(purpose.as_str())
        .bind(target)
        .execute(work.conn())
        .await?;
    Ok(())
}
