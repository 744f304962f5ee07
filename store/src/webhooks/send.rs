//! Sending, as servers do it: of several one has a webhook to itself for a while and sends to it what is due, one after the other and oldest
//! first; what became of each is written down before the next one.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::id::{MeshId, MessageId, OrgId, WebhookId};
use heddle_model::name::Name;
use secrecy::SecretSlice;
use uuid::Uuid;

use super::secrets;
use crate::audit::{self, AuditRow};
use crate::error::Result;
use crate::orgs;
use crate::revisions::{self, RevisionRow};
use crate::session_keys::KeySealer;
use crate::store::Store;
use crate::tx::{Mode, Work};

/// Who acts.
pub(super) const ACTOR: &str = "webhooks";
/// For how long a server has a webhook to itself. Another one goes on after that if nothing more is heard of it.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(15);
/// For how long it is remembered what became of a delivery.
const REMEMBER: TimeDelta = TimeDelta::days(30);
/// A webhook that this server is to look at now.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    id: Uuid,
    org: OrgId,
    webhook: WebhookId,
}

impl Turn {
    /// Whose.
    #[must_use]
    pub const fn org(&self) -> OrgId {
        self.org
    }

    /// Which one.
    #[must_use]
    pub const fn webhook(&self) -> WebhookId {
        self.webhook
    }

    /// What says that it is this server which has it to itself.
    pub(super) const fn lease(&self) -> Uuid {
        self.id
    }
}

/// What a message tells.
#[derive(Debug)]
pub enum What {
    /// A row of the audit log.
    Audit(Box<AuditRow>),
    /// A revision of a mesh.
    Revision(Box<RevisionRow>),
    /// Nothing.
    Ping,
}

/// A message as it is to be sent.
#[derive(Debug)]
pub struct Parcel {
    /// Which one.
    pub message: MessageId,
    /// Where to.
    pub url: String,
    /// When what it tells happened.
    pub at: DateTime<Utc>,
    /// The organisation.
    pub org: Name,
    /// Where it happened: the mesh, and its name.
    pub mesh: Option<(MeshId, String)>,
    /// What it tells.
    pub what: What,
    /// What it is signed with: all of these.
    pub secrets: Vec<SecretSlice<u8>>,
}

/// Has somebody look at a webhook now.
pub(super) async fn look(work: &mut Work, webhook: WebhookId) -> Result<()> {
    let (org, now) = (work.org().uuid(), work.now());
    sqlx::query("insert into heddle.webhook_turns (whose, webhook_id, due_at) values ($1, $2, $3)")
        .bind(org)
        .bind(webhook.uuid())
        .bind(now)
        .execute(work.conn())
        .await?;
    Ok(())
}

/// Takes all turns of a webhook that is due, of an organisation and a webhook that are not `busy` here. In their place comes one for when
/// this server is not heard of any more.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn take(store: &Store, busy_orgs: &[OrgId], busy: &[WebhookId]) -> Result<Option<Turn>> {
    let now = store.clock().now();
    let orgs: Vec<Uuid> = busy_orgs.iter().map(|org| org.uuid()).collect();
    let webhooks: Vec<Uuid> = busy.iter().map(|webhook| webhook.uuid()).collect();
    let row: Option<(Uuid, Uuid, Uuid)> = sqlx::query_as(
        "with one as materialized ( \
             select t.id, t.whose, t.webhook_id from heddle.webhook_turns t \
             where t.due_at <= $1 and t.whose <> all($3) and t.webhook_id <> all($4) \
             order by t.due_at limit 1 for update skip locked), \
         others as ( \
             delete from heddle.webhook_turns t using one \
             where t.webhook_id = one.webhook_id and t.due_at <= $1 and t.id <> one.id) \
         update heddle.webhook_turns t set due_at = $1 + $2 from one where t.id = one.id \
         returning t.id, t.whose, t.webhook_id",
    )
    .bind(now)
    .bind(LEASE)
    .bind(orgs)
    .bind(webhooks)
    .fetch_optional(store.pool())
    .await?;
    Ok(row.map(|(id, whose, webhook)| Turn {
        id,
        org: OrgId::from_uuid(whose),
        webhook: WebhookId::from_uuid(webhook),
    }))
}

#[derive(sqlx::FromRow)]
struct State {
    paused_until: Option<DateTime<Utc>>,
    leased_until: Option<DateTime<Utc>>,
}

