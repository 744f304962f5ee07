//! What became of a try to send, and what follows from it: when the next one comes, and when nobody tries any more.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::id::{MessageId, WebhookId};
use serde_json::json;

use super::send::{ACTOR, LEASE, Turn};
use super::{Disabled, deliveries, record};
use crate::error::Result;
use crate::mails;
use crate::store::Store;
use crate::tx::{Mode, Work};

/// How long after each try that failed the next one comes, in seconds: about what Standard Webhooks recommends.
const SCHEDULE: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// After so many tries in a row that failed, of whatever deliveries, nobody tries for a while.
const PATIENCE: i32 = 10;
/// How long that is at first, and at the most.
const PAUSE: TimeDelta = TimeDelta::minutes(1);
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(24);
/// After so long without any that was taken, the webhook is switched off.
const GIVE_UP: TimeDelta = TimeDelta::days(5);
/// Nor may more than this wait for one that takes nothing.
const MOST_WAITING: i64 = 10_000;
/// How much of an answer is remembered, in characters.
const REMEMBERED: usize = 1000;

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken,
    /// It was not.
    NotTaken,
    /// The webhook is gone, by its own words.
    Gone,
}

/// A try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// What became of it.
    pub outcome: Outcome,
    /// The status of the answer.
    pub status: Option<u16>,
    /// How long it took.
    pub duration_ms: u32,
    /// Why there was no answer, or none that counts.
    pub error: Option<String>,
    /// How the answer begins.
    pub response: Option<String>,
    /// When it is to be tried again at the earliest, by the answer's own words. Nobody is listened to beyond [`LONGEST_PAUSE`].
    pub not_before: Option<DateTime<Utc>>,
}

/// Writes down what became of a try, and when the next one comes.
///
/// # Errors
/// [`crate::Error::Unavailable`]: it will be tried once more.
pub async fn tried(store: &Store, turn: &Turn, message: MessageId, tried: &Tried) -> Result<()> {
    let mut work = store.work(turn.org(), ACTOR, Mode::Write).await?;
    let now = work.now();
    let taken = tried.outcome == Outcome::Taken;
    // Whoever still has it to itself goes on having it for a while.
    let state: Option<(i32, Option<DateTime<Utc>>)> = sqlx::query_as(
        "update heddle.webhooks set failures = case when $2 then 0 else failures + 1 end, \
                failing_since = case when $2 then null else coalesce(failing_since, $3) end, \
                paused_until = case when $2 then null else paused_until end, \
                leased_until = case when lease = $4 then $5 else leased_until end \
         where id = $1 and disabled_why is null returning failures, failing_since",
    )
    .bind(turn.webhook().uuid())
    .bind(taken)
    .bind(now)
    .bind(turn.lease())
    .bind(now + LEASE)
    .fetch_optional(work.conn())
    .await?;
    keep(&mut work, turn, message, tried).await?;
    if let Some((failures, since)) = state.filter(|_| !taken) {
        let too_long = since.is_some_and(|since| now - since >= GIVE_UP);
        let why = match tried.outcome {
            Outcome::Gone => Some(Disabled::Gone),
            _ if too_long => Some(Disabled::Failing),
            _ if failures >= PATIENCE && waiting(&mut work, turn).await? > MOST_WAITING => {
                Some(Disabled::Backlog)
            }
            _ => None,
        };
        match why {
            Some(why) => disable(&mut work, turn.webhook(), why).await?,
            None if failures >= PATIENCE => pause(&mut work, turn.webhook(), failures).await?,
            None => {}
        }
    }
    work.commit().await.map(drop)
}

/// What is known of the delivery from now on, and when it is tried again.
async fn keep(work: &mut Work, turn: &Turn, message: MessageId, tried: &Tried) -> Result<()> {
    let now = work.now();
    let short = |text: &Option<String>| {
        let plain = text.iter().flat_map(|text| text.chars());
        let plain = plain.filter(|c| !c.is_control() || *c == '\n');
        text.as_ref()
            .map(|_| plain.take(REMEMBERED).collect::<String>())
    };
    let tries: Option<i32> = sqlx::query_scalar(
        "update heddle.webhook_deliveries set tries = tries + 1, tried_at = $3, status = $4, duration_ms = $5, error = $6, response = $7 \
         where webhook_id = $1 and id = $2 and state = 'pending' returning tries",
    )
    .bind(turn.webhook().uuid())
    .bind(message.uuid())
    .bind(now)
    .bind(tried.status.map(i32::from))
    .bind(tried.duration_ms.cast_signed())
    .bind(short(&tried.error))
    .bind(short(&tried.response))
    .fetch_optional(work.conn())
    .await?;
    let Some(tries) = tries else {
        return Ok(());
    };
    let nth = usize::try_from(tries - 1).unwrap_or(usize::MAX);
    let wait = SCHEDULE.get(nth).copied().map(TimeDelta::seconds);
    let wait = wait.filter(|_| tried.outcome == Outcome::NotTaken);
    let asked = tried.not_before.map(|at| at.min(now + LONGEST_PAUSE));
    let next = wait.map(|wait| (now + wait).max(asked.unwrap_or(now)) + jitter(wait));
    let state = match (tried.outcome, next) {
        (Outcome::Taken, _) => "delivered",
        (_, Some(_)) => "pending",
        (_, None) => "failed",
    };
    sqlx::query("update heddle.webhook_deliveries set state = $3, next_at = $4 where webhook_id = $1 and id = $2")
        .bind(turn.webhook().uuid())
        .bind(message.uuid())
        .bind(state)
        .bind(next)
        .execute(work.conn())
        .await?;
    Ok(())
}

/// How many deliveries are to be made.
async fn waiting(work: &mut Work, turn: &Turn) -> Result<i64> {
    let query = sqlx::query_scalar(
        "select count(*) from heddle.webhook_deliveries d where d.webhook_id = $1 and d.state = 'pending'",
    );
    Ok(query
        .bind(turn.webhook().uuid())
        .fetch_one(work.conn())
        .await?)
}

async fn pause(work: &mut Work, webhook: WebhookId, failures: i32) -> Result<()> {
    let doubled = 2_i32.pow((failures - PATIENCE).clamp(0, 11).unsigned_abs());
    let wait = (PAUSE * doubled).min(LONGEST_PAUSE);
    let until = work.now() + wait + jitter(wait);
    sqlx::query("update heddle.webhooks set paused_until = $2 where id = $1")
        .bind(webhook.uuid())
        .bind(until)
        .execute(work.conn())
        .await?;
    Ok(())
}

/// Switches a webhook off. The organisation reads that in its audit log, and whoever may change it in a mail.
async fn disable(work: &mut Work, id: WebhookId, why: Disabled) -> Result<()> {
    let now = work.now();
    sqlx::query("update heddle.webhooks set disabled_why = $2, paused_until = null, updated_at = $3 where id = $1")
        .bind(id.uuid())
        .bind(why.as_str())
        .bind(now)
        .execute(work.conn())
        .await?;
    deliveries::give_up(work, id).await?;
    let row = super::by_id(work, id).await?;
    let after = json!({"disabled": why.as_str(), "failing_since": row.failing_since});
    record(work, "disable", &row, None, Some(&after)).await?;
    mails::warn(work, id).await
}

/// Up to a fifth of a time, so that what failed together does not come back together.
fn jitter(of: TimeDelta) -> TimeDelta {
    let mut byte = [0_u8];
    // Without randomness there is none, which is no harm.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    of * i32::from(byte[0]) / (5 * 255)
}
