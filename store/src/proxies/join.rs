//! From a join token to a bound proxy: the only entry for one.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::Action;
use heddle_model::authz::permission::BootstrapRead;
use heddle_model::id::{JoinTokenId, MeshId, OrgId, ProxyId};
use heddle_model::name::Name;
use serde_json::json;
use uuid::Uuid;

use super::admission::{self, Arrival};
use crate::authz::{Door, Grant, Holder, MeshRef};
use crate::error::{Error, Result, inconsistent, retry};
use crate::live::Heads;
use crate::revocations::OF_JOIN;
use crate::rights::Standing;
use crate::secret;
use crate::store::Store;
use crate::tx::{Change, Mode, Work};

/// How exact `last_used_at` is for proxies that come back, so that a storm of them writes nothing.
const LAST_USED: TimeDelta = TimeDelta::hours(1);

/// Who a proxy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its mesh.
    pub mesh: MeshRef,
    /// The name of that mesh.
    pub mesh_name: Name,
    /// The SPIFFE trust domain of that mesh, without the scheme.
    pub trust_domain: String,
    /// The name of the organisation.
    pub org_name: Name,
    /// The service that it stands in front of.
    pub service: Name,
    /// Its identifier.
    pub proxy: ProxyId,
    /// What it is bound to.
    pub join_token: JoinTokenId,
    /// How far its mesh was when it came: whatever it was shown before, by this server or another, is no newer.
    pub heads: Heads,
}

/// Why a proxy may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// No such token, or it was revoked, or its mesh deleted.
    #[error("unknown join token")]
    Unknown,
    /// It expired before this proxy joined.
    #[error("expired join token")]
    Expired,
    /// It is for one proxy, and another one was faster.
    #[error("join token is used")]
    Used,
    /// The service was deleted.
    #[error("the join token's service does not exist")]
    ServiceGone,
    /// The proxy, or its service, is revoked.
    #[error("the identity is revoked")]
    Revoked,
    /// The token is for other networks than the one that the proxy comes from.
    #[error("the join token is for other networks")]
    Elsewhere,
    /// A connected proxy of the service has this node id by another token.
    #[error("the node id belongs to another proxy")]
    NodeTaken,
}

/// What a join token is for: what its holder may know without being a proxy yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinScope {
    /// The organisation.
    pub org: OrgId,
    /// Its name.
    pub org_name: Name,
    /// The mesh.
    pub mesh: MeshRef,
    /// Its name.
    pub mesh_name: Name,
    /// Its SPIFFE trust domain, without the scheme.
    pub trust_domain: String,
    /// The service.
    pub service: Name,
    /// The token.
    pub token: JoinTokenId,
    /// Whether the service is revoked: then it is for nothing.
    pub revoked: bool,
}

impl JoinScope {
    /// The one thing that a join token grants beyond joining: rendering the bootstrap of its own service, in its own mesh.
    /// The caller must keep to [`JoinScope::service`].
    #[must_use]
    pub fn grant(&self) -> Grant<BootstrapRead> {
        let standing = Standing::of_mesh(Action::BootstrapRead, self.mesh.mesh());
        Grant::new(self.org, self.token.to_string(), standing)
    }
}

/// Verifies a join token, binds the node id to it at first use, and says who the proxy is.
///
/// One transaction. Of any number of concurrent first joins with a one-off token exactly one is bound: they queue for
/// its row. A bound proxy comes back with the same token, expired or not, until it is revoked.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn join(
    store: &Store,
    secret: &str,
    arrival: Arrival<'_>,
) -> Result<std::result::Result<Joined, JoinRefused>> {
    let Some((holder, token)) = holder(store, secret).await? else {
        return Ok(Err(JoinRefused::Unknown));
    };
    retry!(async {
        match join_once(store, &holder, token, arrival).await {
            // Two tokens of one service, the same new node id: the second one looks again.
            Err(Error::AlreadyExists { .. }) => join_once(store, &holder, token, arrival).await,
            result => result,
        }
    })
}

/// Says what a join token is for, without using it up; `None` when it is unknown, revoked, or expired without ever
/// having been used.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn token_scope(store: &Store, secret: &str) -> Result<Option<JoinScope>> {
    let Some((holder, token)) = holder(store, secret).await? else {
        return Ok(None);
    };
    let org = OrgId::from_uuid(holder.org_id);
    let mut work = store.work(org, &token.to_string(), Mode::Read).await?;
    let now = work.now();
    let Some(found) = look(&mut work, token, "").await? else {
        return Ok(None);
    };
    if found.is_expired(now) && found.first_used_at.is_none() {
        return Ok(None);
    }
    Ok(Some(JoinScope {
        org,
        org_name: org_name(&holder)?,
        mesh: MeshRef::new(org, MeshId::from_uuid(found.mesh_id)),
        mesh_name: name("meshes", "name", token, &found.mesh_name)?,
        service: name("join_tokens", "service", token, &found.service)?,
        trust_domain: found.trust_domain,
        token,
        revoked: found.revoked,
    }))
}

