//! The audit log: who did what, when and from where, and who was not let in. Append-only, and a chain of hashes for each mesh, and
//! one for the organisation, so that it can be shown that nothing was altered, removed, moved or cut off.

mod verify;

use chrono::{DateTime, Utc};
use heddle_model::authz::permission::AuditRead;
use heddle_model::id::{
    AccessRuleId, AuthorityId, DeviceId, IdentityId, InvitationId, JoinTokenId, MailId, MemberId,
    MeshId, OrgId, ProfileId, ProxyId, RevocationId, RoleBindingId, RotationId, RouteId,
    ServiceAccountId, ServiceId, SessionId, SplitId, SsoConnectionId, TokenId, WebhookId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row as _;
use uuid::Uuid;

use crate::error::Result;
use crate::tx::{Tx, Work, record_text};

pub use verify::{Fault, Verified, verify};
pub(crate) use verify::{PAGE, walk};

/// One row of the audit log.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AuditRow {
    /// Its identifier; later ones are greater.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// With which token.
    pub token_id: Option<Uuid>,
    /// What the client called itself.
    pub client: Option<String>,
    /// The other end of the connection.
    pub ip: Option<String>,
    /// Why, in the actor's words.
    pub message: Option<String>,
    /// What ties it to other rows.
    pub change_group: Option<String>,
    /// Where; `None` for what belongs to no mesh.
    pub mesh_id: Option<Uuid>,
    /// The revision that it is part of.
    pub revision: Option<i64>,
    /// What was done.
    pub action: String,
    /// To an object of which kind.
    pub kind: String,
    /// To which one; nil when there is none.
    pub resource_id: Uuid,
    /// What it is called.
    pub name: String,
    /// `done` or `refused`.
    pub outcome: Option<String>,
    /// What it was.
    pub before: Option<Value>,
    /// What it is.
    pub after: Option<Value>,
    /// Its place in its chain; `None` from before there were chains.
    pub seq: Option<i64>,
    /// The hash of the row before it.
    pub previous_hash: Option<Vec<u8>>,
    /// Its own.
    pub hash: Option<Vec<u8>>,
}

impl AuditRow {
    /// The prefixed identifier of the object; `None` when there is none.
    #[must_use]
    pub fn uid(&self) -> Option<String> {
        let id = self.resource_id;
        if id.is_nil() {
            return None;
        }
        Some(match self.kind.as_str() {
            "org" => OrgId::from_uuid(id).to_string(),
            "mesh" => MeshId::from_uuid(id).to_string(),
            "service" => ServiceId::from_uuid(id).to_string(),
            "route" => RouteId::from_uuid(id).to_string(),
            "split" => SplitId::from_uuid(id).to_string(),
            "access_rule" => AccessRuleId::from_uuid(id).to_string(),
            "profile" => ProfileId::from_uuid(id).to_string(),
            "token" => TokenId::from_uuid(id).to_string(),
            "join_token" => JoinTokenId::from_uuid(id).to_string(),
            "revocation" => RevocationId::from_uuid(id).to_string(),
            "proxy" => ProxyId::from_uuid(id).to_string(),
            "rotation" => RotationId::from_uuid(id).to_string(),
            "authority" => AuthorityId::from_uuid(id).to_string(),
            "member" => MemberId::from_uuid(id).to_string(),
            "service_account" => ServiceAccountId::from_uuid(id).to_string(),
            "role_binding" => RoleBindingId::from_uuid(id).to_string(),
            "session" => SessionId::from_uuid(id).to_string(),
            "device_authorization" => DeviceId::from_uuid(id).to_string(),
            "invitation" => InvitationId::from_uuid(id).to_string(),
            "mail" => MailId::from_uuid(id).to_string(),
            "sso_connection" => SsoConnectionId::from_uuid(id).to_string(),
            "webhook" => WebhookId::from_uuid(id).to_string(),
            "identity" => IdentityId::from_uuid(id).to_string(),
            // Its serial number.
            "certificate" => id.simple().to_string(),
            _ => id.to_string(),
        })
    }
}

/// What is read of a row.
macro_rules! columns {
    () => {
        "select c.id, c.at, c.actor, c.token_id, c.client, host(c.ip) as ip, c.message, c.change_group, c.mesh_id, \
                c.revision, c.action, c.kind, c.resource_id, c.name, c.outcome, c.before, c.after, c.seq, \
                c.previous_hash, c.hash \
         from heddle.changes c "
    };
}

/// Which rows are wanted: all that hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Those of a mesh.
    pub mesh: Option<MeshId>,
    /// Those whose actor begins with this: an identifier, or the whole.
    pub actor: Option<String>,
    /// Those of an action.
    pub action: Option<String>,
    /// Those about a kind.
    pub kind: Option<String>,
    /// Those about this object.
    pub object: Option<Uuid>,
    /// Those that ended so: `done`, `refused`.
    pub outcome: Option<String>,
    /// Those from then on.
    pub since: Option<DateTime<Utc>>,
    /// Those before then.
    pub until: Option<DateTime<Utc>>,
}

