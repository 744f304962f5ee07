//! Quotas: how much there is, how much there may be, and that it does not get more.
//!
//! Whoever adds something counts what there is under a lock of its transaction that stands for the quota, so that of any number at
//! once exactly as many get through as there is room for. The lock is taken late: after the mesh and the roles, before the ends of
//! the audit log, and nobody waits for either of the former while holding it. Of several, those that are taken are taken in one order.
//! Nothing that is there already is taken away by a limit.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::kind::Kind;
use heddle_model::quota::{Limit, Quota};

use crate::error::{Error, Result};
use crate::tx::{Tx, Work};

/// A limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// What there may be so many of.
    pub quota: Quota,
    /// How many.
    pub limit: u64,
    /// How many there are.
    pub used: u64,
    /// How many more were wanted.
    pub wanted: u64,
}

impl Reached {
    /// How many of those that were wanted there is room for.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// How much there is of something, and how much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaRow {
    /// What.
    pub quota: Quota,
    /// How many there are.
    pub used: u64,
    /// How many there may be.
    pub limit: Limit,
    /// Whether that was said for this organisation, and not for all.
    pub own: bool,
}

/// How many there are at `$1`.
const fn count(quota: Quota) -> &'static str {
    macro_rules! objects {
        ($kind:literal) => {
            concat!(
                "select count(*) from heddle.resources r join heddle.meshes m using (org_id, mesh_id) where r.kind = '",
                $kind,
                "' and r.to_revision is null and m.deleted_at is null"
            )
        };
    }
    match quota {
        Quota::Meshes => "select count(*) from heddle.meshes m where m.deleted_at is null",
        Quota::Profiles => objects!("profile"),
        Quota::Services => objects!("service"),
        Quota::Routes => objects!("route"),
        Quota::Splits => objects!("split"),
        Quota::AccessRules => objects!("access_rule"),
        Quota::Proxies => {
            "select count(*) from heddle.proxies p join heddle.meshes m using (org_id, mesh_id) where m.deleted_at is null"
        }
        Quota::JoinTokens => {
            "select count(*) from heddle.join_tokens j join heddle.meshes m using (org_id, mesh_id) \
             where j.revoked_at is null and (j.expires_at is null or j.expires_at > $1) and m.deleted_at is null"
        }
        Quota::Members => {
            "select (select count(*) from heddle.principals p where p.kind = 'member' and p.deleted_at is null) \
                  + (select count(*) from heddle.invitations i \
                     where i.accepted_at is null and i.withdrawn_at is null and i.expires_at > $1)"
        }
        Quota::ServiceAccounts => {
            "select count(*) from heddle.principals p where p.kind = 'service_account' and p.deleted_at is null"
        }
        Quota::Tokens => {
            "select count(*) from heddle.tokens t \
             where t.revoked_at is null and (t.expires_at is null or t.expires_at > $1)"
        }
        Quota::Webhooks => "select count(*) from heddle.webhooks",
        Quota::SsoConnections => "select count(*) from heddle.sso_connections",
        Quota::CertificatesPerDay => {
            "select coalesce((select u.amount from heddle.usage_days u \
                              where u.day = ($1 at time zone 'utc')::date and u.meter = 'requested_certificates'), 0)"
        }
    }
}

/// What there is room for, until the transaction ends; `None` when nothing limits it.
///
/// # Errors
/// [`Error::Unavailable`].
pub(crate) async fn room(work: &mut Work, quota: Quota) -> Result<Option<Reached>> {
    let (org, now) = (work.org().uuid().to_string(), work.now());
    sqlx::query("select pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'quota', $1::text, $2::text), 0))")
        .bind(org)
        .bind(quota.as_str())
        .execute(work.conn())
        .await?;
    // Only now, by a statement of its own: it sees what whoever held the lock before has committed.
    let all = work.store().quotas().limit(quota).number();
    let sql = format!(
        "with limits as ( \
             select case when exists (select from heddle.quotas q where q.quota = $2) \
                         then (select q.most from heddle.quotas q where q.quota = $2) else $3::bigint end as most) \
         select l.most, case when l.most is null then 0 else ({}) end from limits l",
        count(quota)
    );
    let (most, used): (Option<i64>, i64) = sqlx::query_as(&sql)
        .bind(now)
        .bind(quota.as_str())
        .bind(all.map(u64::cast_signed))
        .fetch_one(work.conn())
        .await?;
    Ok(most.map(|most| Reached {
        quota,
        limit: most.unsigned_abs(),
        used: used.unsigned_abs(),
        wanted: 0,
    }))
}

