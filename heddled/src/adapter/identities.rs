//! The xDS server's identities, from the CA.
//!
//! Both sides exchange plain data through an asynchronous trait, and so do the CA and what signs for it, in this process or in
//! one of its own.

use std::sync::Arc;

use async_trait::async_trait;
use heddle_ca::{CertificateAuthority, CertificateRequest, MeshIdentity, Subject, TrustDomain};
use heddle_model::id::AuthorityId;
use heddle_store::Store;
use heddle_store::usage::Meter;
use heddle_xds_server::{
    Certified, Held, IdentitySource, Leaf, MeshKey, Proxy, Replacing, RequestRefused, SourceError,
    Trust,
};
use zeroize::Zeroizing;

use crate::signing::chain;

/// Issues through the CA, and counts what is issued.
pub(crate) struct Identities {
    authority: Arc<CertificateAuthority>,
    store: Store,
}

impl Identities {
    pub(crate) fn new(authority: Arc<CertificateAuthority>, store: Store) -> Self {
        Self { authority, store }
    }

    fn issued(&self, proxy: &Proxy) {
        self.store.count(proxy.mesh.org, Meter::Certificates, 1);
    }
}

fn subject(proxy: &Proxy, trust_domain: &str) -> Result<Subject, SourceError> {
    Ok(Subject {
        org: proxy.mesh.org.uuid(),
        mesh: proxy.mesh.mesh.uuid(),
        trust_domain: domain(trust_domain)?,
        service: proxy.service.to_string(),
        proxy: proxy.proxy.uuid(),
    })
}

fn domain(text: &str) -> Result<TrustDomain, SourceError> {
    TrustDomain::parse(text).map_err(|error| SourceError::new("read the trust domain", error))
}

fn identity(mesh: MeshKey, trust_domain: &str) -> Result<MeshIdentity, SourceError> {
    Ok(MeshIdentity {
        org: mesh.org.uuid(),
        mesh: mesh.mesh.uuid(),
        trust_domain: domain(trust_domain)?,
    })
}

fn told(trust: Result<heddle_ca::Trust, heddle_ca::Error>) -> Result<Trust, SourceError> {
    let trust = trust.map_err(|error| SourceError::new("read what is trusted", chain(&error)))?;
    let retired = trust.replacing.retired.into_iter();
    Ok(Trust {
        roots: trust.roots_pem,
        replacing: Replacing {
            retired: retired.map(AuthorityId::from_uuid).collect(),
            window: trust.replacing.window,
        },
    })
}

#[async_trait]
impl IdentitySource for Identities {
    async fn leaf(&self, proxy: &Proxy, trust_domain: &str) -> Result<Leaf, SourceError> {
        let subject = subject(proxy, trust_domain)?;
        let leaf = self
            .authority
            .leaf(&subject)
            .await
            .map_err(|error| SourceError::new("issue a leaf", chain(&error)))?;
        self.issued(proxy);
        Ok(Leaf {
            serial: leaf.serial.clone(),
            authority: AuthorityId::from_uuid(leaf.authority),
            chain_pem: leaf.chain_pem.clone(),
            key_pem: Zeroizing::new(leaf.key_pem.expose().to_owned()),
            renew_at: leaf.renew_at,
            not_after: leaf.not_after,
        })
    }

    async fn certify(
        &self,
        proxy: &Proxy,
        trust_domain: &str,
        request: &[u8],
    ) -> Result<Result<Certified, RequestRefused>, SourceError> {
        let request = match CertificateRequest::read(request) {
            Ok(request) => request,
            Err(fault) => return Ok(Err(RequestRefused(fault.to_string()))),
        };
        let subject = subject(proxy, trust_domain)?;
        let leaf = self
            .authority
            .certify(&request, &subject)
            .await
            .map_err(|error| SourceError::new("certify a key", chain(&error)))?;
        self.issued(proxy);
        Ok(Ok(Certified {
            spiffe_id: leaf.spiffe_id.as_str().to_owned(),
            serial: leaf.serial,
            chain_pem: leaf.chain_pem,
            renew_at: leaf.renew_at,
            not_after: leaf.not_after,
        }))
    }

    async fn is_current(
        &self,
        proxy: &Proxy,
        trust_domain: &str,
        serial: &str,
    ) -> Result<Option<Held>, SourceError> {
        let subject = subject(proxy, trust_domain)?;
        let held = self
            .authority
            .is_current(&subject, serial)
            .await
            .map_err(|error| SourceError::new("look a serial up", chain(&error)))?;
        Ok(held.map(|held| Held {
            renew_at: held.renew_at,
            authority: AuthorityId::from_uuid(held.authority),
        }))
    }

    async fn trust(&self, mesh: MeshKey, trust_domain: &str) -> Result<Trust, SourceError> {
        told(self.authority.trust(&identity(mesh, trust_domain)?).await)
    }

    async fn trust_since(
        &self,
        mesh: MeshKey,
        trust_domain: &str,
        revision: u64,
    ) -> Result<Trust, SourceError> {
        let identity = identity(mesh, trust_domain)?;
        told(self.authority.trust_since(&identity, revision).await)
    }
}
