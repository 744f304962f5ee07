//! Joins of one mesh in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::id::{JoinTokenId, MeshId, OrgId, ProxyId};
use heddle_model::quota::Quota;
use serde_json::json;
use uuid::Uuid;

use super::super::{AGENTS, SEEN, admission};
use super::{Held, JoinRefused, Joined, name};
use crate::authz::MeshRef;
use crate::error::{Error, Result, retry};
use crate::live::Heads;
use crate::quotas;
use crate::revocations::OF_JOIN;
use crate::store::Store;
use crate::tx::{Change, Mode, Work};

/// How exact `last_used_at` is for proxies that come back, so that a storm of them writes nothing.
const LAST_USED: TimeDelta = TimeDelta::hours(1);

type Outcome = std::result::Result<Joined, JoinRefused>;

/// Somebody who wants to join.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) held: Arc<Held>,
    pub(super) node_id: String,
    /// The other end of its connection.
    pub(super) from: Option<IpAddr>,
    /// The service that it takes itself for.
    pub(super) claimed: Option<String>,
}

/// A token with its mesh, and the proxy that is bound to it under the node id.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Found {
    nth: i64,
    mesh_id: Uuid,
    pub(super) mesh_name: String,
    pub(super) trust_domain: String,
    pub(super) service: String,
    service_exists: bool,
    reusable: bool,
    expires_at: Option<DateTime<Utc>>,
    pub(super) first_used_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    bound: Option<Uuid>,
    pub(super) revoked: bool,
    networks: Option<Vec<String>>,
    revision: i64,
    audit: i64,
    status: i64,
}

