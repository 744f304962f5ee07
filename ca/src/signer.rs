//! Whatever holds the sealing key: the narrow seam (S54) behind which private keys of authorities exist in clear.
//!
//! In goes who has proved to be whom, and which authorities are meant; out comes what may be seen by anybody, or is sealed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::ambient::{Clock, Random};
use crate::authority::{AuthorityRow, Hierarchy, MeshIdentity, MeshKey, create_hierarchy};
use crate::error::Error;
use crate::issue::{Issuer, Leaf};
use crate::journal::Journal;
use crate::outside::AuthorityRequest;
use crate::profile::{Profile, Subject};
use crate::request::CertificateRequest;
use crate::seal::SealingKey;

/// Signs. In this process ([`LocalSigner`]), or in one of its own.
#[async_trait]
pub trait Signer: Send + Sync {
    /// A new leaf with a new key, by the issuing authority of `authorities`. Recorded in the journal before it is signed.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Superseded`] when that authority signs no more. Nothing was signed, unless it is
    /// [`Error::Check`], and then nobody has seen it.
    async fn leaf(&self, subject: &Subject, authorities: &Hierarchy) -> Result<Leaf, Error>;

    /// A new leaf for the key of a request. Recorded in the journal before it is signed, as any other.
    ///
    /// # Errors
    /// As [`Signer::leaf`].
    async fn certify(
        &self,
        request: &CertificateRequest,
        subject: &Subject,
        authorities: &Hierarchy,
    ) -> Result<Leaf<()>, Error>;

    /// A root and an issuing authority for a mesh. Nothing is stored.
    ///
    /// # Errors
    /// As [`create_hierarchy`].
    async fn authorities(&self, mesh: &MeshIdentity) -> Result<Hierarchy, Error>;

    /// The issuing authority that follows the one of `held` under the same root. Nothing is stored.
    ///
    /// # Errors
    /// As [`Hierarchy::next_issuing`].
    async fn next_issuing(&self, held: &Hierarchy) -> Result<AuthorityRow, Error>;

    /// A request for an issuing authority of a mesh under a root of somebody else. Nothing is stored.
    ///
    /// # Errors
    /// As [`AuthorityRequest::new`].
    async fn authority_request(&self, mesh: &MeshIdentity) -> Result<AuthorityRequest, Error>;

    /// Drops what is held in memory for a mesh.
    fn forget(&self, mesh: MeshKey);
}

/// A [`Signer`] in this process. Opened authorities stay in memory: a few kilobytes for every mesh that it has signed for.
pub struct LocalSigner {
    journal: Arc<dyn Journal>,
    sealing: Arc<dyn SealingKey>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    profile: Profile,
    opened: Mutex<BTreeMap<MeshKey, Arc<Opened>>>,
}

struct Opened {
    /// What it was opened from.
    issuing: AuthorityRow,
    root_pem: String,
    issuer: Issuer,
}

impl std::fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSigner")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

impl LocalSigner {
    /// A signer whose leaves follow `profile`.
    #[must_use]
    pub fn new(
        journal: Arc<dyn Journal>,
        sealing: Arc<dyn SealingKey>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        profile: Profile,
    ) -> Self {
        Self {
            journal,
            sealing,
            clock,
            random,
            profile,
            opened: Mutex::default(),
        }
    }

    fn open(&self, authorities: &Hierarchy) -> Result<Arc<Opened>, Error> {
        let Hierarchy { root, issuing, .. } = authorities;
        let mesh = issuing.mesh_key();
        let remembered = self.all().get(&mesh).cloned();
        if let Some(opened) = remembered
            && opened.issuing == *issuing
            && opened.root_pem == root.certificate_pem
        {
            return Ok(opened);
        }
        let opened = Arc::new(Opened {
            issuer: Issuer::open(issuing, &root.certificate_pem, &*self.sealing)?,
            issuing: issuing.clone(),
            root_pem: root.certificate_pem.clone(),
        });
        self.all().insert(mesh, Arc::clone(&opened));
        Ok(opened)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<MeshKey, Arc<Opened>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Signer for LocalSigner {
    async fn leaf(&self, subject: &Subject, authorities: &Hierarchy) -> Result<Leaf, Error> {
        let opened = self.open(authorities)?;
        let now = self.clock.now();
        let prepared = opened
            .issuer
            .prepare(subject, &self.profile, now, &*self.random)?;
        let recorded = prepared.record(&*self.journal).await?;
        opened.issuer.issue(recorded)
    }

    async fn certify(
        &self,
        request: &CertificateRequest,
        subject: &Subject,
        authorities: &Hierarchy,
    ) -> Result<Leaf<()>, Error> {
        let opened = self.open(authorities)?;
        let now = self.clock.now();
        let prepared =
            opened
                .issuer
                .prepare_requested(request, subject, &self.profile, now, &*self.random)?;
        let recorded = prepared.record(&*self.journal).await?;
        opened.issuer.issue(recorded)
    }

    async fn authorities(&self, mesh: &MeshIdentity) -> Result<Hierarchy, Error> {
        create_hierarchy(mesh, &*self.sealing, self.clock.now(), &*self.random)
    }

    async fn next_issuing(&self, held: &Hierarchy) -> Result<AuthorityRow, Error> {
        held.next_issuing(&*self.sealing, self.clock.now(), &*self.random)
    }

    async fn authority_request(&self, mesh: &MeshIdentity) -> Result<AuthorityRequest, Error> {
        AuthorityRequest::new(mesh, &*self.sealing, self.clock.now(), &*self.random)
    }

    fn forget(&self, mesh: MeshKey) {
        self.all().remove(&mesh);
    }
}
