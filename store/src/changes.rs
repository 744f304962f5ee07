//! The feed: which meshes changed since the last look, or have news about their proxies, across organisations. It says which and
//! nothing about what.
//!
//! There is no global sequence, which would let a later number become visible before an earlier one. A position is
//! the oldest transaction that was still running when it was taken; what that transaction and all later ones
//! changed is reported again, and what was already reported is taken out here.

use heddle_model::id::{MeshId, OrgId};
use uuid::Uuid;

use crate::authz::MeshRef;
use crate::error::{Result, inconsistent};
use crate::store::Store;

/// A mesh and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeshHead {
    /// The mesh.
    pub mesh: MeshRef,
    /// Its revision.
    pub revision: u64,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The number of the newest news about its proxies.
    pub status: u64,
    /// Whether a rotation of its authorities is under way.
    pub rotating: bool,
}

/// Where to go on in the feed.
#[derive(Debug, Clone)]
pub struct FeedPosition {
    after: u64,
    reported: Vec<MeshHead>,
}

/// One look at the feed.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Meshes with something new since the position, each once, in the order of their identifiers.
    pub meshes: Vec<MeshHead>,
    /// Where to go on.
    pub next: FeedPosition,
}

#[derive(sqlx::FromRow)]
struct Row {
    next: Option<String>,
    org_id: Option<Uuid>,
    mesh_id: Option<Uuid>,
    revision: Option<i64>,
    deleted: Option<bool>,
    status: Option<i64>,
    rotating: Option<bool>,
}

impl Row {
    fn head(&self) -> Option<MeshHead> {
        let mesh = MeshRef::new(
            OrgId::from_uuid(self.org_id?),
            MeshId::from_uuid(self.mesh_id?),
        );
        Some(MeshHead {
            mesh,
            revision: self.revision?.unsigned_abs(),
            deleted: self.deleted?,
            status: self.status?.unsigned_abs(),
            rotating: self.rotating?,
        })
    }
}

impl Store {
    /// The meshes that changed since `after`, or whose proxies have news; without it, every live mesh. A mesh that changed several
    /// times is reported with its newest revision.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`]: look again from the same position.
    pub async fn feed(&self, after: Option<FeedPosition>) -> Result<Feed> {
        let (position, reported) = match after {
            Some(position) => (Some(position.after.to_string()), position.reported),
            None => (None, Vec::new()),
        };
        let rows: Vec<Row> = sqlx::query_as(
            "select next::text as next, org_id, mesh_id, revision, deleted, status, rotating \
             from heddle.feed($1::text::xid8)",
        )
        .bind(position)
        .fetch_all(self.pool())
        .await?;
        let next = rows
            .iter()
            .find_map(|row| row.next.as_deref()?.parse().ok())
            .ok_or_else(|| inconsistent("feed", "next", "first", "no position"))?;
        let mut heads: Vec<MeshHead> = rows.iter().filter_map(Row::head).collect();
        heads.sort_unstable();
        let meshes = heads
            .iter()
            .copied()
            .filter(|head| reported.binary_search(head).is_err())
            .collect();
        let next = FeedPosition {
            after: next,
            reported: heads,
        };
        Ok(Feed { meshes, next })
    }
}
