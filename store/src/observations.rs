//! What proxies report of the requests that they take: who calls in plain text, and whom a rule that only reports would refuse. Counted
//! by the day; soft state that costs no revision, and of which some may be lost.

mod read;

use chrono::TimeDelta;
use heddle_model::id::{AccessRuleId, OrgId, ProxyId};
use heddle_model::name::Name;
use uuid::Uuid;

use crate::authz::MeshRef;
use crate::error::{Result, inconsistent};
use crate::revocations::OF_PROXY;
use crate::store::Store;
use crate::tx::Mode;

pub use read::{Gone, Observer, Seen, called, gone, observers, seen};

/// How many callers of a port, or of a rule at a port, are told apart a day. The rest counts as one.
pub const CALLERS: i64 = 100;
/// For how long it is remembered.
pub const REMEMBER: TimeDelta = TimeDelta::days(30);
/// Whoever was not heard for so long has a gap: proxies are to say every three minutes that they would report.
pub const GAP: TimeDelta = TimeDelta::minutes(4);
/// For so long after a port was `off`, calls of it count as calls of then: they were under way, or their callers had not been told yet.
pub const SETTLING: TimeDelta = TimeDelta::minutes(5);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Plain text at a port that is `permissive`.
    Permissive,
    /// Plain text at a port that is `off`.
    Off,
    /// What this access rule would have refused.
    Rule(AccessRuleId),
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Permissive => "permissive",
            Self::Off => "off",
            Self::Rule(_) => "rule",
        }
    }

    fn rule(self) -> Uuid {
        match self {
            Self::Rule(rule) => rule.uuid(),
            Self::Permissive | Self::Off => Uuid::nil(),
        }
    }

    fn of(what: &str, rule: Uuid) -> Option<Self> {
        match what {
            "permissive" => Some(Self::Permissive),
            "off" => Some(Self::Off),
            "rule" => Some(Self::Rule(AccessRuleId::from_uuid(rule))),
            _ => None,
        }
    }
}

/// Calls of one caller. No two of a batch have all but the numbers in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The service that was called.
    pub service: Name,
    /// Its port.
    pub port: Name,
    /// What is counted.
    pub what: What,
    /// An address or a SPIFFE id.
    pub caller: String,
    /// How many requests; none for one that has not ended.
    pub requests: u64,
    /// How many of them were refused whatever the mode.
    pub refused: u64,
}

/// Whoever has the key of a certificate of the mesh, by its row in the journal: the proxy and its service. Nobody when it is revoked,
/// has ended, or was issued to a proxy that is not there any more.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn reporter(
    store: &Store,
    mesh: &MeshRef,
    serial: &str,
    tbs_sha256: &str,
) -> Result<Option<(ProxyId, Name)>> {
    let mut work = store.work(mesh.org(), "xds", Mode::Read).await?;
    let now = work.now();
    let sql = format!(
        "select p.id, p.service from heddle.certificates c \
         join heddle.proxies p on p.org_id = c.org_id and p.mesh_id = c.mesh_id and p.id = c.proxy_id \
                              and p.service = c.service \
         where c.mesh_id = $1 and c.serial = $2 and c.tbs_sha256 = $3 and c.revoked_at is null \
           and c.not_before <= $4 and c.not_after > $4 and not {OF_PROXY}"
    );
    let row: Option<(Uuid, String)> = sqlx::query_as(&sql)
        .bind(mesh.mesh().uuid())
        .bind(serial)
        .bind(tbs_sha256)
        .bind(now)
        .fetch_optional(work.conn())
        .await?;
    let named = |(id, service): (Uuid, String)| {
        let id = ProxyId::from_uuid(id);
        let service = service.parse();
        let service = service.map_err(|error| inconsistent("proxies", "service", id, error))?;
        Ok((id, service))
    };
    row.map(named).transpose()
}

/// Which proxies were heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Those that were.
    pub proxies: Vec<ProxyId>,
    /// Those that have told of something which is not counted: they are heard anew from now on.
    pub with_loss: Vec<ProxyId>,
}

