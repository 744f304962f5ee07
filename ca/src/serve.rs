//! The certificate authority of an installation: what the server asks for leaves and roots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::ambient::Clock;
use crate::authority::{AuthorityKind, AuthorityRow, Hierarchy, MeshIdentity, MeshKey, Replacing};
use crate::error::{Error, Failure};
use crate::issue::{Leaf, renew_at};
use crate::journal::Journal;
use crate::profile::Subject;
use crate::request::CertificateRequest;
use crate::signer::Signer;
use crate::spiffe::TrustDomain;

/// How long before its end somebody is told that an authority needs a successor that Heddle cannot make.
const WARNING: TimeDelta = TimeDelta::days(30);

/// Where the authorities of meshes are kept. The server joins it to its store.
#[async_trait]
pub trait AuthorityStore: Send + Sync {
    /// The authorities of a mesh, if it has any yet.
    ///
    /// # Errors
    /// Whatever the store fails with.
    async fn load(&self, mesh: MeshKey) -> Result<Option<Hierarchy>, Failure>;

    /// Stores the authorities of a mesh that has none, and returns what is stored: of concurrent
    /// creators one wins, and all get the winner's.
    ///
    /// # Errors
    /// Whatever the store fails with.
    async fn create(&self, hierarchy: Hierarchy) -> Result<Hierarchy, Failure>;

    /// Adds the issuing authority that follows that of `replaced`, under the same root, and returns what is in use then: of concurrent renewers one
    /// wins, and all get the winner's. The one that was replaced stays stored. One that is not valid yet by the store's clock
    /// is not added.
    ///
    /// # Errors
    /// Whatever the store fails with.
    async fn renew(
        &self,
        replaced: &Hierarchy,
        issuing: AuthorityRow,
    ) -> Result<Hierarchy, Failure>;
}

/// What a [`CertificateAuthority`] is put together from.
#[derive(Clone)]
pub struct Parts {
    /// Where issuance is recorded.
    pub journal: Arc<dyn Journal>,
    /// Where authorities are kept.
    pub store: Arc<dyn AuthorityStore>,
    /// What signs.
    pub signer: Arc<dyn Signer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Issues leaves for the proxies of all meshes, and has no key itself: see [`Signer`]. What was read of authorities stays in
/// memory: a few kilobytes for every mesh that this process has served.
pub struct CertificateAuthority {
    parts: Parts,
    known: Mutex<BTreeMap<MeshKey, Arc<Known>>>,
}

/// The authorities of one mesh, as they were read last.
struct Known {
    hierarchy: Hierarchy,
    trust_domain: TrustDomain,
    trust: Trust,
    /// A revision of the mesh that was known before they were read.
    revision: u64,
}

/// What the proxies of a mesh are told of its authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The roots that they trust, in PEM, one after the other.
    pub roots_pem: String,
    /// Which leaves are to be replaced before they are due.
    pub replacing: Replacing,
}

