//! The CA's journal and authorities, in the store.

use std::sync::Arc;

use async_trait::async_trait;
use heddle_ca::{
    AuthorityKind, AuthorityRequest, AuthorityRow, AuthorityStore, Entry, Error, Failure,
    Hierarchy, Journal, Journalled, MeshIdentity, MeshKey, Replacing, Signer, SystemRandom,
    TrustDomain,
};
use heddle_model::clock::SharedClock;
use heddle_model::id::{AuthorityId, ProxyId};
use heddle_store::authorities::AuthorityState;
use heddle_store::authority_requests::{
    AuthorityRequestRow, NewAuthorityRequest, OutsideAuthorities,
};
use heddle_store::rotations::{self, AuthorityMaker, Window};
use heddle_store::{Cause, MeshRef, Store, authorities, certificates};
use uuid::Uuid;

use super::Meshes;

/// Reads and writes for one mesh at a time, as its tenant.
pub(crate) struct Authorities {
    store: Store,
    meshes: Arc<dyn Meshes>,
}

impl Authorities {
    pub(crate) fn new(store: Store, meshes: Arc<dyn Meshes>) -> Self {
        Self { store, meshes }
    }

    async fn mesh(&self, mesh: MeshKey) -> Result<MeshRef, Failure> {
        self.meshes.find(mesh).await
    }

    /// What signs in a mesh now, and under which root; nothing about rotations.
    pub(crate) async fn signing(&self, mesh: MeshKey) -> Result<Option<Hierarchy>, Failure> {
        let rows = authorities::load(&self.store, &self.mesh(mesh).await?).await?;
        hierarchy(mesh, &rows, None)
    }

    /// A root and an issuing authority of a mesh, by their identifiers.
    pub(crate) async fn pair(
        &self,
        mesh: MeshKey,
        root: Uuid,
        issuing: Uuid,
    ) -> Result<Option<Hierarchy>, Failure> {
        let rows = authorities::load(&self.store, &self.mesh(mesh).await?).await?;
        let of = |id| rows.iter().find(|row| row.id.uuid() == id);
        let found = of(root).zip(of(issuing));
        Ok(found.map(|(root, issuing)| Hierarchy::new(to_ca(mesh, root), to_ca(mesh, issuing))))
    }

    /// The trust domain of a mesh, as the database has it.
    pub(crate) async fn trust_domain(&self, mesh: MeshKey) -> Result<Option<String>, Failure> {
        Ok(authorities::trust_domain(&self.store, &self.mesh(mesh).await?).await?)
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), Failure> {
        Ok(self.store.ping().await?)
    }
}

fn to_store(row: &AuthorityRow, root: Option<&AuthorityRow>) -> authorities::AuthorityRow {
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
        state: AuthorityState::Active,
        parent: root.map(|root| AuthorityId::from_uuid(root.id)),
    }
}

fn to_ca(mesh: MeshKey, row: &authorities::AuthorityRow) -> AuthorityRow {
    AuthorityRow {
        id: row.id.uuid(),
        org: mesh.org,
        mesh: mesh.mesh,
        kind: match row.kind {
            authorities::AuthorityKind::Root => AuthorityKind::Root,
            authorities::AuthorityKind::Issuing => AuthorityKind::Issuing,
        },
        certificate_pem: row.certificate_pem.clone(),
        sealed_key: row.sealed_key.clone(),
        serial: row.serial.clone(),
        not_before: row.not_before,
        not_after: row.not_after,
    }
}

/// What signs now with its root, what else is trusted, and what gives way; nothing when the mesh has no authorities.
fn hierarchy(
    mesh: MeshKey,
    rows: &[authorities::AuthorityRow],
    window: Window,
) -> Result<Option<Hierarchy>, Failure> {
    if rows.is_empty() {
        return Ok(None);
    }
    let issuing = authorities::issuing(rows);
    let signs = issuing.and_then(|issuing| Some((authorities::root_of(rows, issuing)?, issuing)));
    let Some((root, issuing)) = signs else {
        return Err(Failure::from("the mesh has half a hierarchy"));
    };
    let also_trusted = authorities::trusted(rows).filter(|row| row.id != root.id);
    let retired = rows.iter().filter(|row| {
        row.kind == authorities::AuthorityKind::Issuing
            && matches!(
                row.state,
                AuthorityState::Retiring | AuthorityState::Removed
            )
    });
    Ok(Some(Hierarchy {
        also_trusted: also_trusted.map(|row| to_ca(mesh, row)).collect(),
        replacing: Replacing {
            retired: retired.map(|row| row.id.uuid()).collect(),
            window,
        },
        ..Hierarchy::new(to_ca(mesh, root), to_ca(mesh, issuing))
    }))
}

#[async_trait]
impl AuthorityStore for Authorities {
    async fn load(&self, mesh: MeshKey) -> Result<Option<Hierarchy>, Failure> {
        let (rows, window) = rotations::trust(&self.store, &self.mesh(mesh).await?).await?;
        hierarchy(mesh, &rows, window)
    }

