//! The journal of issuance: a row for each leaf, written before it is signed. The rows of a mesh are a chain.

mod requested;
mod verify;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::{AuthorityId, MeshId, OrgId, ProxyId};
use heddle_model::name::Name;
use uuid::Uuid;

use crate::authz::MeshRef;
use crate::error::{Error, Result};
use crate::gather::Gather;
use crate::rotations::Trust;
use crate::store::Store;
use crate::tx::{Mode, Tx, Work};

pub use requested::{Certified, Certifier, For, give, require_room, require_service};
pub use verify::{VerifiedJournal, unknown_leaves, verify};

/// The text that is hashed for a row `c` of the journal: JSON as Postgres writes it. One row has one text for ever; what is added
/// later belongs under another `v`. The day that a certificate was revoked is no part of it: that comes later.
macro_rules! record_text {
    () => {
        "jsonb_build_object( \
             'v', 1, 'org', c.org_id, 'mesh', c.mesh_id, 'seq', c.seq, 'serial', c.serial, 'proxy', c.proxy_id, \
             'service', c.service, 'spiffe_id', c.spiffe_id, 'authority', c.authority_id, \
             'not_before', extract(epoch from c.not_before), 'not_after', extract(epoch from c.not_after), \
             'issued_at', extract(epoch from c.issued_at), 'tbs_sha256', c.tbs_sha256)::text"
    };
}
use record_text;

/// A leaf about to be signed. No secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEntry {
    /// The serial number, in hex; unique in the mesh.
    pub serial: String,
    /// The proxy that will hold it.
    pub proxy: ProxyId,
    /// The service of that proxy.
    pub service: Name,
    /// The only name in it.
    pub spiffe_id: String,
    /// What signs it.
    pub authority: AuthorityId,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// SHA-256 of the bytes that will be signed, in hex.
    pub tbs_sha256: String,
}

/// What anybody may know of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedLeaf {
    /// The serial number, in hex.
    pub serial: String,
    /// The only name in it.
    pub spiffe_id: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
}

