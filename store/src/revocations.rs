//! Revoked identities: a proxy, or a service with all of its proxies. Whoever is revoked does not join, has no stream and gets no
//! certificate; a revoked service is also refused by whom it calls.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::ProxyWrite;
use heddle_model::id::{MeshId, ProxyId, RevocationId};
use heddle_model::name::Name;
use serde_json::json;
use uuid::Uuid;

use crate::error::{Error, Result, inconsistent};
use crate::tx::{Change, Tx, Work};

/// Whether the proxy of the row `p` is revoked, alone or with its service.
pub(crate) const OF_PROXY: &str = "exists (select from heddle.revocations v \
     where v.org_id = p.org_id and v.mesh_id = p.mesh_id and v.service = p.service \
       and (v.node_id is null or v.node_id = p.node_id) and v.lifted_at is null)";

/// Whether whoever joins with the token of the row `j` as the node of the row `a` is revoked.
pub(crate) const OF_JOIN: &str = "exists (select from heddle.revocations v \
     where v.org_id = j.org_id and v.mesh_id = j.mesh_id and v.service = j.service \
       and (v.node_id is null or v.node_id = a.node_id) and v.lifted_at is null)";

/// Which identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// One proxy of the service.
    Proxy {
        /// It, as it was when it was revoked.
        id: ProxyId,
        /// What its Envoy calls itself: whoever joins the service under this name is refused.
        node_id: String,
    },
    /// The service, with all of its proxies.
    Service,
}

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationRow {
    /// Its identifier.
    pub id: RevocationId,
    /// The service that is revoked, or that the proxy is of.
    pub service: Name,
    /// Which of the two.
    pub revoked: Revoked,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// Until when, and by whom it was lifted.
    pub lifted: Option<(DateTime<Utc>, String)>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    service: String,
    node_id: Option<String>,
    proxy_id: Option<Uuid>,
    reason: String,
    created_at: DateTime<Utc>,
    created_by: String,
    lifted_at: Option<DateTime<Utc>>,
    lifted_by: Option<String>,
}

const COLUMNS: &str = "v.id, v.service, v.node_id, v.proxy_id, v.reason, v.created_at, v.created_by, v.lifted_at, v.lifted_by";

impl TryFrom<Row> for RevocationRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = RevocationId::from_uuid(row.id);
        let revoked = match (row.proxy_id, row.node_id) {
            (Some(proxy), Some(node_id)) => Revoked::Proxy {
                id: ProxyId::from_uuid(proxy),
                node_id,
            },
            _ => Revoked::Service,
        };
        Ok(Self {
            id,
            service: row
                .service
                .parse()
                .map_err(|e| inconsistent("revocations", "service", id, e))?,
            revoked,
            reason: row.reason,
            created_at: row.created_at,
            created_by: row.created_by,
            lifted: row.lifted_at.zip(row.lifted_by),
        })
    }
}

/// Revokes an identity: from the commit on it does not join and gets no certificate, and those that it has count as revoked. That
/// the service or proxy exists is the caller's to check. A service's revocation is a revision of the mesh: its callees refuse it.
///
/// # Errors
/// [`Error::NotFound`] without such a mesh, [`Error::AlreadyExists`] with `revocations_key`, [`Error::NulCharacter`],
/// [`Error::Unavailable`].
pub async fn create(
    tx: &mut Tx<ProxyWrite>,
    mesh: MeshId,
    service: &Name,
    revoked: &Revoked,
    reason: &str,
) -> Result<RevocationRow> {
    let work = &mut tx.work;
    work.lock(mesh).await?;
    let (proxy, node) = match revoked {
        Revoked::Proxy { id, node_id } => (Some(*id), Some(node_id.as_str())),
        Revoked::Service => (None, None),
    };
    let revision = match revoked {
        Revoked::Service => Some(work.bump(mesh).await?),
        Revoked::Proxy { .. } => None,
    };
    let row = RevocationRow {
        id: RevocationId::from_uuid(work.next_id()),
        service: service.clone(),
        revoked: revoked.clone(),
        reason: reason.to_owned(),
        created_at: work.now(),
        created_by: work.actor().to_owned(),
        lifted: None,
    };
    let query = sqlx::query(
        "insert into heddle.revocations (org_id, mesh_id, id, service, node_id, proxy_id, reason, created_at, \
                                         created_by, from_revision) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(work.org().uuid())
    .bind(mesh.uuid())
    .bind(row.id.uuid())
    .bind(service.as_str())
    .bind(node)
    .bind(proxy.map(ProxyId::uuid))
    .bind(reason)
    .bind(row.created_at)
    .bind(&row.created_by)
    .bind(revision.map(u64::cast_signed));
    query.execute(work.conn()).await?;
    mark(work, mesh, &row).await?;
    record(work, mesh, "revoke", &row, revision).await?;
    Ok(row)
}

/// Lifts a revocation: the identity may join again, and gets new certificates. The old ones stay revoked.
///
/// # Errors
/// [`Error::NotFound`], also when it is lifted already; [`Error::Unavailable`].
pub async fn lift(tx: &mut Tx<ProxyWrite>, mesh: MeshId, id: RevocationId) -> Result<()> {
    let found = find(tx, mesh, id).await?;
    let row = found
        .filter(|row| row.lifted.is_none())
        .ok_or(Error::NotFound)?;
    let work = &mut tx.work;
    work.lock(mesh).await?;
    let revision = match row.revoked {
        Revoked::Service => Some(work.bump(mesh).await?),
        Revoked::Proxy { .. } => None,
    };
    let query = sqlx::query(
        "update heddle.revocations set lifted_at = $3, lifted_by = $4, to_revision = $5 \
         where mesh_id = $1 and id = $2 and lifted_at is null",
    )
    .bind(mesh.uuid())
    .bind(id.uuid())
    .bind(work.now())
    .bind(work.actor().to_owned())
    .bind(revision.map(u64::cast_signed));
    if query.execute(work.conn()).await?.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    // One that was being issued in the very moment of the revocation.
    mark(work, mesh, &row).await?;
    record(work, mesh, "lift", &row, revision).await
}

/// Marks every certificate of the identity as revoked.
async fn mark(work: &mut Work, mesh: MeshId, row: &RevocationRow) -> Result<()> {
    let proxy = match &row.revoked {
        Revoked::Proxy { id, .. } => Some(id.uuid()),
        Revoked::Service => None,
    };
    let now = work.now();
    sqlx::query(
        "update heddle.certificates set revoked_at = $4 \
         where mesh_id = $1 and service = $2 and ($3::uuid is null or proxy_id = $3) and revoked_at is null",
    )
    .bind(mesh.uuid())
    .bind(row.service.as_str())
    .bind(proxy)
    .bind(now)
    .execute(work.conn())
    .await?;
    Ok(())
}

/// Finds a revocation, also one that is lifted.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    id: RevocationId,
) -> Result<Option<RevocationRow>> {
    let rows = select(&mut tx.work, mesh, Some(id), None, 1).await?;
    Ok(rows.into_iter().next())
}