async fn holder(store: &Store, secret: &str) -> Result<Option<(Holder, JoinTokenId)>> {
    let holder = holder_of(store, secret).await?;
    Ok(holder.and_then(|holder| {
        let token = JoinTokenId::from_uuid(holder.id?);
        holder.mesh_id?;
        holder.revoked_at.is_none().then_some((holder, token))
    }))
}

/// Whose a join token is or was, also when it is revoked.
pub(super) async fn holder_of(store: &Store, secret: &str) -> Result<Option<Holder>> {
    if secret::kind_of(secret) != Some(secret::Kind::Join) {
        return Ok(None);
    }
    store.door(Door::Join, &secret::digest(secret)).await
}

/// A token with its mesh, and the proxy that is bound to it under the node id.
#[derive(sqlx::FromRow)]
struct Found {
    mesh_id: Uuid,
    mesh_name: String,
    trust_domain: String,
    service: String,
    service_exists: bool,
    reusable: bool,
    expires_at: Option<DateTime<Utc>>,
    first_used_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    bound: Option<Uuid>,
    revoked: bool,
    networks: Option<Vec<String>>,
    revision: i64,
    audit: i64,
    status: i64,
}

impl Found {
    fn bar(&self, arrival: Arrival<'_>) -> Option<JoinRefused> {
        admission::bar(self.revoked, self.networks.as_deref(), arrival.from)
    }

    fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    fn joined(&self, holder: &Holder, token: JoinTokenId, proxy: Uuid) -> Result<Joined> {
        let org = OrgId::from_uuid(holder.org_id);
        Ok(Joined {
            mesh: MeshRef::new(org, MeshId::from_uuid(self.mesh_id)),
            mesh_name: name("meshes", "name", token, &self.mesh_name)?,
            trust_domain: self.trust_domain.clone(),
            org_name: org_name(holder)?,
            service: name("join_tokens", "service", token, &self.service)?,
            proxy: ProxyId::from_uuid(proxy),
            join_token: token,
            heads: Heads {
                revision: self.revision.unsigned_abs(),
                audit: self.audit.unsigned_abs(),
                status: self.status.unsigned_abs(),
            },
        })
    }
}

/// `None` when the token was revoked or its mesh deleted meanwhile.
async fn look(work: &mut Work, token: JoinTokenId, node_id: &str) -> Result<Option<Found>> {
    let sql = format!(
        "select m.mesh_id, m.name as mesh_name, m.trust_domain, j.service, \
                exists (select from heddle.resources r \
                        where r.org_id = m.org_id and r.mesh_id = m.mesh_id and r.kind = 'service' \
                          and r.name = j.service and r.to_revision is null) as service_exists, \
                j.reusable, j.expires_at, j.first_used_at, j.last_used_at, p.id as bound, \
                {OF_JOIN} as revoked, j.networks, \
                m.revision, coalesce(h.seq, 0) as audit, coalesce(s.seq, 0) as status \
         from heddle.join_tokens j \
         join heddle.meshes m on m.org_id = j.org_id and m.mesh_id = j.mesh_id \
         left join heddle.audit_heads h on h.org_id = m.org_id and h.chain = m.mesh_id \
         left join heddle.mesh_status s on s.org_id = m.org_id and s.mesh_id = m.mesh_id \
         left join heddle.proxies p on p.org_id = j.org_id and p.join_token_id = j.id and p.node_id = $2 \
         where j.id = $1 and j.revoked_at is null and m.deleted_at is null"
    );
    let query = sqlx::query_as(&sql).bind(token.uuid()).bind(node_id);
    Ok(query.fetch_optional(work.conn()).await?)
}

