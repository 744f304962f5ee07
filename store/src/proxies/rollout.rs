//! How far a revision has come: counted from what proxies have acknowledged.

use heddle_model::authz::permission::ProxyRead;
use heddle_model::id::MeshId;
use sqlx::{FromRow as _, Row as _};

use super::{COLUMNS, OF_PROXY, ProxyRow, Row, TABLE};
use crate::error::{Result, inconsistent};
use crate::tx::Tx;

/// Where a proxy stands with a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// It has acknowledged everything up to it.
    Acked,
    /// It is connected, and the revision changed nothing of what it should have.
    Skipped,
    /// It is connected, and has not acknowledged everything yet.
    Pending,
    /// It refuses something of what it should have.
    Nacked,
    /// It was not as far when it was connected last.
    Offline,
}

/// How many proxies stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// [`Stands::Acked`].
    pub acked: u64,
    /// [`Stands::Skipped`].
    pub skipped: u64,
    /// [`Stands::Pending`].
    pub pending: u64,
    /// [`Stands::Nacked`].
    pub nacked: u64,
    /// [`Stands::Offline`].
    pub offline: u64,
    /// Those of them that take no calls any more: nobody waits for them.
    pub gone: u64,
}

impl Counts {
    /// Every proxy of the mesh.
    #[must_use]
    pub const fn target(&self) -> u64 {
        self.acked + self.skipped + self.pending + self.nacked + self.offline
    }

    /// Those that others wait for.
    #[must_use]
    pub const fn holding_up(&self) -> u64 {
        self.pending + self.nacked + self.offline - self.gone
    }
}

/// How far a revision has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// How many proxies stand where.
    pub counts: Counts,
    /// The first of those that hold it up, those that refuse something before the others.
    pub held_up_by: Vec<(ProxyRow, Stands)>,
}

/// A proxy's server offers what a revision changes to everybody whom it concerns, and says so only then. So who is connected there
/// and should have nothing that is newer was not concerned.
pub(crate) const STANDS: &str = "case \
     when not p.connected then case when p.acked_revision >= $2 then 'acked' else 'offline' end \
     when p.target_revision < $2 and r.revision >= $2 then 'skipped' \
     when p.acked_revision >= $2 or (p.acked_revision >= p.target_revision and r.revision >= $2) then 'acked' \
     when p.target_revision >= $2 and p.nacks <> '[]' then 'nacked' \
     else 'pending' end";

fn stands(text: &str, row: impl std::fmt::Display) -> Result<Stands> {
    Ok(match text {
        "acked" => Stands::Acked,
        "skipped" => Stands::Skipped,
        "pending" => Stands::Pending,
        "nacked" => Stands::Nacked,
        "offline" => Stands::Offline,
        _ => return Err(inconsistent("proxies", "stands", row, text)),
    })
}

/// How far `revision` has come, naming at most `limit` of those that hold it up.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`].
pub async fn rollout(
    tx: &mut Tx<ProxyRead>,
    mesh: MeshId,
    revision: u64,
    limit: u32,
) -> Result<Rollout> {
    let counts = counts(tx, mesh, revision).await?;
    let mut held_up_by = Vec::new();
    if counts.holding_up() > 0 {
        let sql = format!(
            "select s.* from (select {COLUMNS}, {OF_PROXY} as revoked, {STANDS} as stands from {TABLE} where p.mesh_id = $1) s \
             where s.stands in ('nacked', 'pending') or (s.stands = 'offline' and s.address is not null) \
             order by array_position(array['nacked', 'pending', 'offline'], s.stands), s.service, s.node_id limit $3"
        );
        let rows = sqlx::query(&sql)
            .bind(mesh.uuid())
            .bind(revision.cast_signed())
            .bind(i64::from(limit))
            .fetch_all(tx.work.conn())
            .await?;
        for row in rows {
            let proxy = ProxyRow::try_from(Row::from_row(&row)?)?;
            let stands = stands(row.try_get("stands")?, proxy.id)?;
            held_up_by.push((proxy, stands));
        }
    }
    Ok(Rollout { counts, held_up_by })
}

/// The counts alone.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`].
pub async fn counts(tx: &mut Tx<ProxyRead>, mesh: MeshId, revision: u64) -> Result<Counts> {
    tx.work.enter(mesh)?;
    let sql = format!(
        "select s.stands, count(*), count(*) filter (where s.unregistered) \
         from (select {STANDS} as stands, p.address is null as unregistered from {TABLE} where p.mesh_id = $1) s \
         group by s.stands"
    );
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(revision.cast_signed())
        .fetch_all(tx.work.conn())
        .await?;
    let mut counts = Counts::default();
    for (text, count, unregistered) in rows {
        let count = count.unsigned_abs();
        match stands(&text, mesh)? {
            Stands::Acked => counts.acked = count,
            Stands::Skipped => counts.skipped = count,
            Stands::Pending => counts.pending = count,
            Stands::Nacked => counts.nacked = count,
            Stands::Offline => {
                counts.offline = count;
                counts.gone = unregistered.unsigned_abs();
            }
        }
    }
    Ok(counts)
}
