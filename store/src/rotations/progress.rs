//! Whom a rotation waits for: counted from what proxies acknowledged and from the journal of what they were issued.

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::{MeshId, ProxyId};
use heddle_model::name::Name;
use uuid::Uuid;

use super::{Mode, RotationRow, State, What};
use crate::error::{Result, inconsistent};
use crate::proxies::{AGENTS, SEEN, STANDS, TABLE};
use crate::tx::{Tx, Work};

/// Where a proxy stands with the state that a rotation is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Waits {
    /// It refuses what it should have.
    Refused,
    /// It is connected and not as far yet.
    Pending,
    /// It is not connected, was not as far when it was, and has a leaf that is still good: it may be at work.
    Offline,
    /// It is not connected, and its leaf has ended: it is told everything when it comes back, and nobody waits for it.
    LeftBehind,
    /// It is as far.
    Ready,
}

impl Waits {
    /// The text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Pending => "pending",
            Self::Offline => "offline",
            Self::LeftBehind => "left_behind",
            Self::Ready => "ready",
        }
    }
}

/// How far a proxy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProgress {
    /// It.
    pub proxy: ProxyId,
    /// The service that it stands in front of.
    pub service: Name,
    /// What its Envoy calls itself.
    pub node_id: String,
    /// Where it stands.
    pub waits: Waits,
    /// When it is waited for no more, at the latest: then its leaf has ended.
    pub until: Option<DateTime<Utc>>,
}

/// How many proxies stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// [`Waits::Ready`].
    pub ready: u64,
    /// [`Waits::Pending`].
    pub pending: u64,
    /// [`Waits::Refused`].
    pub refused: u64,
    /// [`Waits::Offline`].
    pub offline: u64,
    /// [`Waits::LeftBehind`].
    pub left_behind: u64,
    /// Certificates that were asked for by the API and that the next step waits for: they are still good, and nobody says what their
    /// holders trust.
    pub certificates: u64,
    /// When the last of these ends.
    pub certificates_until: Option<DateTime<Utc>>,
    /// Those of all of them that the next step waits for.
    pub waiting_for: u64,
}

/// What opens the way to the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Nothing: nobody was told anything.
    Open,
    /// Everybody has the revision that its last step made.
    Revision {
        /// Whether those that are not connected are waited for.
        offline: bool,
    },
    /// Nobody holds a leaf of what gives way.
    Leaves {
        /// As above.
        offline: bool,
    },
}

impl Gate {
    fn of(rotation: &RotationRow) -> Self {
        let offline = rotation.mode == Mode::Planned;
        match (rotation.state, rotation.reversing) {
            (State::Prepared, _) => Self::Open,
            (State::Published, false) => Self::Revision {
                // Who knows the root needs to be told nothing. Who does not know the new one, and works on without a server,
                // would refuse everybody with a new leaf.
                offline: offline && rotation.what == What::Root,
            },
            // Nothing changes for proxies: it is their servers that have to know.
            (State::Active, _) => Self::Revision { offline: false },
            (State::Published, true) | (State::Retiring | State::Removed | State::Cancelled, _) => {
                Self::Leaves { offline }
            }
        }
    }

