//! How a session goes on: the next token for a refresh secret that is used once.

use heddle_model::id::{MemberId, OrgId, SessionId};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::{IDLE, Refused, SignedIn, end, record};
use crate::authz::Door;
use crate::error::{Error, Result, inconsistent};
use crate::secret;
use crate::session_keys::{self, Claimed, KeySealer};
use crate::store::Store;
use crate::tx::Mode;

/// Gets the next token of a session, and the next refresh secret with it. A secret that was used before ends the session:
/// somebody has a copy of it.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn refresh(
    store: &Store,
    sealer: &dyn KeySealer,
    secret: &SecretString,
) -> Result<std::result::Result<SignedIn, Refused>> {
    let Some((family, generation)) = secret::refresh_digests(secret) else {
        return Ok(Err(Refused::Credentials));
    };
    let Some(holder) = store.door(Door::Refresh, &family).await? else {
        return Ok(Err(Refused::Credentials));
    };
    let org = OrgId::from_uuid(holder.org_id);
    let id = SessionId::from_uuid(holder.id.unwrap_or_default());
    let signing = session_keys::signing(store, sealer).await?;
    let mut work = store.work(org, &id.to_string(), Mode::Write).await?;
    let now = work.now();
    let row: Option<(Uuid, String, Vec<u8>)> = sqlx::query_as(
        "select s.principal_id, p.name, s.refresh_hash \
         from heddle.sessions s join heddle.principals p on p.org_id = s.org_id and p.id = s.principal_id \
         where s.id = $1 and s.revoked_at is null and p.deleted_at is null and s.expires_at > $2 \
           and s.refreshed_at > $3 for update of s",
    )
    .bind(id.uuid())
    .bind(now)
    .bind(now - IDLE)
    .fetch_optional(work.conn())
    .await?;
    let Some((member, email, current)) = row else {
        return Ok(Err(Refused::Credentials));
    };
    // Hashes of random secrets: how long comparing two of them takes says nothing about either.
    if current != generation {
        let reason = json!({"reason": "a refresh secret was used twice"});
        end(&mut work, id).await?;
        record(&mut work, "revoke", id, &email, Some(&reason)).await?;
        work.commit().await?;
        return Ok(Err(Refused::Credentials));
    }
    let next = secret::draw_refresh(Some(secret)).map_err(|e| Error::Database(Box::new(e)))?;
    let (_, generation) = secret::refresh_digests(&next).ok_or(Error::NotFound)?;
    sqlx::query("update heddle.sessions set refresh_hash = $2, refreshed_at = $3 where id = $1")
        .bind(id.uuid())
        .bind(generation)
        .bind(now)
        .execute(work.conn())
        .await?;
    let about = Claimed {
        org,
        member: MemberId::from_uuid(member),
        session: id,
    };
    let (access_token, access_until) = session_keys::sign(&signing, about, now)?;
    work.commit().await?;
    let org_name = holder.org_name.parse();
    Ok(Ok(SignedIn {
        session: id,
        member: about.member,
        email,
        org,
        org_name: org_name.map_err(|e| inconsistent("orgs", "name", org, e))?,
        access_token,
        access_until,
        refresh_token: next,
    }))
}