/// A leaf that a proxy holds and that it may go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it is due.
    pub renew_at: DateTime<Utc>,
    /// What signed it.
    pub authority: Uuid,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority")
            .finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// A certificate authority.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            known: Mutex::default(),
        }
    }

    /// A new leaf with a new key for a subject that has proved who it is. The mesh's authorities are made
    /// when this is the first of its leaves.
    ///
    /// # Errors
    /// Any [`Error`]; nothing was signed, unless it is [`Error::Check`], and then nobody has seen it.
    pub async fn leaf(&self, subject: &Subject) -> Result<Leaf, Error> {
        let mesh = subject.mesh_identity();
        let signer = &self.parts.signer;
        let known = self.read(&mesh).await?;
        let leaf = match signer.leaf(subject, &known.hierarchy).await {
            // Another server has put another authority in its place since it was read.
            Err(Error::Superseded) => {
                let known = self.read_again(&mesh, 0).await?;
                signer.leaf(subject, &known.hierarchy).await?
            }
            issued => issued?,
        };
        issued(subject, &leaf);
        Ok(leaf)
    }

    /// A new leaf for the key of a request, for a subject that has proved who it is by other means than the request.
    ///
    /// # Errors
    /// As [`CertificateAuthority::leaf`].
    pub async fn certify(
        &self,
        request: &CertificateRequest,
        subject: &Subject,
    ) -> Result<Leaf<()>, Error> {
        let mesh = subject.mesh_identity();
        let signer = &self.parts.signer;
        let known = self.read(&mesh).await?;
        let leaf = match signer.certify(request, subject, &known.hierarchy).await {
            // As above.
            Err(Error::Superseded) => {
                let known = self.read_again(&mesh, 0).await?;
                signer.certify(request, subject, &known.hierarchy).await?
            }
            signed => signed?,
        };
        issued(subject, &leaf);
        Ok(leaf)
    }

    /// Whether the leaf with this serial, which the proxy says it holds, needs no replacement yet, and when
    /// it will: it was issued to this very proxy, is not revoked, and is before its half-life.
    ///
    /// # Errors
    /// [`Error::Journal`]. A serial that is unknown or malformed is `None`, not an error: the text comes
    /// from outside.
    pub async fn is_current(&self, subject: &Subject, serial: &str) -> Result<Option<Held>, Error> {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if serial.len() != 32 || !serial.bytes().all(hex) {
            return Ok(None);
        }
        let found = self.parts.journal.lookup(subject.mesh_key(), serial).await;
        let Some(row) = found.map_err(Error::Journal)? else {
            return Ok(None);
        };
        if row.proxy != subject.proxy || row.revoked_at.is_some() {
            return Ok(None);
        }
        let now = self.parts.clock.now();
        let half_life = row.issued_at + (row.not_after - row.issued_at) / 2;
        let due = renew_at(row.issued_at, row.not_after, serial);
        let held = Held {
            renew_at: due,
            authority: row.authority,
        };
        Ok((now >= row.not_before && now < half_life.min(due)).then_some(held))
    }

    /// What the proxies of a mesh trust now, by the store and not by what is remembered: asked for when the mesh may have changed.
    /// Made with the rest of its authorities when it has none yet.
    ///
    /// # Errors
    /// Any [`Error`] of loading, opening or making the authorities.
    pub async fn trust(&self, mesh: &MeshIdentity) -> Result<Trust, Error> {
        let known = self.read_again(mesh, 0).await?;
        require(mesh, &known.trust_domain)?;
        Ok(known.trust.clone())
    }

    /// What the proxies of a mesh trust, no older than a revision of the mesh that the caller has seen in the store: whatever changes whom a
    /// mesh trusts makes a revision of it. So for as many as come at one revision the store is asked once.
    ///
    /// # Errors
    /// As [`CertificateAuthority::trust`].
    pub async fn trust_since(&self, mesh: &MeshIdentity, revision: u64) -> Result<Trust, Error> {
        let known = self.all().get(&mesh.key()).cloned();
        let known = match known.filter(|known| known.revision >= revision) {
            Some(known) => known,
            None => self.read_again(mesh, revision).await?,
        };
        require(mesh, &known.trust_domain)?;
        Ok(known.trust.clone())
    }

    /// Drops what is held in memory for a mesh, when it is deleted or its authorities have changed.
    pub fn forget(&self, mesh: MeshKey) {
        self.all().remove(&mesh);
        self.parts.signer.forget(mesh);
    }

    async fn read(&self, mesh: &MeshIdentity) -> Result<Arc<Known>, Error> {
        let now = self.parts.clock.now();
        let known = self.all().get(&mesh.key()).cloned();
        match known {
            // One that is due is asked for again: another replica may have replaced it.
            Some(known) if now < known.hierarchy.due() => Ok(known),
            _ => self.read_again(mesh, 0).await,
        }
    }

    /// The authorities as they are stored now; a revision of the mesh that was seen before.
    async fn read_again(&self, mesh: &MeshIdentity, seen: u64) -> Result<Arc<Known>, Error> {
        // What is read from here on is no older than what was read before.
        let before = self
            .all()
            .get(&mesh.key())
            .map_or(0, |known| known.revision);
        let revision = before.max(seen);
        let now = self.parts.clock.now();
        let stored = self.parts.store.load(mesh.key()).await;
        let mut hierarchy = match stored.map_err(Error::Store)? {
            Some(hierarchy) => hierarchy,
            None => self.create(mesh).await?,
        };
        if hierarchy.root.is_of_others() {
            warn_of_the_end(&hierarchy, now);
        } else if now >= hierarchy.due() {
            hierarchy = self.renew(hierarchy).await;
        }
        let known = self.all().get(&mesh.key()).cloned();
        if let Some(known) = known
            && known.revision >= revision
            && known.hierarchy == hierarchy
        {
            return Ok(known);
        }
        let Hierarchy { root, issuing, .. } = &hierarchy;
        let placed = root.mesh_key() == mesh.key() && issuing.mesh_key() == mesh.key();
        if !placed || root.kind != AuthorityKind::Root {
            return Err(Error::Inconsistent("authorities of another mesh or kind"));
        }
        let known = Arc::new(Known {
            trust_domain: hierarchy.trust_domain()?,
            trust: Trust {
                roots_pem: hierarchy.bundle()?,
                replacing: hierarchy.replacing.clone(),
            },
            hierarchy,
            revision,
        });
        self.keep(mesh.key(), &known);
        Ok(known)
    }

    /// Unless somebody who began later was faster.
    fn keep(&self, mesh: MeshKey, read: &Arc<Known>) {
        let mut all = self.all();
        let newer = all
            .get(&mesh)
            .is_some_and(|known| known.revision > read.revision);
        if !newer {
            all.insert(mesh, Arc::clone(read));
        }
    }

    async fn create(&self, mesh: &MeshIdentity) -> Result<Hierarchy, Error> {
        let made = self.parts.signer.authorities(mesh).await?;
        let own = made.root.id;
        let stored = self.parts.store.create(made).await.map_err(Error::Store)?;
        if stored.root.id == own {
            tracing::info!(
                org.id = %mesh.org,
                mesh.id = %mesh.mesh,
                trust_domain = %mesh.trust_domain,
                "authorities created"
            );
        }
        Ok(stored)
    }

    /// Replaces the issuing authority, or leaves it as it is when that fails: it is good for a week more, and the next
    /// leaf tries again.
    async fn renew(&self, held: Hierarchy) -> Hierarchy {
        match self.try_renew(&held).await {
            Ok(renewed) => renewed,
            Err(error) => {
                tracing::warn!(
                    %error,
                    org.id = %held.issuing.org,
                    mesh.id = %held.issuing.mesh,
                    not_after = %held.issuing.not_after,
                    "the issuing authority was not replaced; trying again with the next leaf"
                );
                held
            }
        }
    }

    async fn try_renew(&self, held: &Hierarchy) -> Result<Hierarchy, Error> {
        let made = self.parts.signer.next_issuing(held).await?;
        let (own, serial) = (made.id, made.serial.clone());
        let stored = self.parts.store.renew(held, made).await;
        let stored = stored.map_err(Error::Store)?;
        if stored.issuing.id == held.issuing.id {
            return Err(Error::Store("it took no successor".into()));
        }
        if stored.issuing.id == own {
            tracing::info!(
                org.id = %held.issuing.org,
                mesh.id = %held.issuing.mesh,
                %serial,
                replaced = %held.issuing.serial,
                "issuing authority replaced"
            );
        }
        Ok(stored)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<MeshKey, Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn issued<K>(subject: &Subject, leaf: &Leaf<K>) {
    tracing::debug!(
        org.id = %subject.org,
        mesh.id = %subject.mesh,
        proxy.id = %subject.proxy,
        serial = %leaf.serial,
        not_after = %leaf.not_after,
        "leaf issued"
    );
}

/// Where Heddle cannot make the successor, somebody has to hear of the end in time.
fn warn_of_the_end(hierarchy: &Hierarchy, now: DateTime<Utc>) {
    let issuing = &hierarchy.issuing;
    if now >= issuing.not_after - WARNING {
        tracing::warn!(
            org.id = %issuing.org,
            mesh.id = %issuing.mesh,
            not_after = %issuing.not_after,
            "the issuing authority ends, and the owner of its root has to sign another one"
        );
    }
}

/// C07: a mesh is served only under the trust domain its authorities were made for.
fn require(asked: &MeshIdentity, held: &TrustDomain) -> Result<(), Error> {
    if asked.trust_domain == *held {
        return Ok(());
    }
    let (asked, held) = (asked.trust_domain.clone(), held.clone());
    Err(Error::ForeignTrustDomain { asked, held })
}

#[cfg(test)]
mod tests;