async fn join_once(
    store: &Store,
    holder: &Holder,
    token: JoinTokenId,
    arrival: Arrival<'_>,
) -> Result<std::result::Result<Joined, JoinRefused>> {
    let node_id = arrival.node_id;
    let org = OrgId::from_uuid(holder.org_id);
    let mut work = store.work(org, &token.to_string(), Mode::Write).await?;
    let now = work.now();
    let Some(found) = look(&mut work, token, node_id).await? else {
        return Ok(Err(JoinRefused::Unknown));
    };
    if let Some(barred) = found.bar(arrival) {
        return Ok(Err(barred));
    }
    if !found.service_exists {
        return Ok(Err(JoinRefused::ServiceGone));
    }
    if let Some(proxy) = found.bound {
        // The common case, thousands at once after an outage: no lock, no write.
        if found.last_used_at.is_none_or(|at| now - at >= LAST_USED) {
            touch(&mut work, token, now).await?;
            work.commit().await?;
        }
        return found.joined(holder, token, proxy).map(Ok);
    }

    sqlx::query("select from heddle.join_tokens where id = $1 for no key update")
        .bind(token.uuid())
        .execute(work.conn())
        .await?;
    // Whoever held the lock before may have changed the answer.
    let Some(found) = look(&mut work, token, node_id).await? else {
        return Ok(Err(JoinRefused::Unknown));
    };
    if let Some(barred) = found.bar(arrival) {
        return Ok(Err(barred));
    }
    if let Some(proxy) = found.bound {
        return found.joined(holder, token, proxy).map(Ok);
    }
    if !found.reusable && found.first_used_at.is_some() {
        return Ok(Err(JoinRefused::Used));
    }
    if found.is_expired(now) {
        return Ok(Err(JoinRefused::Expired));
    }
    let Some(proxy) = bind(&mut work, &found, token, node_id).await? else {
        return Ok(Err(JoinRefused::NodeTaken));
    };
    touch(&mut work, token, now).await?;
    work.commit().await?;
    found.joined(holder, token, proxy).map(Ok)
}

/// Binds a node id: a new one, or one whose token was replaced. `None` while another valid token's proxy of that name
/// is connected.
async fn bind(
    work: &mut Work,
    found: &Found,
    token: JoinTokenId,
    node_id: &str,
) -> Result<Option<Uuid>> {
    let now = work.now();
    let other: Option<(Uuid, bool)> = sqlx::query_as(
        "select p.id, j.revoked_at is null and p.connected and coalesce(p.lease_until > $4, false) \
             and exists (select from heddle.replicas r where r.replica = p.replica and r.lease_until > now()) \
         from heddle.proxies p join heddle.join_tokens j on j.org_id = p.org_id and j.id = p.join_token_id \
         where p.mesh_id = $1 and p.service = $2 and p.node_id = $3 for no key update of p",
    )
    .bind(found.mesh_id)
    .bind(&found.service)
    .bind(node_id)
    .bind(now)
    .fetch_optional(work.conn())
    .await?;
    let (proxy, action) = match other {
        Some((_, true)) => return Ok(None),
        Some((proxy, false)) => {
            sqlx::query(
                "update heddle.proxies set join_token_id = $3 where mesh_id = $1 and id = $2",
            )
            .bind(found.mesh_id)
            .bind(proxy)
            .bind(token.uuid())
            .execute(work.conn())
            .await?;
            (proxy, "rebind")
        }
        None => {
            let proxy = work.next_id();
            let query = sqlx::query(
                "insert into heddle.proxies (org_id, mesh_id, id, join_token_id, service, node_id, joined_at) \
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(work.org().uuid())
            .bind(found.mesh_id)
            .bind(proxy)
            .bind(token.uuid())
            .bind(&found.service)
            .bind(node_id)
            .bind(now);
            query.execute(work.conn()).await?;
            (proxy, "join")
        }
    };
    let after = json!({"service": found.service, "join_token": token});
    work.record(Change {
        mesh: Some(MeshId::from_uuid(found.mesh_id)),
        revision: None,
        action,
        kind: "proxy",
        id: proxy,
        name: node_id,
        before: None,
        after: after.as_object(),
    })
    .await?;
    Ok(Some(proxy))
}

async fn touch(work: &mut Work, token: JoinTokenId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "update heddle.join_tokens set first_used_at = coalesce(first_used_at, $2), last_used_at = $2 \
         where id = $1",
    )
    .bind(token.uuid())
    .bind(now)
    .execute(work.conn())
    .await?;
    Ok(())
}

fn org_name(holder: &Holder) -> Result<Name> {
    let org = OrgId::from_uuid(holder.org_id);
    let name = holder.org_name.parse();
    name.map_err(|e| inconsistent("orgs", "name", org, e))
}

fn name(table: &'static str, column: &'static str, token: JoinTokenId, text: &str) -> Result<Name> {
    text.parse()
        .map_err(|e| inconsistent(table, column, token, e))
}
