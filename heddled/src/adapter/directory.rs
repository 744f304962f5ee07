//! The meshes that there are, for a process that does not follow what is in them.

use async_trait::async_trait;
use heddle_ca::{Failure, MeshKey};
use heddle_model::id::{MeshId, OrgId};
use heddle_store::{MeshRef, Store};

use super::MeshSource;

/// Leads to a mesh, or to nothing.
#[async_trait]
pub(crate) trait Meshes: Send + Sync {
    /// The mesh, if it is there.
    async fn find(&self, mesh: MeshKey) -> Result<MeshRef, Failure>;
}

#[async_trait]
impl Meshes for MeshSource {
    async fn find(&self, mesh: MeshKey) -> Result<MeshRef, Failure> {
        let found = Self::find(
            self,
            OrgId::from_uuid(mesh.org),
            MeshId::from_uuid(mesh.mesh),
        );
        found.ok_or_else(|| "no such mesh".into())
    }
}

/// Asks the feed for a mesh that it does not know yet. One that was deleted stays known here; the database refuses what concerns it.
pub(crate) struct Directory {
    store: Store,
    known: tokio::sync::Mutex<Vec<MeshRef>>,
}

impl Directory {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            known: tokio::sync::Mutex::default(),
        }
    }
}

#[async_trait]
impl Meshes for Directory {
    async fn find(&self, mesh: MeshKey) -> Result<MeshRef, Failure> {
        let (org, id) = (OrgId::from_uuid(mesh.org), MeshId::from_uuid(mesh.mesh));
        let is = |of: &&MeshRef| of.org() == org && of.mesh() == id;
        // Held while asking, so that many who ask for a new mesh at once ask once.
        let mut known = self.known.lock().await;
        if let Some(found) = known.iter().find(is) {
            return Ok(*found);
        }
        let feed = self.store.feed(None).await?;
        *known = feed.meshes.iter().map(|head| head.mesh).collect();
        known
            .iter()
            .find(is)
            .copied()
            .ok_or_else(|| "no such mesh".into())
    }
}
