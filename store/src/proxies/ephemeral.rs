//! Proxies of ephemeral join tokens: forgotten once they have been away for a while.

use chrono::TimeDelta;
use heddle_model::id::{JoinTokenId, ProxyId};
use serde_json::json;
use uuid::Uuid;

use super::remove;
use crate::authz::MeshRef;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::tx::Mode;

/// How many are forgotten in one transaction.
const AT_ONCE: i64 = 500;

/// Nobody is away as long as there was no server to come back to.
const AWAY: &str = "select p.id, p.node_id, p.service, p.join_token_id from heddle.join_tokens j \
     join heddle.proxies p on p.org_id = j.org_id and p.join_token_id = j.id \
     where j.mesh_id = $1 and j.ephemeral and not p.connected \
       and greatest(coalesce(p.seen_at, p.joined_at), p.away_since, \
                    (select g.seen_at from heddle.agents g where g.mesh_id = p.mesh_id and g.proxy_id = p.id), \
                    (select min(r.started_at) from heddle.replicas r where r.lease_until > now())) <= $2 \
     order by p.id limit $3";

/// Forgets the proxies of a mesh that joined with an ephemeral token and have had no stream for so long. Returns how many.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn forget_away(store: &Store, mesh: &MeshRef, after: TimeDelta) -> Result<usize> {
    let since = store.clock().now() - after;
    let away = async |mode, suffix: &str| {
        let mut work = store.work(mesh.org(), "xds", mode).await?;
        if mode == Mode::Write {
            work.lock(mesh.mesh()).await?;
        }
        let rows: Vec<(Uuid, String, String, Uuid)> = sqlx::query_as(&format!("{AWAY}{suffix}"))
            .bind(mesh.mesh().uuid())
            .bind(since)
            .bind(AT_ONCE)
            .fetch_all(work.conn())
            .await?;
        Ok::<_, Error>((work, rows))
    };
    // Almost always there is nobody, and then nothing is locked.
    if away(Mode::Read, "").await?.1.is_empty() {
        return Ok(0);
    }
    let (mut work, rows) = match away(Mode::Write, " for update of p skip locked").await {
        // Deleted meanwhile.
        Err(Error::NotFound) => return Ok(0),
        found => found?,
    };
    for (id, node_id, service, token) in &rows {
        let token = JoinTokenId::from_uuid(*token);
        let before = json!({"service": service, "join_token": token, "ephemeral": true});
        let proxy = ProxyId::from_uuid(*id);
        remove(&mut work, mesh.mesh(), proxy, node_id, before.as_object()).await?;
    }
    work.commit().await?;
    Ok(rows.len())
}
