//! Webhooks: where an organisation wants to be told what happens in it.
//!
//! What is to be told is written down by the statement that writes the audit log or a revision (a trigger), for every webhook that wants
//! it, and sent afterwards by whichever server comes to it. It may come twice, never not at all.

mod deliveries;
mod secrets;
mod send;
mod tries;

use chrono::{DateTime, Utc};
use heddle_model::authz::permission::WebhookWrite;
use heddle_model::authz::{Action, Permission};
use heddle_model::id::WebhookId;
use heddle_model::name::Name;
use heddle_model::quota::Quota;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Error, Result, inconsistent};
use crate::quotas;
use crate::sessions;
use crate::tx::{Change, Tx, Work};

pub use deliveries::{DeliveryRow, DeliveryState, deliveries, delivery, ping, resend};
pub use secrets::{DrawnSecret, draw, rotate};
pub use send::{Parcel, Turn, What, begin, finish, next, take};
pub use tries::{Outcome, Tried, tried};

/// What a webhook can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Every revision of every mesh.
    Revision,
    /// Every row of the audit log.
    Audit,
}

impl Topic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Revision, Self::Audit];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revision => "revision",
            Self::Audit => "audit",
        }
    }

    /// What takes reading it.
    const fn action(self) -> Action {
        match self {
            Self::Revision => Action::ConfigRead,
            Self::Audit => Action::AuditRead,
        }
    }
}

/// Why a webhook is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disabled {
    /// Somebody wanted it so.
    ByHand,
    /// It took nothing for days.
    Failing,
    /// It takes nothing, and too much waits for it.
    Backlog,
    /// It answered that it is gone.
    Gone,
}

impl Disabled {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ByHand, Self::Failing, Self::Backlog, Self::Gone];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::Failing => "failing",
            Self::Backlog => "backlog",
            Self::Gone => "gone",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// What somebody wants of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where. That it may be called is the caller's to check.
    pub url: String,
    /// What of, each once.
    pub topics: Vec<Topic>,
    /// Whether it is told anything.
    pub enabled: bool,
}

/// A webhook, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Its identifier.
    pub id: WebhookId,
    /// Its name, unique in the organisation.
    pub name: Name,
    /// Where it is.
    pub url: String,
    /// What it is told.
    pub topics: Vec<Topic>,
    /// Why it is told nothing.
    pub disabled: Option<Disabled>,
    /// Since when nothing was taken.
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when nobody tries, after many failures.
    pub paused_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// Until when the secret before this one signs as well.
    pub previous_until: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    url: String,
    topics: Vec<String>,
    disabled_why: Option<String>,
    failing_since: Option<DateTime<Utc>>,
    paused_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    created_by: String,
    updated_at: DateTime<Utc>,
    previous_until: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for WebhookRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = WebhookId::from_uuid(row.id);
        let bad = |column, text: &str| inconsistent("webhooks", column, id, text);
        let topic = |text: &String| {
            let topic = Topic::ALL.into_iter().find(|one| one.as_str() == text);
            topic.ok_or_else(|| bad("topics", text))
        };
        let disabled = row.disabled_why.as_deref();
        let disabled =
            disabled.map(|text| Disabled::parse(text).ok_or_else(|| bad("disabled_why", text)));
        Ok(Self {
            id,
            name: row.name.parse().map_err(|_| bad("name", &row.name))?,
            topics: row.topics.iter().map(topic).collect::<Result<_>>()?,
            disabled: disabled.transpose()?,
            url: row.url,
            failing_since: row.failing_since,
            paused_until: row.paused_until,
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            previous_until: row.previous_until,
        })
    }
}

async fn select(
    work: &mut Work,
    id: Option<Uuid>,
    name: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<WebhookRow>> {
    let now = work.now();
    let rows: Vec<Row> = sqlx::query_as(
        "select w.id, w.name, w.url, w.topics, w.disabled_why, w.failing_since, w.paused_until, w.created_at, w.created_by, \
                w.updated_at, (select max(s.until) from heddle.webhook_secrets s \
                               where s.org_id = w.org_id and s.webhook_id = w.id and s.until > $5) as previous_until \
         from heddle.webhooks w \
         where ($1::uuid is null or w.id = $1) and ($2::text is null or w.name = $2) and w.name > $3 \
         order by w.name limit $4",
    )
    .bind(id)
    .bind(name)
    .bind(after.unwrap_or_default())
    .bind(i64::from(limit))
    .bind(now)
    .fetch_all(work.conn())
    .await?;
    rows.into_iter().map(WebhookRow::try_from).collect()
}

/// Finds a webhook by name or identifier.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(tx: &mut Tx<P>, name_or_id: &str) -> Result<Option<WebhookRow>> {
    let id = name_or_id.parse::<WebhookId>().ok().map(WebhookId::uuid);
    let name = id.is_none().then_some(name_or_id);
    let rows = select(&mut tx.work, id, name, None, 1).await?;
    Ok(rows.into_iter().next())
}

/// The webhooks in the order of their names, after the name `after`, at most `limit`.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<WebhookRow>> {
    select(&mut tx.work, None, None, after, limit).await
}

async fn by_id(work: &mut Work, id: WebhookId) -> Result<WebhookRow> {
    let rows = select(work, Some(id.uuid()), None, None, 1).await?;
    rows.into_iter().next().ok_or(Error::NotFound)
}

