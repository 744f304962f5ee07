//! Looks through the journals of an organisation: whether one was altered, and whether a proxy has what is in none.

use heddle_model::id::{OrgId, ProxyId};
use heddle_model::name::Name;
use sqlx::Row as _;
use uuid::Uuid;

use super::record_text;
use crate::audit::{Fault, Head, Link, PAGE, walk};
use crate::authz::{Door, MeshRef};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::tx::{Mode, Work};

/// What was found in the journals of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedJournal {
    /// Where the chain of each mesh ends, as far as it holds.
    pub heads: Vec<Head>,
    /// Which chains are broken, and how.
    pub broken: Vec<(Uuid, Fault)>,
    /// Rows that are in no chain: from before there were any.
    pub unchained: u64,
    /// Proxies that have a certificate that is in no journal, with its serial number.
    pub unknown: Vec<(ProxyId, String)>,
}

/// Looks through the journal of every mesh of an organisation. `noted` are ends of chains that were kept elsewhere: each must
/// still be there.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation, [`Error::Unavailable`].
pub async fn verify(store: &Store, org: &Name, noted: &[Head]) -> Result<VerifiedJournal> {
    let found = store.door(Door::OrgName, org.as_str().as_bytes()).await?;
    let org = OrgId::from_uuid(found.ok_or(Error::NotFound)?.org_id);
    // Where the chains end now. What is appended while this looks is not looked at.
    let mut work = store.work(org, "audit", Mode::Snapshot).await?;
    let heads = heads_of(&mut work).await?;
    let chained: Vec<Uuid> = sqlx::query_scalar(
        "select distinct c.mesh_id from heddle.certificates c where c.seq is not null order by c.mesh_id",
    )
    .fetch_all(work.conn())
    .await?;
    let unchained: i64 =
        sqlx::query_scalar("select count(*) from heddle.certificates c where c.seq is null")
            .fetch_one(work.conn())
            .await?;
    let unknown = unknown_of(&mut work, None).await?;
    drop(work);
    let mut verified = VerifiedJournal {
        heads: Vec::new(),
        broken: Vec::new(),
        unchained: unchained.unsigned_abs(),
        unknown,
    };
    let is_known = |chain: &Uuid| heads.iter().any(|head| head.chain == *chain);
    let mut lost: Vec<Uuid> = chained.into_iter().filter(|one| !is_known(one)).collect();
    lost.extend(
        noted
            .iter()
            .map(|one| one.chain)
            .filter(|one| !is_known(one)),
    );
    lost.sort_unstable();
    lost.dedup();
    let no_head = |chain: Uuid| (chain, Fault::NoHead);
    verified.broken.extend(lost.into_iter().map(no_head));
    for head in heads {
        let links = async |walked: u64| {
            let mut work = store.work(org, "audit", Mode::Read).await?;
            links_of(&mut work, &head, walked).await
        };
        match walk(&head, noted, links).await? {
            Some(fault) => verified.broken.push((head.chain, fault)),
            None => verified.heads.push(head),
        }
    }
    Ok(verified)
}

/// The proxies of a mesh that have a certificate that is not in its journal, with its serial number: somebody else signed it, or
/// took the row away.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn unknown_leaves(store: &Store, mesh: &MeshRef) -> Result<Vec<(ProxyId, String)>> {
    let mut work = store.work(mesh.org(), "audit", Mode::Read).await?;
    unknown_of(&mut work, Some(mesh.mesh().uuid())).await
}

async fn unknown_of(work: &mut Work, mesh: Option<Uuid>) -> Result<Vec<(ProxyId, String)>> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select p.id, p.leaf_serial from heddle.proxies p \
         where p.leaf_serial is not null and ($1::uuid is null or p.mesh_id = $1) \
           and not exists (select from heddle.certificates c \
                           where c.mesh_id = p.mesh_id and c.serial = p.leaf_serial) \
         order by p.id",
    )
    .bind(mesh)
    .fetch_all(work.conn())
    .await?;
    let known = |(proxy, serial)| (ProxyId::from_uuid(proxy), serial);
    Ok(rows.into_iter().map(known).collect())
}

async fn heads_of(work: &mut Work) -> Result<Vec<Head>> {
    let rows: Vec<(Uuid, i64, String)> = sqlx::query_as(
        "select h.chain, h.seq, encode(h.hash, 'hex') from heddle.certificate_heads h order by h.chain",
    )
    .fetch_all(work.conn())
    .await?;
    let head = |(chain, seq, hash): (Uuid, i64, String)| Head {
        chain,
        seq: seq.unsigned_abs(),
        hash,
    };
    Ok(rows.into_iter().map(head).collect())
}

async fn links_of(work: &mut Work, head: &Head, after: u64) -> Result<Vec<Link>> {
    const LINKS: &str = concat!(
        "select c.seq, encode(c.previous_hash, 'hex') as previous_hash, encode(c.hash, 'hex') as hash, ",
        record_text!(),
        " as record from heddle.certificates c \
         where c.mesh_id = $1 and c.seq > $2 and c.seq <= $3 order by c.seq limit $4"
    );
    let rows = sqlx::query(LINKS)
        .bind(head.chain)
        .bind(after.cast_signed())
        .bind(i64::try_from(head.seq).unwrap_or(i64::MAX))
        .bind(i64::from(PAGE))
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
