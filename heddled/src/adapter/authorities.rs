//! The CA's journal and authorities, in the store.

use std::sync::Arc;

use async_trait::async_trait;
use heddle_ca::{
    AuthorityKind, AuthorityRow, AuthorityStore, Entry, Failure, Hierarchy, Journal, Journalled,
    MeshKey,
};
use heddle_model::id::{AuthorityId, MeshId, OrgId, ProxyId};
use heddle_store::{MeshRef, Store, authorities, certificates};
use uuid::Uuid;

use super::MeshSource;

/// Reads and writes for one mesh at a time, as its tenant.
pub(crate) struct Authorities {
    store: Store,
    meshes: Arc<MeshSource>,
}

impl Authorities {
    pub(crate) fn new(store: Store, meshes: Arc<MeshSource>) -> Self {
        Self { store, meshes }
    }

    fn mesh(&self, mesh: MeshKey) -> Result<MeshRef, Failure> {
        let found = self
            .meshes
            .find(OrgId::from_uuid(mesh.org), MeshId::from_uuid(mesh.mesh));
        found.ok_or_else(|| Failure::from("no such mesh"))
    }
}

fn to_store(row: &AuthorityRow) -> authorities::AuthorityRow {
    authorities::AuthorityRow {
        id: AuthorityId::from_uuid(row.id),
        kind: match row.kind {
            AuthorityKind::Root => authorities::AuthorityKind::Root,
            AuthorityKind::Issuing => authorities::AuthorityKind::Issuing,
        },
        certificate_pem: row.certificate_pem.clone(),
        sealed_key: row.sealed_key.clone(),
        serial: row.serial.clone(),
        not_before: row.not_before,
        not_after: row.not_after,
    }
}

fn to_ca(mesh: MeshKey, row: authorities::AuthorityRow) -> AuthorityRow {
    AuthorityRow {
        id: row.id.uuid(),
        org: mesh.org,
        mesh: mesh.mesh,
        kind: match row.kind {
            authorities::AuthorityKind::Root => AuthorityKind::Root,
            authorities::AuthorityKind::Issuing => AuthorityKind::Issuing,
        },
        certificate_pem: row.certificate_pem,
        sealed_key: row.sealed_key,
        serial: row.serial,
        not_before: row.not_before,
        not_after: row.not_after,
    }
}

/// The root and the issuing authority that signs now, or none of either.
fn hierarchy(
    mesh: MeshKey,
    rows: Vec<authorities::AuthorityRow>,
) -> Result<Option<Hierarchy>, Failure> {
    let issuing = authorities::issuing(&rows).cloned();
    let root = rows
        .into_iter()
        .find(|row| row.kind == authorities::AuthorityKind::Root);
    let own = |row| to_ca(mesh, row);
    match (root.map(own), issuing.map(own)) {
        (None, None) => Ok(None),
        (Some(root), Some(issuing)) => Ok(Some(Hierarchy { root, issuing })),
        _ => Err(Failure::from("the mesh has half a hierarchy")),
    }
}

#[async_trait]
impl AuthorityStore for Authorities {
    async fn load(&self, mesh: MeshKey) -> Result<Option<Hierarchy>, Failure> {
        hierarchy(
            mesh,
            authorities::load(&self.store, &self.mesh(mesh)?).await?,
        )
    }

    async fn create(&self, new: Hierarchy) -> Result<Hierarchy, Failure> {
        let mesh = MeshKey {
            org: new.root.org,
            mesh: new.root.mesh,
        };
        let rows = [to_store(&new.root), to_store(&new.issuing)];
        let stored = authorities::create(&self.store, &self.mesh(mesh)?, &rows).await?;
        hierarchy(mesh, stored)?.ok_or_else(|| Failure::from("nothing was stored"))
    }

    async fn renew(&self, replaced: Uuid, issuing: AuthorityRow) -> Result<Hierarchy, Failure> {
        let mesh = issuing.mesh_key();
        let replaced = AuthorityId::from_uuid(replaced);
        let row = to_store(&issuing);
        let stored = authorities::renew(&self.store, &self.mesh(mesh)?, replaced, &row).await?;
        hierarchy(mesh, stored)?.ok_or_else(|| Failure::from("nothing is stored"))
    }
}

#[async_trait]
impl Journal for Authorities {
    async fn record(&self, entry: &Entry) -> Result<(), Failure> {
        let mesh = self.mesh(MeshKey {
            org: entry.org,
            mesh: entry.mesh,
        })?;
        let row = certificates::CertificateEntry {
            serial: entry.serial.clone(),
            proxy: ProxyId::from_uuid(entry.proxy),
            service: entry.service.parse()?,
            spiffe_id: entry.spiffe_id.clone(),
            authority: AuthorityId::from_uuid(entry.authority),
            not_before: entry.not_before,
            not_after: entry.not_after,
            issued_at: entry.issued_at,
            tbs_sha256: entry.tbs_sha256.clone(),
        };
        certificates::record(&self.store, &mesh, &row).await?;
        Ok(())
    }

    async fn lookup(&self, mesh: MeshKey, serial: &str) -> Result<Option<Journalled>, Failure> {
        let found = certificates::lookup(&self.store, &self.mesh(mesh)?, serial).await?;
        Ok(found.map(|row| Journalled {
            proxy: row.proxy.uuid(),
            not_before: row.not_before,
            not_after: row.not_after,
            issued_at: row.issued_at,
            revoked_at: row.revoked_at,
        }))
    }
}