    async fn create(&self, new: Hierarchy) -> Result<Hierarchy, Failure> {
        let mesh = MeshKey {
            org: new.root.org,
            mesh: new.root.mesh,
        };
        let rows = [
            to_store(&new.root, None),
            to_store(&new.issuing, Some(&new.root)),
        ];
        authorities::create(&self.store, &self.mesh(mesh).await?, &rows).await?;
        self.load(mesh)
            .await?
            .ok_or_else(|| Failure::from("nothing was stored"))
    }

    async fn renew(
        &self,
        replaced: &Hierarchy,
        issuing: AuthorityRow,
    ) -> Result<Hierarchy, Failure> {
        let mesh = issuing.mesh_key();
        let row = to_store(&issuing, Some(&replaced.root));
        let replaced = AuthorityId::from_uuid(replaced.issuing.id);
        authorities::renew(&self.store, &self.mesh(mesh).await?, replaced, &row).await?;
        self.load(mesh)
            .await?
            .ok_or_else(|| Failure::from("nothing is stored"))
    }
}

#[async_trait]
impl Journal for Authorities {
    async fn record(&self, entry: &Entry) -> Result<bool, Failure> {
        let mesh = MeshKey {
            org: entry.org,
            mesh: entry.mesh,
        };
        let mesh = self.mesh(mesh).await?;
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
        Ok(certificates::record(&self.store, &mesh, &row).await?)
    }

    async fn lookup(&self, mesh: MeshKey, serial: &str) -> Result<Option<Journalled>, Failure> {
        let found = certificates::lookup(&self.store, &self.mesh(mesh).await?, serial).await?;
        Ok(found.map(|row| Journalled {
            proxy: row.proxy.uuid(),
            authority: row.authority.uuid(),
            not_before: row.not_before,
            not_after: row.not_after,
            issued_at: row.issued_at,
            revoked_at: row.revoked_at,
        }))
    }
}

/// Makes authorities for rotations, as all others are made.
pub(crate) struct Maker(Arc<dyn Signer>, SharedClock);

impl Maker {
    pub(crate) fn new(signer: Arc<dyn Signer>, clock: SharedClock) -> Self {
        Self(signer, clock)
    }
}

fn key_of(mesh: &MeshRef) -> MeshKey {
    MeshKey {
        org: mesh.org().uuid(),
        mesh: mesh.mesh().uuid(),
    }
}

fn identity(mesh: &MeshRef, trust_domain: &str) -> Result<MeshIdentity, Cause> {
    let MeshKey { org, mesh } = key_of(mesh);
    let trust_domain = TrustDomain::parse(trust_domain)?;
    Ok(MeshIdentity {
        org,
        mesh,
        trust_domain,
    })
}

#[async_trait]
impl AuthorityMaker for Maker {
    async fn root(
        &self,
        mesh: &MeshRef,
        trust_domain: &str,
    ) -> Result<[authorities::AuthorityRow; 2], Cause> {
        let mesh = identity(mesh, trust_domain)?;
        let made = self.0.authorities(&mesh).await?;
        Ok([
            to_store(&made.root, None),
            to_store(&made.issuing, Some(&made.root)),
        ])
    }

    async fn issuing(
        &self,
        mesh: &MeshRef,
        root: &authorities::AuthorityRow,
        issuing: &authorities::AuthorityRow,
    ) -> Result<authorities::AuthorityRow, Cause> {
        let mesh = key_of(mesh);
        let held = Hierarchy::new(to_ca(mesh, root), to_ca(mesh, issuing));
        let made = self.0.next_issuing(&held).await?;
        Ok(to_store(&made, Some(&held.root)))
    }
}

#[async_trait]
impl OutsideAuthorities for Maker {
    async fn request(
        &self,
        mesh: &MeshRef,
        trust_domain: &str,
    ) -> Result<NewAuthorityRequest, Cause> {
        let made = self
            .0
            .authority_request(&identity(mesh, trust_domain)?)
            .await?;
        Ok(NewAuthorityRequest {
            id: AuthorityId::from_uuid(made.id),
            request_pem: made.request_pem,
            sealed_key: made.sealed_key,
        })
    }

    fn adopt(
        &self,
        mesh: &MeshRef,
        trust_domain: &str,
        request: &AuthorityRequestRow,
        chain_pem: &str,
        known: &[authorities::AuthorityRow],
    ) -> Result<Result<[authorities::AuthorityRow; 2], String>, Cause> {
        let request = AuthorityRequest {
            id: request.id.uuid(),
            request_pem: request.request_pem.clone(),
            sealed_key: request.sealed_key.clone(),
        };
        let known: Vec<_> = known.iter().map(|row| to_ca(key_of(mesh), row)).collect();
        let (mesh, now) = (identity(mesh, trust_domain)?, self.1.now());
        match request.adopt(&mesh, chain_pem, &known, now, &SystemRandom) {
            Ok(made) => Ok(Ok([
                to_store(&made.root, None),
                to_store(&made.issuing, Some(&made.root)),
            ])),
            Err(Error::Check(fault)) => Ok(Err(fault.to_string())),
            Err(
                wrong @ (Error::ForeignTrustDomain { .. }
                | Error::IssuerNotYetValid { .. }
                | Error::IssuerExpired { .. }),
            ) => Ok(Err(wrong.to_string())),
            Err(other) => Err(other.into()),
        }
    }
}