    const fn waits_for(self, waits: Waits) -> bool {
        match (self, waits) {
            (Self::Open, _) | (_, Waits::Ready | Waits::LeftBehind) => false,
            (_, Waits::Refused | Waits::Pending) => true,
            (Self::Revision { offline } | Self::Leaves { offline }, Waits::Offline) => offline,
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    service: String,
    node_id: String,
    connected: bool,
    stands: String,
    /// Whether it acknowledged what it should have, whatever revision that is of; and whether it refuses some of it.
    settled: bool,
    refuses: bool,
    /// Whether the leaf that it acknowledged last is one of what gives way, or older than the last one that it was issued by that; null
    /// when nothing is known.
    holds_old: Option<bool>,
    /// When the last of its leaves ends, and the last of those that what gives way signed.
    until: Option<DateTime<Utc>>,
    old_until: Option<DateTime<Utc>>,
    /// Whether it is an Envoy, or ever was one. All of the above is about that.
    envoy: bool,
    /// Whether it is an agent, which keeps its key and has no stream, or ever was one; whether that is at work, whether it trusts whom it
    /// should, and what it holds, as above.
    agent: bool,
    agent_seen: bool,
    agent_follows: bool,
    agent_holds_old: Option<bool>,
    agent_until: Option<DateTime<Utc>>,
    agent_old_until: Option<DateTime<Utc>>,
}

impl Row {
    /// Where it stands: who is an Envoy and an agent at once is as far as the one that is behind.
    fn waits(&self, gate: Gate) -> Result<Waits> {
        if !self.agent {
            return self.envoy_waits(gate);
        }
        let agent = self.agent_waits(gate);
        if !self.envoy {
            return Ok(agent);
        }
        Ok(match (self.envoy_waits(gate)?, agent) {
            // What has ended says nothing of the other.
            (Waits::LeftBehind, other) | (other, Waits::LeftBehind) => other,
            (envoy, agent) => envoy.min(agent),
        })
    }

    fn agent_waits(&self, gate: Gate) -> Waits {
        let (ready, until) = match gate {
            Gate::Open => (true, None),
            Gate::Revision { .. } => (self.agent_follows, self.agent_until),
            Gate::Leaves { .. } => {
                let holds_new = self.agent_holds_old == Some(false);
                let none_old = self.agent_old_until.is_none();
                let at_work = self.agent_seen || self.agent_until.is_some();
                (holds_new || none_old && at_work, self.agent_old_until)
            }
        };
        match (ready, self.agent_seen, until) {
            (true, ..) => Waits::Ready,
            (false, true, _) => Waits::Pending,
            (false, false, Some(_)) => Waits::Offline,
            (false, false, None) => Waits::LeftBehind,
        }
    }

    fn envoy_waits(&self, gate: Gate) -> Result<Waits> {
        Ok(match gate {
            Gate::Open => Waits::Ready,
            Gate::Revision { .. } => match self.stands.as_str() {
                "acked" => Waits::Ready,
                // The revision meant nothing to it. It may still be behind with an earlier one, and that with what the revision is about.
                "skipped" if self.settled => Waits::Ready,
                "skipped" if self.refuses => Waits::Refused,
                "skipped" => Waits::Pending,
                "nacked" => Waits::Refused,
                "pending" => Waits::Pending,
                "offline" if self.until.is_some() => Waits::Offline,
                "offline" => Waits::LeftBehind,
                other => return Err(inconsistent("proxies", "stands", self.id, other)),
            },
            Gate::Leaves { .. } => match (self.holds_old, self.old_until, self.connected) {
                (Some(false), _, _) => Waits::Ready,
                (_, None, false) if self.until.is_none() => Waits::LeftBehind,
                (_, None, _) => Waits::Ready,
                (_, Some(_), true) => Waits::Pending,
                (_, Some(_), false) => Waits::Offline,
            },
        })
    }

    fn until(&self, gate: Gate, waits: Waits) -> Option<DateTime<Utc>> {
        match (gate, waits) {
            (Gate::Leaves { .. }, Waits::Pending | Waits::Offline) => {
                self.old_until.max(self.agent_old_until)
            }
            (Gate::Revision { .. }, Waits::Offline) => self.until.max(self.agent_until),
            _ => None,
        }
    }
}

async fn rows(work: &mut Work, mesh: MeshId, rotation: &RotationRow) -> Result<Vec<Row>> {
    // What gives way: of a rotation that was turned round, what was new.
    let old = "(select a.id from heddle.authorities a where a.mesh_id = $1 and a.rotation_id = $3)";
    let holds_old = |serial: &str| {
        format!(
            "(select c.authority_id in {old} or coalesce(c.issued_at < l.old_issued, false) from heddle.certificates c \
             where c.mesh_id = $1 and c.serial = {serial})"
        )
    };
    let (envoy, agent) = (holds_old("p.leaf_serial"), holds_old("agents.serial"));
    // Of a proxy that is both, one may be gone for good while the other has new leaves: the one that is gone has none of these.
    let ever_envoy = "(p.connected or p.acked_revision is not null or p.leaf_serial is not null)";
    let of_envoy = "(agents.proxy_id is null or p.connected or coalesce(c.issued_at <= greatest(p.seen_at, p.away_since), true))";
    let of_agent = format!(
        "agents.proxy_id is not null and (not {ever_envoy} or c.issued_at <= agents.seen_at + interval '1 minute')"
    );
    let sql = format!(
        "select p.id, p.service, p.node_id, p.connected, {STANDS} as stands, \
                coalesce(p.acked_revision >= p.target_revision, false) and p.nacks = '[]' as settled, \
                p.nacks <> '[]' as refuses, \
                {envoy} as holds_old, l.until, l.old_until, {ever_envoy} as envoy, \
                agents.proxy_id is not null as agent, {SEEN} as agent_seen, \
                coalesce(agents.revision >= $2, false) as agent_follows, {agent} as agent_holds_old, l.agent_until, l.agent_old_until \
         from {TABLE} {AGENTS} \
         left join lateral ( \
             select max(c.not_after) filter (where {of_envoy}) as until, \
                    max(c.not_after) filter (where {of_envoy} and c.authority_id in {old}) as old_until, \
                    max(c.not_after) filter (where {of_agent}) as agent_until, \
                    max(c.not_after) filter (where {of_agent} and c.authority_id in {old}) as agent_old_until, \
                    max(c.issued_at) filter (where c.authority_id in {old}) as old_issued \
             from heddle.certificates c \
             where c.mesh_id = $1 and c.proxy_id = p.id and c.revoked_at is null and c.not_after > $4) l on true \
         where p.mesh_id = $1 order by p.service, p.node_id"
    );
    let now = work.now();
    let rows = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(rotation.revision.cast_signed())
        .bind(rotation.id.uuid())
        .bind(now)
        .fetch_all(work.conn())
        .await?;
    Ok(rows)
}

/// How many certificates that were asked for by the API are in the way of a step, and until when. Their holders say nothing, so what
/// they were given is what they have: a bundle from before the last step does not know the new root, and a leaf of what gives way is in
/// use until it ends.
async fn requested(
    work: &mut Work,
    mesh: MeshId,
    rotation: &RotationRow,
    gate: Gate,
) -> Result<(u64, Option<DateTime<Utc>>)> {
    // As a proxy that is not connected and may be at work.
    if !gate.waits_for(Waits::Offline) {
        return Ok((0, None));
    }
    let is_behind = match gate {
        Gate::Open => return Ok((0, None)),
        Gate::Revision { .. } => "r.revision < $3 and $4::uuid is not null",
        Gate::Leaves { .. } => {
            "$3::bigint is not null and c.authority_id in \
             (select a.id from heddle.authorities a where a.mesh_id = $1 and a.rotation_id = $4)"
        }
    };
    let sql = format!(
        "select count(*), max(r.not_after) from heddle.requested_certificates r \
         join heddle.certificates c on c.org_id = r.org_id and c.mesh_id = r.mesh_id and c.serial = r.serial \
         where r.mesh_id = $1 and r.not_after > $2 and c.revoked_at is null and {is_behind}"
    );
    let now = work.now();
    let (count, until): (i64, Option<DateTime<Utc>>) = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(now)
        .bind(rotation.revision.cast_signed())
        .bind(rotation.id.uuid())
        .fetch_one(work.conn())
        .await?;
    Ok((count.unsigned_abs(), until))
}

fn count(
    gate: Gate,
    rows: &[Row],
    (certificates, certificates_until): (u64, Option<DateTime<Utc>>),
) -> Result<Counts> {
    let mut counts = Counts {
        certificates,
        certificates_until,
        waiting_for: certificates,
        ..Counts::default()
    };
    for row in rows {
        let waits = row.waits(gate)?;
        counts.waiting_for += u64::from(gate.waits_for(waits));
        *match waits {
            Waits::Ready => &mut counts.ready,
            Waits::Pending => &mut counts.pending,
            Waits::Refused => &mut counts.refused,
            Waits::Offline => &mut counts.offline,
            Waits::LeftBehind => &mut counts.left_behind,
        } += 1;
    }
    Ok(counts)
}

/// How many proxies stand where.
pub(super) async fn counts(
    work: &mut Work,
    mesh: MeshId,
    rotation: &RotationRow,
) -> Result<Counts> {
    let gate = Gate::of(rotation);
    if gate == Gate::Open {
        return Ok(Counts::default());
    }
    let requested = requested(work, mesh, rotation, gate).await?;
    count(gate, &rows(work, mesh, rotation).await?, requested)
}

/// How many proxies stand where with the state that a rotation is in, and which: those that it waits for first, at most `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`], [`crate::Error::NotFound`] where the permission does not reach the
/// mesh.
pub async fn progress<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    rotation: &RotationRow,
    limit: usize,
) -> Result<(Counts, Vec<ProxyProgress>)> {
    tx.work.enter(mesh)?;
    let gate = Gate::of(rotation);
    let requested = requested(&mut tx.work, mesh, rotation, gate).await?;
    let rows = rows(&mut tx.work, mesh, rotation).await?;
    let counts = count(gate, &rows, requested)?;
    let mut proxies = Vec::with_capacity(rows.len());
    for row in rows {
        let proxy = ProxyId::from_uuid(row.id);
        let waits = row.waits(gate)?;
        let service = row.service.parse();
        proxies.push(ProxyProgress {
            proxy,
            service: service.map_err(|e| inconsistent("proxies", "service", proxy, e))?,
            until: row.until(gate, waits),
            node_id: row.node_id,
            waits,
        });
    }
    proxies.sort_by_key(|one| one.waits);
    proxies.truncate(limit);
    Ok((counts, proxies))
}