/// Adds what was counted to the counts of today, and notes which proxies were heard. A call in plain text counts by the mode that its
/// port has now, or had a moment ago, whichever of the two it is given as: proxies need not know. What is about a port or rule that the
/// mesh does not have (any more) is passed over.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn keep(
    store: &Store,
    mesh: &MeshRef,
    observations: &[Observation],
    heard: &Heard,
) -> Result<()> {
    fn column<'a, T>(observations: &'a [Observation], of: impl Fn(&'a Observation) -> T) -> Vec<T> {
        observations.iter().map(of).collect()
    }
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let uuids = |proxies: &[ProxyId]| proxies.iter().map(|proxy| proxy.uuid()).collect();
    let (proxies, with_loss): (Vec<Uuid>, Vec<Uuid>) =
        (uuids(&heard.proxies), uuids(&heard.with_loss));
    let mut work = store.work(mesh.org(), "xds", Mode::Soft).await?;
    let now = work.now();
    sqlx::query(
        "insert into heddle.observers (org_id, mesh_id, proxy_id, service, since, heard_at) \
         select p.org_id, p.mesh_id, p.id, p.service, $3, $3 from heddle.proxies p \
         where p.mesh_id = $1 and p.id = any($2) order by p.id \
         on conflict (org_id, mesh_id, proxy_id) do update set \
             since = case when observers.heard_at < excluded.heard_at - $4 or observers.service <> excluded.service \
                          then excluded.since else observers.since end, \
             heard_at = greatest(observers.heard_at, excluded.heard_at), service = excluded.service",
    )
    .bind(mesh.mesh().uuid())
    .bind(&proxies)
    .bind(now)
    .bind(GAP)
    .execute(work.conn())
    .await?;
    if !with_loss.is_empty() {
        sqlx::query(
            "update heddle.observers set since = $3 where mesh_id = $1 and proxy_id = any($2)",
        )
        .bind(mesh.mesh().uuid())
        .bind(&with_loss)
        .bind(now)
        .execute(work.conn())
        .await?;
    }
    // In the order of the key, as every server writes them: two that write the same wait for each other and do not block each other.
    sqlx::query(
        "with lately as ( \
             select r.id, r.kind, r.name, r.spec from heddle.resources r where r.mesh_id = $2 and r.id = $2 and r.to_revision is null \
             union all \
             select r.id, r.kind, r.name, r.spec from heddle.resources r \
             where r.mesh_id = $2 and r.kind = 'service' and r.name = any($4) and r.to_revision is null \
             union all \
             select r.id, r.kind, r.name, r.spec from heddle.resources r \
             where r.mesh_id = $2 and (r.id = $2 or r.kind = 'service' and r.name = any($4)) \
               and r.to_revision > (select coalesce(max(v.revision), 0) from heddle.revisions v \
                                    where v.mesh_id = $2 and v.created_at <= $13)), \
         given as ( \
             select g.service, g.port, g.rule, g.caller, g.requests, g.refused, \
                    case when g.what = 'rule' then g.what \
                         when exists ( \
                             select from lately r \
                             cross join lateral jsonb_array_elements(r.spec -> 'ports') as p (port) \
                             left join lately m on m.id = $2 \
                             where r.kind = 'service' and r.name = g.service and p.port ->> 'name' = g.port \
                               and coalesce(p.port ->> 'mtls', r.spec ->> 'mtls', m.spec ->> 'mtls') = 'off') then 'off' \
                         else 'permissive' end as what \
             from unnest($4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::bigint[], $10::bigint[]) \
                 as g (service, port, what, rule, caller, requests, refused) \
             join heddle.resources r \
               on r.mesh_id = $2 and r.kind = 'service' and r.name = g.service and r.to_revision is null \
             join lateral jsonb_array_elements(r.spec -> 'ports') as p (port) on p.port ->> 'name' = g.port), \
         known as ( \
             select g.*, exists ( \
                 select from heddle.observations o \
                 where o.mesh_id = $2 and o.day = $3 and o.service = g.service and o.port = g.port and o.what = g.what \
                   and o.rule = g.rule and o.caller = g.caller) as seen \
             from given g \
             where (g.what <> 'rule' or exists ( \
                     select from heddle.resources r \
                     where r.mesh_id = $2 and r.id = g.rule and r.kind = 'access_rule' and r.to_revision is null))), \
         ranked as ( \
             select k.*, row_number() over (partition by k.service, k.port, k.what, k.rule, k.seen order by k.caller) as place, \
                    (select count(*) from heddle.observations o \
                     where o.mesh_id = $2 and o.day = $3 and o.service = k.service and o.port = k.port and o.what = k.what \
                       and o.rule = k.rule and o.caller <> '') as others \
             from known k), \
         placed as ( \
             select r.service, r.port, r.what, r.rule, r.requests, r.refused, \
                    case when r.seen or r.others + r.place <= $11 then r.caller else '' end as caller \
             from ranked r) \
         insert into heddle.observations (org_id, mesh_id, day, service, port, what, rule, caller, requests, refused, \
                                          first_seen, last_seen) \
         select $1, $2, $3, p.service, p.port, p.what, p.rule, p.caller, sum(p.requests)::bigint, sum(p.refused)::bigint, \
                $12, $12 \
         from placed p group by p.service, p.port, p.what, p.rule, p.caller \
         order by p.service, p.port, p.what, p.rule, p.caller \
         on conflict (org_id, mesh_id, service, day, port, what, rule, caller) do update set \
             requests = observations.requests + excluded.requests, refused = observations.refused + excluded.refused, \
             last_seen = greatest(observations.last_seen, excluded.last_seen)",
    )
    .bind(mesh.org().uuid())
    .bind(mesh.mesh().uuid())
    .bind(now.date_naive())
    .bind(column(observations, |o| o.service.as_str()))
    .bind(column(observations, |o| o.port.as_str()))
    .bind(column(observations, |o| o.what.as_str()))
    .bind(column(observations, |o| o.what.rule()))
    .bind(column(observations, |o| o.caller.as_str()))
    .bind(column(observations, |o| count(o.requests)))
    .bind(column(observations, |o| count(o.refused)))
    .bind(CALLERS)
    .bind(now)
    .bind(now - SETTLING)
    .execute(work.conn())
    .await?;
    work.commit().await?;
    Ok(())
}

/// Forgets what an organisation has of a time that is not remembered any more. Returns how many rows that were.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn forget(store: &Store, org: OrgId) -> Result<u64> {
    let mut work = store.work(org, "xds", Mode::Soft).await?;
    let before = work.now() - REMEMBER;
    let counts = sqlx::query("delete from heddle.observations where day < $1")
        .bind(before.date_naive())
        .execute(work.conn())
        .await?;
    let observers = sqlx::query("delete from heddle.observers where heard_at < $1")
        .bind(before)
        .execute(work.conn())
        .await?;
    work.commit().await?;
    Ok(counts.rows_affected() + observers.rows_affected())
}
