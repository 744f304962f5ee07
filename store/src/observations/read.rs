//! What was counted, and who counts.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::{MeshId, ProxyId};
use heddle_model::name::Name;
use uuid::Uuid;

use super::What;
use crate::error::{Result, inconsistent};
use crate::tx::Tx;

/// The most callers that one question is answered with, and of one port and one thing that was counted there. Those whose calls are let in
/// come first, and of every port the first ones: a busy one hides no other.
const LISTED: i64 = 5000;
const LISTED_OF_PORT: i64 = 1000;

/// What was counted of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The service that was called.
    pub service: Name,
    /// Its port.
    pub port: Name,
    /// What was counted.
    pub what: What,
    /// An address or a SPIFFE id; `None`: all that came after so many others.
    pub caller: Option<String>,
    /// Services with a proxy at that address.
    pub probably: Vec<Name>,
    /// How many requests there were at least, on the days from the first on.
    pub requests: u64,
    /// How many of them were refused whatever the mode.
    pub refused: u64,
    /// When it was seen first on those days.
    pub first_seen: DateTime<Utc>,
    /// And last.
    pub last_seen: DateTime<Utc>,
}

impl Seen {
    /// Whether some call of it was let in; one that has not ended was.
    #[must_use]
    pub const fn gets_in(&self) -> bool {
        self.requests == 0 || self.requests > self.refused
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    service: String,
    port: String,
    what: String,
    rule: Uuid,
    caller: String,
    probably: Vec<String>,
    requests: i64,
    refused: i64,
    first_seen: DateTime<Utc>,
    last_seen: DateTime<Utc>,
}

/// Who was seen since some moment, those with most requests first; of one service, or of all.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`], [`crate::Error::NotFound`] where the permission does not reach the
/// mesh.
pub async fn seen<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    service: Option<&Name>,
    since: DateTime<Utc>,
) -> Result<Vec<Seen>> {
    tx.work.enter(mesh)?;
    let rows: Vec<Row> = sqlx::query_as(
        "select o.service, o.port, o.what, o.rule, o.caller, \
                array(select distinct p.service from heddle.proxies p \
                      where p.mesh_id = $1 and p.address is not null and host(p.address) = o.caller \
                      order by p.service limit 5) as probably, \
                o.requests, o.refused, o.first_seen, o.last_seen \
         from (select c.*, row_number() over ( \
                          partition by c.service, c.port, c.what, c.rule \
                          order by (c.requests = 0 or c.requests > c.refused) desc, c.requests desc, c.caller) as place \
               from (select o.service, o.port, o.what, o.rule, o.caller, sum(o.requests)::bigint as requests, \
                            sum(o.refused)::bigint as refused, min(o.first_seen) as first_seen, max(o.last_seen) as last_seen \
                     from heddle.observations o \
                     where o.mesh_id = $1 and ($2::text is null or o.service = $2) and o.day >= $3 and o.last_seen >= $4 \
                     group by o.service, o.port, o.what, o.rule, o.caller) c \
               order by place, c.service, c.port, c.what, c.rule limit $5) o \
         where o.place <= $6 \
         order by o.requests desc, o.service, o.port, o.what, o.rule, o.caller",
    )
    .bind(mesh.uuid())
    .bind(service.map(Name::as_str))
    .bind(since.date_naive())
    .bind(since)
    .bind(LISTED)
    .bind(LISTED_OF_PORT)
    .fetch_all(tx.work.conn())
    .await?;
    rows.into_iter().map(|row| read(mesh, row)).collect()
}

/// Those services of which something was counted since some moment.
///
/// # Errors
/// As [`seen`].
pub async fn called<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    since: DateTime<Utc>,
) -> Result<BTreeSet<Name>> {
    tx.work.enter(mesh)?;
    let names: Vec<String> = sqlx::query_scalar(
        "select distinct o.service from heddle.observations o where o.mesh_id = $1 and o.day >= $2 and o.last_seen >= $3",
    )
    .bind(mesh.uuid())
    .bind(since.date_naive())
    .bind(since)
    .fetch_all(tx.work.conn())
    .await?;
    let read = |name: String| {
        let read = name.parse::<Name>();
        read.map_err(|error| inconsistent("observations", "service", mesh, error))
    };
    names.into_iter().map(read).collect()
}

