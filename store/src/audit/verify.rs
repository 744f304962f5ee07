//! Looks through the chains of an organisation, and says where one is broken.

use std::collections::BTreeSet;

use heddle_model::id::OrgId;
use heddle_model::name::Name;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Head, Link, heads_of, links_of};
use crate::authz::Door;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::tx::{Mode, Work};

/// How many rows are looked at in one go.
pub(crate) const PAGE: u32 = 1000;
/// What the first row of a chain follows.
const START: [u8; 32] = [0; 32];

/// What is wrong with a chain, at the first place where something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// Nothing says where the chain ends.
    #[error("nothing says where it ends")]
    NoHead,
    /// A row is not there.
    #[error("row {seq} is missing")]
    Missing {
        /// Its place.
        seq: u64,
    },
    /// A row does not say any more what it said when it was written.
    #[error("row {seq} was altered")]
    Altered {
        /// Its place.
        seq: u64,
    },
    /// A row does not follow the one before it.
    #[error("row {seq} does not follow the one before it")]
    Unlinked {
        /// Its place.
        seq: u64,
    },
    /// The chain ends elsewhere than it should.
    #[error("it ends with row {found}, and should with row {expected}")]
    CutOff {
        /// Where it should end.
        expected: u64,
        /// Where it does.
        found: u64,
    },
    /// The chain hangs together, and is another one than it was.
    #[error("row {seq} is not the one that was noted")]
    Rewritten {
        /// The place that was noted.
        seq: u64,
    },
}

/// What was found in the chains of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The organisation.
    pub org: OrgId,
    /// Where each chain ends, as far as it holds.
    pub heads: Vec<Head>,
    /// Which chains are broken, and how.
    pub broken: Vec<(Uuid, Fault)>,
    /// Rows that are in no chain: from before there were any.
    pub unchained: u64,
}

/// Looks through every chain of an organisation. `noted` are ends of chains that were kept elsewhere: each must still be there.
///
/// # Errors
/// [`Error::NotFound`] without such an organisation, [`Error::Unavailable`].
pub async fn verify(store: &Store, org: &Name, noted: &[Head]) -> Result<Verified> {
    let found = store.door(Door::OrgName, org.as_str().as_bytes()).await?;
    let org = OrgId::from_uuid(found.ok_or(Error::NotFound)?.org_id);
    // Where the chains end now. What is appended while this looks is not looked at.
    let mut work = store.work(org, "audit", Mode::Snapshot).await?;
    let heads = heads_of(&mut work, None).await?;
    let chains: Vec<Uuid> = sqlx::query_scalar(
        "select m.mesh_id from heddle.meshes m union select c.chain from heddle.changes c where c.chain is not null \
         union select o.org_id from heddle.orgs o",
    )
    .fetch_all(work.conn())
    .await?;
    let unchained: i64 =
        sqlx::query_scalar("select count(*) from heddle.changes c where c.chain is null")
            .fetch_one(work.conn())
            .await?;
    drop(work);
    let noted_chains = noted.iter().map(|one| one.chain);
    let mut all: BTreeSet<Uuid> = chains.into_iter().chain(noted_chains).collect();
    all.extend(heads.iter().map(|head| head.chain));
    let mut verified = Verified {
        org,
        heads: Vec::new(),
        broken: Vec::new(),
        unchained: unchained.unsigned_abs(),
    };
    for chain in all {
        let head = heads.iter().find(|head| head.chain == chain);
        let fault = match head {
            None => Some(Fault::NoHead),
            Some(head) => {
                let links = async |walked: u64| {
                    let mut work: Work = store.work(org, "audit", Mode::Read).await?;
                    links_of(&mut work, head.chain, (walked, head.seq), PAGE).await
                };
                walk(head, noted, links).await?
            }
        };
        match (fault, head) {
            (Some(fault), _) => verified.broken.push((chain, fault)),
            (None, Some(head)) => verified.heads.push(head.clone()),
            (None, None) => {}
        }
    }
    Ok(verified)
}

/// Goes along the chain that ends there. `links` reads the next [`PAGE`] rows after a place.
pub(crate) async fn walk(
    head: &Head,
    noted: &[Head],
    links: impl AsyncFn(u64) -> Result<Vec<Link>>,
) -> Result<Option<Fault>> {
    let mut walker = Walker::new(head.chain, noted);
    loop {
        let links = links(walker.seq).await?;
        for link in &links {
            if let Err(fault) = walker.step(link) {
                return Ok(Some(fault));
            }
        }
        if links.len() < PAGE as usize {
            return Ok(walker.end(head).err());
        }
    }
}

/// Goes along a chain.
struct Walker<'a> {
    seq: u64,
    hash: [u8; 32],
    noted: Vec<&'a Head>,
}

impl<'a> Walker<'a> {
    fn new(chain: Uuid, noted: &'a [Head]) -> Self {
        Self {
            seq: 0,
            hash: START,
            noted: noted.iter().filter(|one| one.chain == chain).collect(),
        }
    }

    fn step(&mut self, link: &Link) -> Result<(), Fault> {
        let seq = self.seq + 1;
        if link.seq != seq {
            return Err(Fault::Missing { seq });
        }
        if link.previous_hash != hex::encode(self.hash) {
            return Err(Fault::Unlinked { seq });
        }
        let mut hash = Sha256::new();
        hash.update(self.hash);
        hash.update(link.record.as_bytes());
        self.hash = hash.finalize().into();
        let own = hex::encode(self.hash);
        if link.hash != own {
            return Err(Fault::Altered { seq });
        }
        let mut noted = self.noted.iter().filter(|one| one.seq == seq);
        if noted.any(|one| one.hash != own) {
            return Err(Fault::Rewritten { seq });
        }
        self.seq = seq;
        Ok(())
    }

    fn end(&self, head: &Head) -> Result<(), Fault> {
        let found = self.seq;
        let cut_off = |expected| Fault::CutOff { expected, found };
        if head.seq != found {
            return Err(cut_off(head.seq));
        }
        if head.hash != hex::encode(self.hash) {
            return Err(Fault::Rewritten { seq: found });
        }
        match self.noted.iter().find(|one| one.seq > found) {
            Some(one) => Err(cut_off(one.seq)),
            None => Ok(()),
        }
    }
}