/// Has the webhook to itself from now on, if it is to be told anything now and no other server is at it. Whoever gets `false` is done with
/// the turn.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn begin(store: &Store, turn: &Turn) -> Result<bool> {
    let mut work = store.work(turn.org, ACTOR, Mode::Write).await?;
    let now = work.now();
    let state: Option<State> = sqlx::query_as(
        "select w.paused_until, w.leased_until from heddle.webhooks w where w.id = $1 and w.disabled_why is null for update",
    )
    .bind(turn.webhook.uuid())
    .fetch_optional(work.conn())
    .await?;
    let later = |at: Option<DateTime<Utc>>| at.filter(|at| *at > now);
    let Some(state) = state else {
        // Not while the row is held: whoever waits for it may have the connection that this takes.
        work.commit().await?;
        end(store, turn).await?;
        return Ok(false);
    };
    if let Some(until) = later(state.leased_until).or(later(state.paused_until)) {
        work.commit().await?;
        postpone(store, turn, until).await?;
        return Ok(false);
    }
    sqlx::query("update heddle.webhooks set lease = $2, leased_until = $3 where id = $1")
        .bind(turn.webhook.uuid())
        .bind(turn.id)
        .bind(now + LEASE)
        .execute(work.conn())
        .await?;
    work.commit().await?;
    Ok(true)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    url: String,
    topic: String,
    mesh_id: Option<Uuid>,
    mesh: Option<String>,
    revision: Option<i64>,
    created_at: DateTime<Utc>,
}

/// What is to be sent next, if this server still has the webhook to itself and anything is due.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Signer`], [`crate::Error::Inconsistent`].
pub async fn next(store: &Store, sealer: &dyn KeySealer, turn: &Turn) -> Result<Option<Parcel>> {
    let mut work = store.work(turn.org, ACTOR, Mode::Read).await?;
    let now = work.now();
    let row: Option<Row> = sqlx::query_as(
        "select d.id, w.url, d.topic, d.mesh_id, m.name as mesh, d.revision, d.created_at \
         from heddle.webhooks w join heddle.webhook_deliveries d on d.org_id = w.org_id and d.webhook_id = w.id \
         left join heddle.meshes m on m.org_id = d.org_id and m.mesh_id = d.mesh_id \
         where w.id = $1 and w.disabled_why is null and w.lease = $2 and (w.paused_until is null or w.paused_until <= $3) \
           and d.state = 'pending' and d.next_at <= $3 \
         order by d.id limit 1",
    )
    .bind(turn.webhook.uuid())
    .bind(turn.id)
    .bind(now)
    .fetch_optional(work.conn())
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let what = what(&mut work, &row).await?;
    let mesh = row.mesh_id.map(MeshId::from_uuid);
    Ok(Some(Parcel {
        message: MessageId::from_uuid(row.id),
        url: row.url,
        at: row.created_at,
        org: orgs::name_of(&mut work).await?,
        mesh: mesh.zip(row.mesh),
        what,
        secrets: secrets::open(&mut work, sealer, turn.webhook.uuid()).await?,
    }))
}

/// What a delivery tells. Neither the audit log nor revisions are ever taken away.
async fn what(work: &mut Work, row: &Row) -> Result<What> {
    let found = match (row.topic.as_str(), row.mesh_id, row.revision) {
        ("audit", ..) => {
            let found = audit::by_id(work, row.id).await?;
            found.map(|row| What::Audit(Box::new(row)))
        }
        ("revision", Some(mesh), Some(revision)) => {
            let mesh = MeshId::from_uuid(mesh);
            let found = revisions::by_number(work, mesh, revision.unsigned_abs()).await?;
            found.map(|row| What::Revision(Box::new(row)))
        }
        _ => None,
    };
    Ok(found.unwrap_or(What::Ping))
}

/// Gives the webhook back, for whoever comes to it when something is due.
///
/// # Errors
/// [`crate::Error::Unavailable`]: somebody comes to it all the same, once nobody is taken to have it any more.
pub async fn finish(store: &Store, turn: &Turn) -> Result<()> {
    let mut work = store.work(turn.org, ACTOR, Mode::Write).await?;
    let now = work.now();
    let paused: Option<Option<DateTime<Utc>>> = sqlx::query_scalar(
        "update heddle.webhooks set lease = null, leased_until = null where id = $1 and lease = $2 returning paused_until",
    )
    .bind(turn.webhook.uuid())
    .bind(turn.id)
    .fetch_optional(work.conn())
    .await?;
    let Some(paused) = paused else {
        work.commit().await?;
        return end(store, turn).await;
    };
    let due: Option<DateTime<Utc>> = sqlx::query_scalar(
        "select min(d.next_at) from heddle.webhook_deliveries d where d.webhook_id = $1 and d.state = 'pending'",
    )
    .bind(turn.webhook.uuid())
    .fetch_one(work.conn())
    .await?;
    sqlx::query("delete from heddle.webhook_deliveries d where d.webhook_id = $1 and d.created_at < $2 and d.state <> 'pending'")
        .bind(turn.webhook.uuid())
        .bind(now - REMEMBER)
        .execute(work.conn())
        .await?;
    work.commit().await?;
    match due {
        Some(due) => postpone(store, turn, due.max(paused.unwrap_or(due))).await,
        None => end(store, turn).await,
    }
}

async fn postpone(store: &Store, turn: &Turn, until: DateTime<Utc>) -> Result<()> {
    sqlx::query("update heddle.webhook_turns set due_at = $2 where id = $1")
        .bind(turn.id)
        .bind(until)
        .execute(store.pool())
        .await?;
    Ok(())
}

async fn end(store: &Store, turn: &Turn) -> Result<()> {
    sqlx::query("delete from heddle.webhook_turns where id = $1")
        .bind(turn.id)
        .execute(store.pool())
        .await?;
    Ok(())
}