fn read(mesh: MeshId, row: Row) -> Result<Seen> {
    let name = |column, text: &str| {
        let name = text.parse::<Name>();
        name.map_err(|error| inconsistent("observations", column, mesh, error))
    };
    let what = What::of(&row.what, row.rule);
    let unknown = || inconsistent("observations", "what", mesh, "nothing that is counted");
    let probably = row.probably.iter();
    Ok(Seen {
        service: name("service", &row.service)?,
        port: name("port", &row.port)?,
        what: what.ok_or_else(unknown)?,
        caller: Some(row.caller).filter(|caller| !caller.is_empty()),
        probably: probably
            .map(|service| name("probably", service))
            .collect::<Result<_>>()?,
        requests: row.requests.unsigned_abs(),
        refused: row.refused.unsigned_abs(),
        first_seen: row.first_seen,
        last_seen: row.last_seen,
    })
}

/// A proxy, and whether it would report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observer {
    /// It.
    pub proxy: ProxyId,
    /// What its Envoy calls itself.
    pub node_id: String,
    /// The service that it stands in front of.
    pub service: Name,
    /// Whether it has a stream.
    pub connected: bool,
    /// Whether it has listeners of its own: it keeps them beside what it gets, or it is no Envoy at all.
    pub apart: bool,
    /// Whether it refuses a listener, so that what it takes calls with is not what would tell.
    pub refuses_listener: bool,
    /// When it joined first.
    pub joined_at: DateTime<Utc>,
    /// Since when it has been heard without a gap, and when it was heard last.
    pub heard: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// The proxies of one service, or of all, by service and name.
///
/// # Errors
/// As [`seen`].
pub async fn observers<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    service: Option<&Name>,
) -> Result<Vec<Observer>> {
    type Row = (
        Uuid,
        String,
        String,
        bool,
        bool,
        bool,
        DateTime<Utc>,
        Option<DateTime<Utc>>,
        Option<DateTime<Utc>>,
    );
    tx.work.enter(mesh)?;
    let rows: Vec<Row> = sqlx::query_as(
        "select p.id, p.node_id, p.service, p.connected, \
                p.augments or (p.setup is null and g.proxy_id is not null), \
                p.nacks @> '[{\"type\": \"LDS\"}]', p.joined_at, o.since, o.heard_at \
         from heddle.proxies p \
         left join heddle.observers o on o.org_id = p.org_id and o.mesh_id = p.mesh_id and o.proxy_id = p.id \
         left join heddle.agents g on g.org_id = p.org_id and g.mesh_id = p.mesh_id and g.proxy_id = p.id \
         where p.mesh_id = $1 and ($2::text is null or p.service = $2) order by p.service, p.node_id",
    )
    .bind(mesh.uuid())
    .bind(service.map(Name::as_str))
    .fetch_all(tx.work.conn())
    .await?;
    let observer = |(
        id,
        node_id,
        service,
        connected,
        apart,
        refuses_listener,
        joined_at,
        since,
        heard,
    ): Row| {
        let proxy = ProxyId::from_uuid(id);
        let service = service.parse::<Name>();
        Ok(Observer {
            proxy,
            node_id,
            service: service.map_err(|error| inconsistent("proxies", "service", proxy, error))?,
            connected,
            apart,
            refuses_listener,
            joined_at,
            heard: since.zip(heard),
        })
    };
    rows.into_iter().map(observer).collect()
}

/// A proxy that was heard, and is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The service that it stood in front of.
    pub service: Name,
    /// Since when it was heard without a gap.
    pub since: DateTime<Utc>,
    /// When it was heard last.
    pub heard_at: DateTime<Utc>,
}

/// Those that were heard after some moment and have been forgotten, of one service or of all.
///
/// # Errors
/// As [`seen`].
pub async fn gone<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    service: Option<&Name>,
    since: DateTime<Utc>,
) -> Result<Vec<Gone>> {
    tx.work.enter(mesh)?;
    let rows: Vec<(String, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "select o.service, o.since, o.heard_at from heddle.observers o \
         where o.mesh_id = $1 and o.service is not null and ($2::text is null or o.service = $2) and o.heard_at >= $3 \
           and not exists (select from heddle.proxies p \
                           where p.org_id = o.org_id and p.mesh_id = o.mesh_id and p.id = o.proxy_id and p.service = o.service) \
         order by o.since",
    )
    .bind(mesh.uuid())
    .bind(service.map(Name::as_str))
    .bind(since)
    .fetch_all(tx.work.conn())
    .await?;
    let gone = |(service, since, heard_at): (String, _, _)| {
        let service = service.parse::<Name>();
        Ok(Gone {
            service: service.map_err(|error| inconsistent("observers", "service", mesh, error))?,
            since,
            heard_at,
        })
    };
    rows.into_iter().map(gone).collect()
}