/// Lets so many more come, or nobody. Whoever gets an error must not commit.
///
/// # Errors
/// [`Error::LimitReached`], [`Error::Unavailable`].
pub(crate) async fn admit(work: &mut Work, quota: Quota, wanted: u64) -> Result<()> {
    let room = room(work, quota).await?;
    match room.filter(|room| room.room() < wanted) {
        None => Ok(()),
        Some(met) => Err(Error::LimitReached(vec![Reached { wanted, ..met }])),
    }
}

/// What becomes of an object, as far as a quota is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There is one more.
    Comes,
    /// There is one less.
    Goes,
}

/// Judges objects of a mesh that came and went in this transaction, all of them. Afterwards, so that whoever writes thousands keeps
/// nobody waiting while it does. Whoever gets an error must not commit.
///
/// # Errors
/// [`Error::LimitReached`], [`Error::Unavailable`].
pub(crate) async fn judge_objects(
    work: &mut Work,
    turns: impl Iterator<Item = (Kind, Turn)>,
) -> Result<()> {
    let mut more: BTreeMap<Quota, i64> = BTreeMap::new();
    for (kind, turn) in turns {
        *more.entry(Quota::of_kind(kind)).or_default() += match turn {
            Turn::Comes => 1,
            Turn::Goes => -1,
        };
    }
    let mut reached = Vec::new();
    for (quota, more) in more {
        let Some(wanted) = u64::try_from(more).ok().filter(|more| *more > 0) else {
            continue;
        };
        // What came is counted already.
        let room = room(work, quota).await?;
        let met = room.filter(|room| room.used > room.limit);
        reached.extend(met.map(|room| Reached {
            used: room.used.saturating_sub(wanted),
            wanted,
            ..room
        }));
    }
    match reached.is_empty() {
        true => Ok(()),
        false => Err(Error::LimitReached(reached)),
    }
}

/// Everything that is limited.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn all<P: Permission>(tx: &mut Tx<P>) -> Result<Vec<QuotaRow>> {
    select(&mut tx.work).await
}

pub(crate) async fn select(work: &mut Work) -> Result<Vec<QuotaRow>> {
    let counts: Vec<String> = Quota::ALL
        .iter()
        .map(|quota| format!("({})", count(*quota)))
        .collect();
    let sql = format!(
        "select a.used, q.quota is not null as own, q.most \
         from unnest(array[{}]::bigint[], $2::text[]) with ordinality as a (used, quota, nth) \
         left join heddle.quotas q on q.quota = a.quota order by a.nth",
        counts.join(", ")
    );
    let now: DateTime<Utc> = work.now();
    let names: Vec<&str> = Quota::ALL.iter().map(|quota| quota.as_str()).collect();
    let rows: Vec<(i64, bool, Option<i64>)> = sqlx::query_as(&sql)
        .bind(now)
        .bind(names)
        .fetch_all(work.conn())
        .await?;
    let of_all = work.store().quotas();
    let row = |(quota, (used, own, most)): (&Quota, (i64, bool, Option<i64>))| QuotaRow {
        quota: *quota,
        used: used.unsigned_abs(),
        limit: match own {
            true => most.map(i64::unsigned_abs).into(),
            false => of_all.limit(*quota),
        },
        own,
    };
    Ok(Quota::ALL.iter().zip(rows).map(row).collect())
}

/// Says how many of something the organisation may have; `None`: as many as others.
///
/// # Errors
/// [`Error::Unavailable`].
pub(crate) async fn set(work: &mut Work, quota: Quota, limit: Option<Limit>) -> Result<()> {
    let (org, now) = (work.org().uuid(), work.now());
    let query = match limit {
        None => sqlx::query("delete from heddle.quotas where quota = $1").bind(quota.as_str()),
        Some(limit) => sqlx::query(
            "insert into heddle.quotas (quota, org_id, most, set_at) values ($1, $2, $3, $4) \
             on conflict (org_id, quota) do update set most = excluded.most, set_at = excluded.set_at",
        )
        .bind(quota.as_str())
        .bind(org)
        .bind(limit.number().map(u64::cast_signed))
        .bind(now),
    };
    query.execute(work.conn()).await?;
    Ok(())
}