/// The name of a webhook and why it is switched off; `None` when it is not, any more.
pub(crate) async fn disabled(work: &mut Work, id: WebhookId) -> Result<Option<(Name, Disabled)>> {
    let rows = select(work, Some(id.uuid()), None, None, 1).await?;
    let row = rows.into_iter().next();
    Ok(row.and_then(|row| Some((row.name, row.disabled?))))
}

fn words(topics: &[Topic]) -> Vec<&'static str> {
    topics.iter().map(|topic| topic.as_str()).collect()
}

/// Whoever has something sent somewhere may read it.
fn require_topics(work: &Work, topics: &[Topic]) -> Result<()> {
    let actions = topics.iter().map(|topic| topic.action());
    match actions.into_iter().find(|action| !work.may(*action)) {
        None => Ok(()),
        Some(action) => Err(Error::Forbidden {
            scope: action.scope(),
        }),
    }
}

/// Makes a webhook. It is told what happens from now on.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::SignInAgain`], [`Error::LimitReached`], [`Error::AlreadyExists`] with `webhooks_name_key`,
/// [`Error::Unavailable`].
pub async fn create(
    tx: &mut Tx<WebhookWrite>,
    name: &Name,
    wanted: &Wanted,
    secret: &DrawnSecret,
) -> Result<WebhookRow> {
    let work = &mut tx.work;
    require_topics(work, &wanted.topics)?;
    sessions::require_fresh(work).await?;
    quotas::admit(work, Quota::Webhooks, 1).await?;
    let id = WebhookId::from_uuid(work.next_id());
    let query = sqlx::query(
        "insert into heddle.webhooks (org_id, id, name, url, topics, disabled_why, created_at, created_by, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $7)",
    )
    .bind(work.org().uuid())
    .bind(id.uuid())
    .bind(name.as_str())
    .bind(&wanted.url)
    .bind(words(&wanted.topics))
    .bind((!wanted.enabled).then_some(Disabled::ByHand.as_str()))
    .bind(work.now())
    .bind(work.actor().to_owned());
    query.execute(work.conn()).await?;
    secrets::keep(work, id, secret).await?;
    let row = by_id(work, id).await?;
    record(work, "create", &row, None, Some(&said(&row))).await?;
    Ok(row)
}

/// Changes where a webhook is and what it is told. One that is switched on again is told what happens from then on; what was to be sent
/// to one that is switched off is sent no more.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::SignInAgain`], [`Error::Unavailable`].
pub async fn change(
    tx: &mut Tx<WebhookWrite>,
    id: WebhookId,
    wanted: &Wanted,
) -> Result<WebhookRow> {
    let work = &mut tx.work;
    let before = lock(work, id).await?;
    let same = before.url == wanted.url
        && before.topics == wanted.topics
        && before.disabled.is_none() == wanted.enabled;
    if same {
        return Ok(before);
    }
    require_topics(work, &wanted.topics)?;
    sessions::require_fresh(work).await?;
    let now = work.now();
    // One that stays off stays off for the reason that it had.
    sqlx::query(
        "update heddle.webhooks set url = $2, topics = $3, disabled_why = case when $4 then null else coalesce(disabled_why, $5) end, \
                failing_since = null, failures = 0, paused_until = null, updated_at = $6 where id = $1",
    )
    .bind(id.uuid())
    .bind(&wanted.url)
    .bind(words(&wanted.topics))
    .bind(wanted.enabled)
    .bind(Disabled::ByHand.as_str())
    .bind(now)
    .execute(work.conn())
    .await?;
    if wanted.enabled {
        // What waits because it could not be taken is tried where it is now.
        send::look(work, id).await?;
    } else {
        deliveries::give_up(work, id).await?;
    }
    let row = by_id(work, id).await?;
    let (was, is) = (said(&before), said(&row));
    record(work, "replace", &row, Some(&was), Some(&is)).await?;
    Ok(row)
}

/// Takes a webhook away, with its secrets and with what is known of its deliveries.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unavailable`].
pub async fn delete(tx: &mut Tx<WebhookWrite>, id: WebhookId) -> Result<()> {
    let work = &mut tx.work;
    let row = lock(work, id).await?;
    for sql in [
        "delete from heddle.webhook_deliveries where webhook_id = $1",
        "delete from heddle.webhook_secrets where webhook_id = $1",
        "delete from heddle.webhooks where id = $1",
    ] {
        sqlx::query(sql)
            .bind(id.uuid())
            .execute(work.conn())
            .await?;
    }
    record(work, "delete", &row, Some(&said(&row)), None).await
}

/// A webhook, for whoever changes it.
async fn lock(work: &mut Work, id: WebhookId) -> Result<WebhookRow> {
    sqlx::query("select from heddle.webhooks where id = $1 for update")
        .bind(id.uuid())
        .execute(work.conn())
        .await?;
    by_id(work, id).await
}

/// What the audit log says of it.
fn said(row: &WebhookRow) -> Value {
    json!({
        "url": row.url,
        "topics": words(&row.topics),
        "disabled": row.disabled.map(Disabled::as_str),
    })
}

async fn record(
    work: &mut Work,
    action: &'static str,
    row: &WebhookRow,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<()> {
    work.record(Change {
        mesh: None,
        revision: None,
        action,
        kind: "webhook",
        id: row.id.uuid(),
        name: row.name.as_str(),
        before: before.and_then(Value::as_object),
        after: after.and_then(Value::as_object),
    })
    .await
}