/// The revocations, newest first, those that are lifted as well, after the one `after`, at most `limit`.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    after: Option<RevocationId>,
    limit: u32,
) -> Result<Vec<RevocationRow>> {
    select(&mut tx.work, mesh, None, after, limit).await
}

async fn select(
    work: &mut Work,
    mesh: MeshId,
    id: Option<RevocationId>,
    after: Option<RevocationId>,
    limit: u32,
) -> Result<Vec<RevocationRow>> {
    work.enter(mesh)?;
    let sql = format!(
        "select {COLUMNS} from heddle.revocations v \
         where v.mesh_id = $1 and ($2::uuid is null or v.id = $2) and ($3::uuid is null or v.id < $3) \
         order by v.id desc limit $4"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(id.map(RevocationId::uuid))
        .bind(after.map(RevocationId::uuid))
        .bind(i64::from(limit))
        .fetch_all(work.conn())
        .await?;
    rows.into_iter().map(RevocationRow::try_from).collect()
}

/// Whether a service is revoked, with whatever has its identity.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Forbidden`] where the permission does not reach the mesh, [`Error::Unavailable`].
pub async fn is_revoked<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    service: &Name,
) -> Result<bool> {
    let work = &mut tx.work;
    work.enter(mesh)?;
    let found = sqlx::query_scalar(
        "select exists (select from heddle.revocations v \
                        where v.mesh_id = $1 and v.service = $2 and v.node_id is null and v.lifted_at is null)",
    )
    .bind(mesh.uuid())
    .bind(service.as_str())
    .fetch_one(work.conn())
    .await?;
    Ok(found)
}

/// The services that are revoked at a revision.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub(crate) async fn services(
    work: &mut Work,
    mesh: MeshId,
    revision: u64,
) -> Result<BTreeSet<Name>> {
    let rows: Vec<String> = sqlx::query_scalar(
        "select v.service from heddle.revocations v \
         where v.mesh_id = $1 and v.from_revision <= $2 and (v.to_revision is null or v.to_revision > $2)",
    )
    .bind(mesh.uuid())
    .bind(revision.cast_signed())
    .fetch_all(work.conn())
    .await?;
    let name = |text: &String| text.parse::<Name>();
    rows.iter()
        .map(name)
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| inconsistent("revocations", "service", mesh, e))
}

async fn record(
    work: &mut Work,
    mesh: MeshId,
    action: &'static str,
    row: &RevocationRow,
    revision: Option<u64>,
) -> Result<()> {
    let said = match &row.revoked {
        Revoked::Proxy { id, node_id } => {
            json!({"service": row.service, "proxy": id, "node_id": node_id, "reason": row.reason})
        }
        Revoked::Service => json!({"service": row.service, "reason": row.reason}),
    };
    let name = match &row.revoked {
        Revoked::Proxy { node_id, .. } => node_id.as_str(),
        Revoked::Service => row.service.as_str(),
    };
    let said = said.as_object();
    let (before, after) = match action {
        "revoke" => (None, said),
        _ => (said, None),
    };
    work.record(Change {
        mesh: Some(mesh),
        revision,
        action,
        kind: "revocation",
        id: row.id.uuid(),
        name,
        before,
        after,
    })
    .await
}
