//! What a webhook is told, and what became of it.

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::WebhookWrite;
use heddle_model::id::{MeshId, MessageId, WebhookId};
use serde_json::json;
use uuid::Uuid;

use super::{lock, record, send};
use crate::error::{Error, Result, inconsistent};
use crate::tx::{Tx, Work};

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be made, or made again.
    Pending,
    /// The webhook took it.
    Delivered,
    /// It did not, and nobody tries any more.
    Failed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A message to a webhook, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The message: the same for every webhook that gets it, and whenever it is sent again.
    pub id: MessageId,
    /// What it is about.
    pub topic: String,
    /// Where that happened.
    pub mesh: Option<MeshId>,
    /// The revision that it is about.
    pub revision: Option<u64>,
    /// When that happened.
    pub created_at: DateTime<Utc>,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was tried.
    pub tries: u32,
    /// When it was tried last.
    pub tried_at: Option<DateTime<Utc>>,
    /// When it is tried next.
    pub next_at: Option<DateTime<Utc>>,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// How long that took.
    pub duration_ms: Option<u32>,
    /// Why there was no answer, or none that counts.
    pub error: Option<String>,
    /// How the last answer begins.
    pub response: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    topic: String,
    mesh_id: Option<Uuid>,
    revision: Option<i64>,
    created_at: DateTime<Utc>,
    state: String,
    tries: i32,
    tried_at: Option<DateTime<Utc>>,
    next_at: Option<DateTime<Utc>>,
    status: Option<i32>,
    duration_ms: Option<i32>,
    error: Option<String>,
    response: Option<String>,
}

impl TryFrom<Row> for DeliveryRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = MessageId::from_uuid(row.id);
        let known = DeliveryState::ALL.into_iter();
        let state = known.clone().find(|state| state.as_str() == row.state);
        Ok(Self {
            id,
            state: state
                .ok_or_else(|| inconsistent("webhook_deliveries", "state", id, &row.state))?,
            topic: row.topic,
            mesh: row.mesh_id.map(MeshId::from_uuid),
            revision: row.revision.map(i64::unsigned_abs),
            created_at: row.created_at,
            tries: row.tries.unsigned_abs(),
            tried_at: row.tried_at,
            next_at: row.next_at,
            status: row.status.and_then(|status| status.try_into().ok()),
            duration_ms: row.duration_ms.map(i32::unsigned_abs),
            error: row.error,
            response: row.response,
        })
    }
}

/// Which of a webhook's deliveries are read.
#[derive(Default)]
struct Which {
    id: Option<Uuid>,
    state: Option<DeliveryState>,
    before: Option<Uuid>,
    limit: u32,
}

async fn select(work: &mut Work, webhook: WebhookId, which: Which) -> Result<Vec<DeliveryRow>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select d.id, d.topic, d.mesh_id, d.revision, d.created_at, d.state, d.tries, d.tried_at, d.next_at, d.status, \
                d.duration_ms, d.error, d.response \
         from heddle.webhook_deliveries d \
         where d.webhook_id = $1 and ($2::uuid is null or d.id = $2) and ($3::text is null or d.state = $3) \
           and ($4::uuid is null or d.id < $4) \
         order by d.id desc limit $5",
    )
    .bind(webhook.uuid())
    .bind(which.id)
    .bind(which.state.map(DeliveryState::as_str))
    .bind(which.before)
    .bind(i64::from(which.limit))
    .fetch_all(work.conn())
    .await?;
    rows.into_iter().map(DeliveryRow::try_from).collect()
}

/// What a webhook was told, and is to be told: newest first, before one of them, at most `limit`; only those of a state where one is named.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn deliveries<P: Permission>(
    tx: &mut Tx<P>,
    webhook: WebhookId,
    state: Option<DeliveryState>,
    before: Option<MessageId>,
    limit: u32,
) -> Result<Vec<DeliveryRow>> {
    let before = before.map(MessageId::uuid);
    let which = Which {
        state,
        before,
        limit,
        ..Which::default()
    };
    select(&mut tx.work, webhook, which).await
}

/// One of them.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn delivery<P: Permission>(
    tx: &mut Tx<P>,
    webhook: WebhookId,
    id: MessageId,
) -> Result<DeliveryRow> {
    require(&mut tx.work, webhook, id.uuid()).await
}

async fn require(work: &mut Work, webhook: WebhookId, id: Uuid) -> Result<DeliveryRow> {
    let which = Which {
        id: Some(id),
        limit: 1,
        ..Which::default()
    };
    let rows = select(work, webhook, which).await?;
    rows.into_iter().next().ok_or(Error::NotFound)
}

/// Tells a webhook nothing but that it is told something.
///
/// # Errors
/// [`Error::NotFound`], [`Error::WebhookDisabled`], [`Error::Unavailable`].
pub async fn ping(tx: &mut Tx<WebhookWrite>, id: WebhookId) -> Result<DeliveryRow> {
    let work = &mut tx.work;
    let row = lock(work, id).await?;
    if row.disabled.is_some() {
        return Err(Error::WebhookDisabled);
    }
    let (message, now) = (work.next_id(), work.now());
    sqlx::query(
        "insert into heddle.webhook_deliveries (org_id, webhook_id, id, topic, created_at, next_at) \
         values ($1, $2, $3, 'ping', $4, $4)",
    )
    .bind(work.org().uuid())
    .bind(id.uuid())
    .bind(message)
    .bind(now)
    .execute(work.conn())
    .await?;
    send::look(work, id).await?;
    record(work, "ping", &row, None, None).await?;
    require(work, id, message).await
}

/// Makes a delivery once more, whatever became of it. One that is to be made anyway is made now.
///
/// # Errors
/// [`Error::NotFound`], [`Error::WebhookDisabled`], [`Error::Unavailable`].
pub async fn resend(
    tx: &mut Tx<WebhookWrite>,
    id: WebhookId,
    message: MessageId,
) -> Result<DeliveryRow> {
    let work = &mut tx.work;
    let row = lock(work, id).await?;
    require(work, id, message.uuid()).await?;
    if row.disabled.is_some() {
        return Err(Error::WebhookDisabled);
    }
    let now = work.now();
    sqlx::query(
        "update heddle.webhook_deliveries set state = 'pending', tries = 0, next_at = $3 where webhook_id = $1 and id = $2",
    )
    .bind(id.uuid())
    .bind(message.uuid())
    .bind(now)
    .execute(work.conn())
    .await?;
    // Whoever asks wants to see now what becomes of it.
    sqlx::query("update heddle.webhooks set paused_until = null where id = $1")
        .bind(id.uuid())
        .execute(work.conn())
        .await?;
    send::look(work, id).await?;
    let after = json!({"message": message.to_string()});
    record(work, "resend", &row, None, Some(&after)).await?;
    require(work, id, message.uuid()).await
}

/// What was to be sent to a webhook is sent no more.
pub(super) async fn give_up(work: &mut Work, webhook: WebhookId) -> Result<()> {
    sqlx::query(
        "update heddle.webhook_deliveries set state = 'failed', next_at = null, \
                error = coalesce(error, 'the webhook was switched off') \
         where webhook_id = $1 and state = 'pending'",
    )
    .bind(webhook.uuid())
    .execute(work.conn())
    .await?;
    Ok(())
}