/// What the journal knows about a serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journalled {
    /// The proxy that it was issued to.
    pub proxy: ProxyId,
    /// What signed it.
    pub authority: AuthorityId,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The leaf that a proxy was issued last and that was not revoked: serial, SPIFFE id, validity.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::NotFound`] where the permission does not reach the mesh.
pub async fn newest<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    proxy: ProxyId,
) -> Result<Option<IssuedLeaf>> {
    tx.work.enter(mesh)?;
    let row: Option<(String, String, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "select serial, spiffe_id, not_before, not_after from heddle.certificates \
         where mesh_id = $1 and proxy_id = $2 and revoked_at is null order by issued_at desc limit 1",
    )
    .bind(mesh.uuid())
    .bind(proxy.uuid())
    .fetch_optional(tx.work.conn())
    .await?;
    Ok(
        row.map(|(serial, spiffe_id, not_before, not_after)| IssuedLeaf {
            serial,
            spiffe_id,
            not_before,
            not_after,
        }),
    )
}

/// What a process keeps for the journal: entries of a mesh that come at the same time share a transaction, and so do questions.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    record: Gather<(OrgId, MeshId), CertificateEntry, Recorded>,
    lookup: Gather<(OrgId, MeshId), String, Option<Journalled>>,
    /// What proxies trust is asked with each certificate.
    pub(crate) trust: Gather<(OrgId, MeshId), (), Trust>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Written,
    /// Whoever it is for is revoked, or the mesh deleted.
    Barred,
    /// Its authority is unknown or signs no more.
    Retired,
}

/// Makes an entry durable, unless its authority is unknown or signs no more: then nothing is written, and it is `false`. The row
/// of the authority is held until the commit, so whoever retires it sees every entry.
///
/// # Errors
/// [`Error::Barred`], [`crate::Error::AlreadyExists`] for a serial number that the mesh has seen, [`crate::Error::Unavailable`].
pub async fn record(store: &Store, mesh: &MeshRef, entry: &CertificateEntry) -> Result<bool> {
    let (of, mesh) = (store.clone(), *mesh);
    let answer = move |entries: Vec<CertificateEntry>| {
        let store = of.clone();
        async move { record_all(&store, &mesh, &entries).await }
    };
    let key = (mesh.org(), mesh.mesh());
    let recorded = store.journals().record.ask(key, entry.clone(), answer);
    match recorded.await? {
        Recorded::Written => Ok(true),
        Recorded::Retired => Ok(false),
        Recorded::Barred => Err(Error::Barred),
    }
}

async fn record_all(
    store: &Store,
    mesh: &MeshRef,
    entries: &[CertificateEntry],
) -> Result<Vec<Recorded>> {
    let mut work = store.issuer(mesh.org(), "ca", Mode::Write).await?;
    let mut rows = append(&mut work, mesh, entries).await?;
    if rows.iter().any(|row| !row.chained) {
        // The first certificate of a mesh begins its chain.
        begin_chain(&mut work, mesh).await?;
        rows = append(&mut work, mesh, entries).await?;
    }
    work.commit().await?;
    let recorded = |row: Row| match (row.written, row.barred) {
        (true, _) => Recorded::Written,
        (false, true) => Recorded::Barred,
        (false, false) => Recorded::Retired,
    };
    Ok(rows.into_iter().map(recorded).collect())
}

async fn begin_chain(work: &mut Work, mesh: &MeshRef) -> Result<()> {
    sqlx::query(
        "insert into heddle.certificate_heads (org_id, chain, seq, hash) \
         values ($1, $2, 0, decode(repeat('00', 32), 'hex')) on conflict do nothing",
    )
    .bind(mesh.org().uuid())
    .bind(mesh.mesh().uuid())
    .execute(work.conn())
    .await?;
    Ok(())
}

/// What became of an entry, as the statement says that writes all of them.
#[derive(sqlx::FromRow)]
struct Row {
    written: bool,
    barred: bool,
    /// Whether the mesh has a chain yet. Without one nothing is written.
    chained: bool,
}

async fn append(work: &mut Work, mesh: &MeshRef, entries: &[CertificateEntry]) -> Result<Vec<Row>> {
    fn column<'a, T>(
        entries: &'a [CertificateEntry],
        of: impl Fn(&'a CertificateEntry) -> T,
    ) -> Vec<T> {
        entries.iter().map(of).collect()
    }
    // Asked by the statement that writes: what is not written is not signed.
    let rows = sqlx::query_as(concat!(
        "with e as ( \
             select * from unnest($3::text[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::timestamptz[], \
                                  $9::timestamptz[], $10::timestamptz[], $11::text[]) with ordinality \
                 as e (serial, proxy_id, service, spiffe_id, authority_id, not_before, not_after, issued_at, \
                       tbs_sha256, nth)), \
         signers as ( \
             select a.id from heddle.authorities a \
             where a.mesh_id = $2 and a.id = any($7) and a.state = 'active' for share), \
         barred as ( \
             select e.nth from e \
             where not exists (select from heddle.meshes m where m.mesh_id = $2 and m.deleted_at is null) \
                or exists (select from heddle.revocations v \
                           where v.mesh_id = $2 and v.service = e.service \
                             and (v.proxy_id is null or v.proxy_id = e.proxy_id) and v.lifted_at is null)), \
         head as ( \
             select h.seq, h.hash from heddle.certificate_heads h where h.chain = $2 for update), \
         placed as ( \
             select $1::uuid as org_id, $2::uuid as mesh_id, e.*, h.hash as head, \
                    h.seq + row_number() over (order by e.nth) as seq \
             from e join signers s on s.id = e.authority_id, head h \
             where not exists (select from barred b where b.nth = e.nth)), \
         linked as ( \
             select c.*, heddle.chained(c.head, ",
        record_text!(),
        ") over (order by c.seq) as hash from placed c), \
         moved as ( \
             update heddle.certificate_heads h set seq = l.seq, hash = l.hash \
             from (select c.seq, c.hash from linked c order by c.seq desc limit 1) l where h.chain = $2), \
         written as ( \
             insert into heddle.certificates (org_id, mesh_id, serial, proxy_id, service, spiffe_id, authority_id, \
                                              not_before, not_after, issued_at, tbs_sha256, seq, previous_hash, hash) \
             select c.org_id, c.mesh_id, c.serial, c.proxy_id, c.service, c.spiffe_id, c.authority_id, c.not_before, \
                    c.not_after, c.issued_at, c.tbs_sha256, c.seq, \
                    coalesce(lag(c.hash) over (order by c.seq), c.head), c.hash \
             from linked c returning serial) \
         select exists (select from written w where w.serial = e.serial) as written, \
                exists (select from barred b where b.nth = e.nth) as barred, \
                exists (select from head) as chained \
         from e order by e.nth"
    ))
    .bind(mesh.org().uuid())
    .bind(mesh.mesh().uuid())
    .bind(column(entries, |e| e.serial.as_str()))
    .bind(column(entries, |e| e.proxy.uuid()))
    .bind(column(entries, |e| e.service.as_str()))
    .bind(column(entries, |e| e.spiffe_id.as_str()))
    .bind(column(entries, |e| e.authority.uuid()))
    .bind(column(entries, |e| e.not_before))
    .bind(column(entries, |e| e.not_after))
    .bind(column(entries, |e| e.issued_at))
    .bind(column(entries, |e| e.tbs_sha256.as_str()))
    .fetch_all(work.conn())
    .await?;
    Ok(rows)
}

/// Finds a serial number of a mesh.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn lookup(store: &Store, mesh: &MeshRef, serial: &str) -> Result<Option<Journalled>> {
    let (of, mesh) = (store.clone(), *mesh);
    let answer = move |serials: Vec<String>| {
        let store = of.clone();
        async move { lookup_all(&store, &mesh, &serials).await }
    };
    let key = (mesh.org(), mesh.mesh());
    store
        .journals()
        .lookup
        .ask(key, serial.to_owned(), answer)
        .await
}

async fn lookup_all(
    store: &Store,
    mesh: &MeshRef,
    serials: &[String],
) -> Result<Vec<Option<Journalled>>> {
    type Found = (
        String,
        Uuid,
        Uuid,
        DateTime<Utc>,
        DateTime<Utc>,
        DateTime<Utc>,
        Option<DateTime<Utc>>,
    );
    let mut work = store.issuer(mesh.org(), "ca", Mode::Read).await?;
    let rows: Vec<Found> = sqlx::query_as(
        "select serial, proxy_id, authority_id, not_before, not_after, issued_at, revoked_at \
         from heddle.certificates where mesh_id = $1 and serial = any($2)",
    )
    .bind(mesh.mesh().uuid())
    .bind(serials)
    .fetch_all(work.conn())
    .await?;
    let mut found = BTreeMap::new();
    for (serial, proxy, authority, not_before, not_after, issued_at, revoked_at) in rows {
        let journalled = Journalled {
            proxy: ProxyId::from_uuid(proxy),
            authority: AuthorityId::from_uuid(authority),
            not_before,
            not_after,
            issued_at,
            revoked_at,
        };
        found.insert(serial, journalled);
    }
    let of = |serial| found.get(serial).cloned();
    Ok(serials.iter().map(of).collect())
}