/// The rows that are wanted, newest first, older than the row `before`, at most `limit`: of the meshes that the permission reaches,
/// and of the organisation when it reaches that.
///
/// # Errors
/// [`crate::Error::Unavailable`]; [`crate::Error::Forbidden`], [`crate::Error::NotFound`] for a mesh that it does not reach.
pub async fn page(
    tx: &mut Tx<AuditRead>,
    filter: &AuditFilter,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<AuditRow>> {
    let work = &mut tx.work;
    if let Some(mesh) = filter.mesh {
        work.enter(mesh)?;
    }
    let covered = work.covered();
    let rows = sqlx::query_as(
        concat!(columns!(), "where ($1::uuid[] is null or c.mesh_id = any($1)) and ($2::uuid is null or c.id < $2) \
           and ($3::uuid is null or c.mesh_id = $3) and ($4::text is null or starts_with(c.actor, $4)) \
           and ($5::text is null or c.action = $5) and ($6::text is null or c.kind = $6) \
           and ($7::uuid is null or c.resource_id = $7) and ($8::text is null or c.outcome = $8) \
           and ($9::timestamptz is null or c.at >= $9) and ($10::timestamptz is null or c.at < $10) \
         order by c.id desc limit $11"),
    )
    .bind(covered)
    .bind(before)
    .bind(filter.mesh.map(MeshId::uuid))
    .bind(&filter.actor)
    .bind(&filter.action)
    .bind(&filter.kind)
    .bind(filter.object)
    .bind(&filter.outcome)
    .bind(filter.since)
    .bind(filter.until)
    .bind(i64::from(limit))
    .fetch_all(work.conn())
    .await?;
    Ok(rows)
}

/// The rows of a mesh after a place in its chain, oldest first, at most `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`].
pub async fn after(
    tx: &mut Tx<AuditRead>,
    mesh: MeshId,
    after: u64,
    limit: u32,
) -> Result<Vec<AuditRow>> {
    tx.work.enter(mesh)?;
    let rows = sqlx::query_as(concat!(
        columns!(),
        "where c.chain = $1 and c.seq > $2 order by c.seq limit $3"
    ))
    .bind(mesh.uuid())
    .bind(after.cast_signed())
    .bind(i64::from(limit))
    .fetch_all(tx.work.conn())
    .await?;
    Ok(rows)
}

/// One row.
pub(crate) async fn by_id(work: &mut Work, id: Uuid) -> Result<Option<AuditRow>> {
    let row = sqlx::query_as(concat!(columns!(), "where c.id = $1"))
        .bind(id)
        .fetch_optional(work.conn())
        .await?;
    Ok(row)
}

/// Where a chain ends. Kept elsewhere, it shows later that nothing before it was touched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// The chain: the identifier of a mesh, or of the organisation.
    pub chain: Uuid,
    /// How many rows it has.
    pub seq: u64,
    /// The hash of its last row, in hexadecimal; zeros when there is none.
    pub hash: String,
}

/// One row as it hangs in its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its place.
    pub seq: u64,
    /// The hash of the one before it, in hexadecimal.
    pub previous_hash: String,
    /// The SHA-256 of the hash before it (32 bytes) followed by the record as UTF-8, in hexadecimal.
    pub hash: String,
    /// The row as JSON, to the byte.
    pub record: String,
}

/// The ends of the chains that the permission reaches.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn heads(tx: &mut Tx<AuditRead>) -> Result<Vec<Head>> {
    let covered = tx.work.covered();
    heads_of(&mut tx.work, covered).await
}

async fn heads_of(work: &mut Work, covered: Option<Vec<Uuid>>) -> Result<Vec<Head>> {
    let rows: Vec<(Uuid, i64, String)> = sqlx::query_as(
        "select h.chain, h.seq, encode(h.hash, 'hex') from heddle.audit_heads h \
         where $1::uuid[] is null or h.chain = any($1) order by h.chain",
    )
    .bind(covered)
    .fetch_all(work.conn())
    .await?;
    let head = |(chain, seq, hash): (Uuid, i64, String)| Head {
        chain,
        seq: seq.unsigned_abs(),
        hash,
    };
    Ok(rows.into_iter().map(head).collect())
}

/// The rows of a chain after a place and up to its end, at most `limit`. Rows do not change, so pages that are read one after the
/// other are one state.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Forbidden`], [`crate::Error::NotFound`].
pub async fn links(
    tx: &mut Tx<AuditRead>,
    head: &Head,
    after: u64,
    limit: u32,
) -> Result<Vec<Link>> {
    if head.chain == tx.org().uuid() {
        tx.work.require_org()?;
    } else {
        tx.work.enter(MeshId::from_uuid(head.chain))?;
    }
    links_of(&mut tx.work, head.chain, (after, head.seq), limit).await
}

async fn links_of(
    work: &mut Work,
    chain: Uuid,
    (after, last): (u64, u64),
    limit: u32,
) -> Result<Vec<Link>> {
    const LINKS: &str = concat!(
        "select c.seq, encode(c.previous_hash, 'hex') as previous_hash, encode(c.hash, 'hex') as hash, ",
        record_text!(),
        " as record from heddle.changes c where c.chain = $1 and c.seq > $2 and c.seq <= $3 order by c.seq limit $4"
    );
    let rows = sqlx::query(LINKS)
        .bind(chain)
        .bind(after.cast_signed())
        .bind(i64::try_from(last).unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(work.conn())
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Link {
                seq: row.try_get::<i64, _>("seq")?.unsigned_abs(),
                previous_hash: row.try_get("previous_hash")?,
                hash: row.try_get("hash")?,
                record: row.try_get("record")?,
            })
        })
        .collect()
}
