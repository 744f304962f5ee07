//! What messages are signed with (Standard Webhooks): shown once, kept sealed, and two at a time while one takes the place of another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use heddle_model::authz::permission::WebhookWrite;
use heddle_model::id::{OrgId, WebhookId};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::{WebhookRow, by_id, lock, record};
use crate::error::{Error, Result};
use crate::reseal::{self, Place};
use crate::session_keys::KeySealer;
use crate::sessions;
use crate::store::Store;
use crate::tx::{Tx, Work};

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes it has.
const LENGTH: usize = 32;

/// A secret that was just drawn.
#[derive(Debug)]
pub struct DrawnSecret {
    id: Uuid,
    /// The secret itself, as whoever verifies signatures needs it.
    pub secret: SecretString,
    sealed: Vec<u8>,
}

/// Draws a secret of an organisation. Kept with the webhook that gets it.
///
/// # Errors
/// [`Error::Signer`] when it cannot be sealed.
pub async fn draw(store: &Store, sealer: &dyn KeySealer, org: OrgId) -> Result<DrawnSecret> {
    let id = store.ids().next();
    let mut key = vec![0_u8; LENGTH];
    aws_lc_rs::rand::fill(&mut key).map_err(|error| Error::Database(Box::new(error)))?;
    let key = SecretSlice::from(key);
    let sealed = sealer.seal(Place::Webhook { org, id }, key.expose_secret());
    let sealed = sealed.await;
    let secret = STANDARD.encode(key.expose_secret());
    let secret = SecretString::from(format!("{PREFIX}{secret}"));
    Ok(DrawnSecret {
        id,
        secret,
        sealed: sealed.map_err(Error::Signer)?,
    })
}

pub(super) async fn keep(work: &mut Work, webhook: WebhookId, drawn: &DrawnSecret) -> Result<()> {
    let query = sqlx::query(
        "insert into heddle.webhook_secrets (org_id, id, webhook_id, sealed_key, created_at) values ($1, $2, $3, $4, $5)",
    )
    .bind(work.org().uuid())
    .bind(drawn.id)
    .bind(webhook.uuid())
    .bind(&drawn.sealed)
    .bind(work.now());
    query.execute(work.conn()).await?;
    reseal::note_org(work).await
}

/// Gives a webhook another secret. The one before it signs as well until `overlap_until`; older ones, no more.
///
/// # Errors
/// [`Error::NotFound`], [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn rotate(
    tx: &mut Tx<WebhookWrite>,
    id: WebhookId,
    drawn: &DrawnSecret,
    overlap_until: DateTime<Utc>,
) -> Result<WebhookRow> {
    let work = &mut tx.work;
    lock(work, id).await?;
    sessions::require_fresh(work).await?;
    let now = work.now();
    sqlx::query("delete from heddle.webhook_secrets where webhook_id = $1 and (until is not null or $2 <= $3)")
        .bind(id.uuid())
        .bind(overlap_until)
        .bind(now)
        .execute(work.conn())
        .await?;
    sqlx::query("update heddle.webhook_secrets set until = $2 where webhook_id = $1")
        .bind(id.uuid())
        .bind(overlap_until)
        .execute(work.conn())
        .await?;
    keep(work, id, drawn).await?;
    let row = by_id(work, id).await?;
    let after = json!({"previous_until": row.previous_until});
    record(work, "rotate", &row, None, Some(&after)).await?;
    Ok(row)
}

/// The secrets that sign now, newest first.
pub(super) async fn open(
    work: &mut Work,
    sealer: &dyn KeySealer,
    webhook: Uuid,
) -> Result<Vec<SecretSlice<u8>>> {
    let (org, now) = (work.org(), work.now());
    let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "select id, sealed_key from heddle.webhook_secrets \
         where webhook_id = $1 and (until is null or until > $2) order by created_at desc, id desc",
    )
    .bind(webhook)
    .bind(now)
    .fetch_all(work.conn())
    .await?;
    let mut opened = Vec::with_capacity(rows.len());
    for (id, sealed) in rows {
        let key = sealer.open(Place::Webhook { org, id }, &sealed).await;
        opened.push(key.map_err(Error::Signer)?);
    }
    Ok(opened)
}
