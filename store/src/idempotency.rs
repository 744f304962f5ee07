//! Answers that are kept under a key of the client's choice, so that a request sent twice is done once.
//!
//! A key belongs to one credential. While a request runs, an advisory lock of its transaction stands for the key; what it
//! answered is written by that same transaction. A request that fails or dies leaves neither.

use chrono::TimeDelta;
use heddle_model::authz::{Permission, access};
use serde_json::Value;
use sqlx::types::Json;

use crate::error::Result;
use crate::tx::{Tx, Work};

/// How long an answer is kept.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// What stands for a key of an actor of an organisation.
const LOCK: &str =
    "hashtextextended(concat_ws(' ', 'idempotency', $1::text, $2::text, $3::text), 0)";

/// How many answers that are past their time go with each new one.
const SWEPT: i64 = 50;

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Its headers, as JSON of the caller's making.
    pub headers: Value,
    /// Its body. Holds no secret: that is the caller's to see to.
    pub body: String,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// Nothing: it is this transaction's now.
    New,
    /// Another transaction has it and is not finished.
    Running,
    /// It was used for another request.
    Other,
    /// It was used for this request, which was answered so.
    Done(Answer),
}

/// Asks for a key and, if it is new, holds it until the transaction ends.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn claim<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    key: &str,
    fingerprint: &[u8; 32],
) -> Result<Claim> {
    let work = &mut tx.work;
    let free: bool = sqlx::query_scalar(&format!("select pg_try_advisory_xact_lock({LOCK})"))
        .bind(work.org().uuid().to_string())
        .bind(work.actor().to_owned())
        .bind(key)
        .fetch_one(work.conn())
        .await?;
    if !free && !soon_free(work, key).await? {
        return Ok(Claim::Running);
    }
    let query = sqlx::query_as(
        "select fingerprint, status, headers, body from heddle.idempotent_answers \
         where actor = $1 and key = $2 and expires_at > $3",
    )
    .bind(work.actor().to_owned())
    .bind(key)
    .bind(work.now());
    let found: Option<(Vec<u8>, i16, Value, String)> = query.fetch_optional(work.conn()).await?;
    Ok(match found {
        None => Claim::New,
        Some((of, ..)) if of != fingerprint => Claim::Other,
        Some((_, status, headers, body)) => Claim::Done(Answer {
            status: status.unsigned_abs(),
            headers,
            body,
        }),
    })
}

/// A request that failed a moment ago holds its key until its transaction is undone: a short wait tells it from one that
/// runs.
async fn soon_free(work: &mut Work, key: &str) -> Result<bool> {
    sqlx::query("set local lock_timeout = '250ms'")
        .execute(work.conn())
        .await?;
    let (org, actor) = (work.org().uuid().to_string(), work.actor().to_owned());
    let waited = sqlx::query(&format!("select pg_advisory_xact_lock({LOCK})"))
        .bind(org)
        .bind(actor)
        .bind(key)
        .execute(work.conn())
        .await;
    if let Err(error) = waited {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        // lock_not_available: the transaction is of no further use, and nothing happened in it.
        return if code.as_deref() == Some("55P03") {
            Ok(false)
        } else {
            Err(error.into())
        };
    }
    sqlx::query("set local lock_timeout to default")
        .execute(work.conn())
        .await?;
    Ok(true)
}

/// Keeps the answer to the request that claimed a key, and removes some that were kept long enough.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn keep<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    key: &str,
    fingerprint: &[u8; 32],
    answer: &Answer,
) -> Result<()> {
    let work = &mut tx.work;
    let now = work.now();
    sqlx::query(
        "delete from heddle.idempotent_answers where (actor, key) in ( \
             select actor, key from heddle.idempotent_answers where expires_at <= $1 \
             order by expires_at limit $2 for update skip locked)",
    )
    .bind(now)
    .bind(SWEPT)
    .execute(work.conn())
    .await?;
    let query = sqlx::query(
        "insert into heddle.idempotent_answers (org_id, actor, key, fingerprint, status, headers, body, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) \
         on conflict on constraint idempotent_answers_pkey do update \
         set fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, \
             body = excluded.body, expires_at = excluded.expires_at",
    )
    .bind(work.org().uuid())
    .bind(work.actor().to_owned())
    .bind(key)
    .bind(fingerprint.as_slice())
    .bind(i16::try_from(answer.status).unwrap_or(i16::MAX))
    .bind(Json(&answer.headers))
    .bind(&answer.body)
    .bind(now + KEPT);
    query.execute(work.conn()).await?;
    Ok(())
}