impl Found {
    pub(super) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    fn joined(&self, held: &Held, proxy: Uuid) -> Result<Joined> {
        let token = held.token;
        Ok(Joined {
            mesh: MeshRef::new(held.org, MeshId::from_uuid(self.mesh_id)),
            mesh_name: name("meshes", "name", token, &self.mesh_name)?,
            trust_domain: self.trust_domain.clone(),
            org_name: held.org_name.clone(),
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

/// What is known of each token and node id, in their order; `None` where the token was revoked or its mesh deleted.
pub(super) async fn look(
    work: &mut Work,
    wanted: &[(JoinTokenId, &str)],
) -> Result<Vec<Option<Found>>> {
    let (tokens, nodes): (Vec<Uuid>, Vec<&str>) = wanted
        .iter()
        .map(|(token, node)| (token.uuid(), *node))
        .unzip();
    let sql = format!(
        "select a.nth, m.mesh_id, m.name as mesh_name, m.trust_domain, j.service, \
                exists (select from heddle.resources r \
                        where r.org_id = m.org_id and r.mesh_id = m.mesh_id and r.kind = 'service' \
                          and coalesce(r.parent_id, r.mesh_id) = m.mesh_id and r.name = j.service \
                          and r.to_revision is null) as service_exists, \
                j.reusable, j.expires_at, j.first_used_at, j.last_used_at, p.id as bound, \
                {OF_JOIN} as revoked, j.networks, \
                m.revision, coalesce(h.seq, 0) as audit, coalesce(s.seq, 0) as status \
         from unnest($1::uuid[], $2::text[]) with ordinality as a (token, node_id, nth) \
         join heddle.join_tokens j on j.id = a.token \
         join heddle.meshes m on m.org_id = j.org_id and m.mesh_id = j.mesh_id \
         left join heddle.audit_heads h on h.org_id = m.org_id and h.chain = m.mesh_id \
         left join heddle.mesh_status s on s.org_id = m.org_id and s.mesh_id = m.mesh_id \
         left join heddle.proxies p on p.org_id = j.org_id and p.mesh_id = j.mesh_id and p.service = j.service \
             and p.node_id = a.node_id and p.join_token_id = j.id \
         where j.revoked_at is null and m.deleted_at is null"
    );
    let query = sqlx::query_as(&sql).bind(tokens).bind(nodes);
    let rows: Vec<Found> = query.fetch_all(work.conn()).await?;
    let mut found = vec![None; wanted.len()];
    for row in rows {
        let nth = usize::try_from(row.nth - 1).unwrap_or(usize::MAX);
        if let Some(place) = found.get_mut(nth) {
            *place = Some(row);
        }
    }
    Ok(found)
}

/// Lets in whoever may join, all of one mesh; the answers are in the order of the questions.
pub(super) async fn join(
    store: &Store,
    org: OrgId,
    mesh: MeshId,
    asks: &[Ask],
) -> Result<Vec<Outcome>> {
    let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
    let mut rest: Vec<(usize, &Ask)> = asks.iter().enumerate().collect();
    while !rest.is_empty() {
        // Who is called the same comes after the other, and finds what that one has become.
        let mut names = BTreeSet::new();
        let (round, later): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|(_, ask)| names.insert(&ask.node_id));
        let these: Vec<&Ask> = round.iter().map(|(_, ask)| *ask).collect();
        let done = retry!(async {
            match once(store, org, mesh, &these).await {
                // Another server bound the same new node id: now it is found.
                Err(Error::AlreadyExists { .. }) => once(store, org, mesh, &these).await,
                result => result,
            }
        })?;
        outcomes.extend(round.into_iter().map(|(nth, _)| nth).zip(done));
        rest = later;
    }
    Ok(outcomes.into_values().collect())
}

/// What becomes of one of them.
enum Fate {
    Settled(Outcome),
    /// It is bound in this transaction, if its node id is free.
    Binds(Found),
}

async fn once(store: &Store, org: OrgId, mesh: MeshId, asks: &[&Ask]) -> Result<Vec<Outcome>> {
    // Each row of the audit log says whose it is.
    let mut work = store.work(org, "xds", Mode::Write).await?;
    let now = work.now();
    let wanted: Vec<_> = asks
        .iter()
        .map(|ask| (ask.held.token, ask.node_id.as_str()))
        .collect();
    let mut found = look(&mut work, &wanted).await?;
    let is_new = |found: &Option<Found>| found.as_ref().is_some_and(|f| f.bound.is_none());
    if found.iter().any(is_new) {
        lock(&mut work, asks, &found).await?;
        // Whoever held the locks before may have changed the answer.
        found = look(&mut work, &wanted).await?;
    }
    let mut used = Used::default();
    let mut fates = Vec::with_capacity(asks.len());
    for (ask, found) in asks.iter().zip(found) {
        fates.push(judge(ask, found, now, &mut used)?);
    }
    bind(&mut work, mesh, asks, &mut fates, &mut used).await?;
    // The common case, thousands at once after an outage: no lock, no write.
    if !used.noted.is_empty() {
        touch(&mut work, &used.noted, now).await?;
        work.commit().await?;
    }
    let outcome = |fate| match fate {
        Fate::Settled(outcome) => outcome,
        Fate::Binds(_) => Err(JoinRefused::NodeTaken),
    };
    Ok(fates.into_iter().map(outcome).collect())
}

/// Tokens that are used in a transaction.
#[derive(Default)]
struct Used {
    /// Somebody may be bound with these: a one-off one is taken.
    taken: BTreeSet<JoinTokenId>,
    /// Whose use is written down.
    noted: BTreeSet<JoinTokenId>,
}

/// What can be said without looking at other proxies.
fn judge(ask: &Ask, found: Option<Found>, now: DateTime<Utc>, used: &mut Used) -> Result<Fate> {
    let refused = |why| Ok(Fate::Settled(Err(why)));
    let Some(found) = found else {
        return refused(JoinRefused::Unknown);
    };
    let networks = found.networks.as_deref();
    if let Some(barred) = admission::bar(found.revoked, networks, ask.from) {
        return refused(barred);
    }
    let claimed = ask.claimed.as_ref();
    if claimed.is_some_and(|claimed| *claimed != found.service) {
        return refused(JoinRefused::OtherService);
    }
    if !found.service_exists {
        return refused(JoinRefused::ServiceGone);
    }
    let token = ask.held.token;
    if let Some(proxy) = found.bound {
        if found.last_used_at.is_none_or(|at| now - at >= LAST_USED) {
            used.noted.insert(token);
        }
        return Ok(Fate::Settled(Ok(found.joined(&ask.held, proxy)?)));
    }
    if !found.reusable && (found.first_used_at.is_some() || used.taken.contains(&token)) {
        return refused(JoinRefused::Used);
    }
    if found.is_expired(now) {
        return refused(JoinRefused::Expired);
    }
    used.taken.insert(token);
    Ok(Fate::Binds(found))
}

/// Locks the tokens of those who are not bound yet, in one order.
async fn lock(work: &mut Work, asks: &[&Ask], found: &[Option<Found>]) -> Result<()> {
    let new = asks.iter().zip(found).filter_map(|(ask, found)| {
        let is_new = found.as_ref().is_some_and(|found| found.bound.is_none());
        is_new.then(|| ask.held.token.uuid())
    });
    let tokens: BTreeSet<Uuid> = new.collect();
    let tokens: Vec<Uuid> = tokens.into_iter().collect();
    sqlx::query("select from heddle.join_tokens where id = any($1) order by id for no key update")
        .bind(tokens)
        .execute(work.conn())
        .await?;
    Ok(())
}

/// Binds node ids: new ones, and those whose token was replaced. Who may not be bound is left as it is: while another valid token's
/// proxy of that name is connected, or at work as an agent.
async fn bind(
    work: &mut Work,
    mesh: MeshId,
    asks: &[&Ask],
    fates: &mut [Fate],
    used: &mut Used,
) -> Result<()> {
    let others = namesakes(work, mesh, asks, fates).await?;
    let is_new = |(ask, fate): (&&Ask, &Fate)| match fate {
        Fate::Binds(found) => !others.contains_key(&(found.service.clone(), ask.node_id.clone())),
        Fate::Settled(_) => false,
    };
    // Those who were here before are let in whatever the limit is now: it shall not keep a fleet out that comes back.
    let room = match asks.iter().zip(fates.iter()).any(is_new) {
        true => quotas::room(work, Quota::Proxies).await?,
        false => None,
    };
    let mut new = Columns::default();
    let mut moved = Columns::default();
    for (ask, fate) in asks.iter().zip(fates) {
        let Fate::Binds(found) = fate else {
            continue;
        };
        let token = ask.held.token;
        let other = others.get(&(found.service.clone(), ask.node_id.clone()));
        let (proxy, action, columns) = match other {
            Some((_, true)) => continue,
            Some((proxy, false)) => (*proxy, "rebind", &mut moved),
            None if room.is_some_and(|room| new.proxy.len() as u64 >= room.room()) => {
                *fate = Fate::Settled(Err(JoinRefused::LimitReached));
                continue;
            }
            None => (work.next_id(), "join", &mut new),
        };
        columns.proxy.push(proxy);
        columns.token.push(token.uuid());
        columns.service.push(found.service.clone());
        columns.node_id.push(ask.node_id.clone());
        let after = json!({"service": found.service, "join_token": token});
        let change = Change {
            mesh: Some(mesh),
            revision: None,
            action,
            kind: "proxy",
            id: proxy,
            name: &ask.node_id,
            before: None,
            after: after.as_object(),
        };
        work.record_by(token.to_string(), &change);
        used.noted.insert(token);
        *fate = Fate::Settled(Ok(found.joined(&ask.held, proxy)?));
    }
    moved.rebind(work, mesh).await?;
    new.insert(work, mesh).await
}

/// Rows of `proxies`, as columns.
#[derive(Default)]
struct Columns {
    proxy: Vec<Uuid>,
    token: Vec<Uuid>,
    service: Vec<String>,
    node_id: Vec<String>,
}

impl Columns {
    async fn rebind(self, work: &mut Work, mesh: MeshId) -> Result<()> {
        if self.proxy.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "update heddle.proxies p set join_token_id = b.token \
             from unnest($2::uuid[], $3::uuid[]) as b (id, token) where p.mesh_id = $1 and p.id = b.id",
        )
        .bind(mesh.uuid())
        .bind(self.proxy)
        .bind(self.token)
        .execute(work.conn())
        .await?;
        Ok(())
    }

    async fn insert(self, work: &mut Work, mesh: MeshId) -> Result<()> {
        if self.proxy.is_empty() {
            return Ok(());
        }
        let (org, now) = (work.org(), work.now());
        sqlx::query(
            "insert into heddle.proxies (org_id, mesh_id, id, join_token_id, service, node_id, joined_at) \
             select $1, $2, b.id, b.token, b.service, b.node_id, $3 \
             from unnest($4::uuid[], $5::uuid[], $6::text[], $7::text[]) as b (id, token, service, node_id)",
        )
        .bind(org.uuid())
        .bind(mesh.uuid())
        .bind(now)
        .bind(self.proxy)
        .bind(self.token)
        .bind(self.service)
        .bind(self.node_id)
        .execute(work.conn())
        .await?;
        Ok(())
    }
}

/// Proxies of the same service and node id by other tokens, and whether they still hold it.
async fn namesakes(
    work: &mut Work,
    mesh: MeshId,
    asks: &[&Ask],
    fates: &[Fate],
) -> Result<BTreeMap<(String, String), (Uuid, bool)>> {
    let binding = asks.iter().zip(fates).filter_map(|(ask, fate)| match fate {
        Fate::Binds(found) => Some((found.service.clone(), ask.node_id.clone())),
        Fate::Settled(_) => None,
    });
    let (services, nodes): (Vec<String>, Vec<String>) = binding.unzip();
    if nodes.is_empty() {
        return Ok(BTreeMap::new());
    }
    let now = work.now();
    // An agent has no stream, and says by its watch that it is here.
    let sql = format!(
        "select p.service, p.node_id, p.id, \
                j.revoked_at is null and ({SEEN} or p.connected and coalesce(p.lease_until > $4, false) \
             and exists (select from heddle.replicas r where r.replica = p.replica and r.lease_until > now())) \
         from unnest($2::text[], $3::text[]) as b (service, node_id) \
         join heddle.proxies p on p.mesh_id = $1 and p.service = b.service and p.node_id = b.node_id \
         join heddle.join_tokens j on j.org_id = p.org_id and j.id = p.join_token_id {AGENTS} \
         order by p.id for no key update of p"
    );
    let rows: Vec<(String, String, Uuid, bool)> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(services)
        .bind(nodes)
        .bind(now)
        .fetch_all(work.conn())
        .await?;
    let of = |(service, node, proxy, held)| ((service, node), (proxy, held));
    Ok(rows.into_iter().map(of).collect())
}

/// Notes that tokens were used. Those that somebody is bound with are held already; of the others it is only a note, which is not worth
/// waiting for another server that waits for this one.
async fn touch(work: &mut Work, used: &BTreeSet<JoinTokenId>, now: DateTime<Utc>) -> Result<()> {
    let used: Vec<Uuid> = used.iter().map(|token| token.uuid()).collect();
    sqlx::query(
        "with mine as ( \
             select id from heddle.join_tokens where id = any($1) order by id for no key update skip locked) \
         update heddle.join_tokens j set first_used_at = coalesce(j.first_used_at, $2), last_used_at = $2 \
         from mine where j.id = mine.id",
    )
    .bind(used)
    .bind(now)
    .execute(work.conn())
    .await?;
    Ok(())
}
