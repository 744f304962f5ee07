//! Certificates that are asked for by the API, from the CA that issues those of proxies.

use std::sync::Arc;

use async_trait::async_trait;
use heddle_ca::{CertificateAuthority, CertificateRequest, Error as CaError, Subject, TrustDomain};
use heddle_store::certificates::{Certified, Certifier, For};
use heddle_store::usage::Meter;
use heddle_store::{Cause, Error, Result, Store};

use super::MeshSource;

/// Issues through the CA, and counts what is issued.
pub(crate) struct KeyCertifier {
    authority: Arc<CertificateAuthority>,
    meshes: Arc<MeshSource>,
    store: Store,
}

impl KeyCertifier {
    pub(crate) fn new(
        authority: Arc<CertificateAuthority>,
        meshes: Arc<MeshSource>,
        store: Store,
    ) -> Self {
        Self {
            authority,
            meshes,
            store,
        }
    }
}

/// What stands in the way: the identity itself, or whatever signs.
fn refused(error: CaError) -> Error {
    match &error {
        CaError::Journal(cause) if matches!(cause.downcast_ref(), Some(Error::Barred)) => {
            Error::Barred
        }
        _ => Error::Signer(error.into()),
    }
}

#[async_trait]
impl Certifier for KeyCertifier {
    fn read(&self, text: &str) -> std::result::Result<Vec<u8>, String> {
        let read = CertificateRequest::read_text(text);
        read.map(|request| request.der().to_vec())
            .map_err(|fault| fault.to_string())
    }

    async fn certify(&self, wanted: &For, request: &[u8]) -> Result<Certified> {
        let signer = |cause: Cause| Error::Signer(cause);
        let request = CertificateRequest::read(request).map_err(|fault| signer(fault.into()))?;
        let (org, mesh) = (wanted.mesh.org(), wanted.mesh.mesh());
        if self.meshes.find(org, mesh).is_none() {
            // Younger than the last look at what there is.
            self.meshes.refresh().await?;
        }
        let trust_domain = TrustDomain::parse(&wanted.trust_domain);
        let subject = Subject {
            org: org.uuid(),
            mesh: mesh.uuid(),
            trust_domain: trust_domain.map_err(|error| signer(error.into()))?,
            service: wanted.service.to_string(),
            proxy: wanted.holder,
        };
        let leaf = self.authority.certify(&request, &subject).await;
        let leaf = leaf.map_err(refused)?;
        self.store.count(org, Meter::Certificates, 1);
        // Afterwards: a mesh gets its authorities with its first certificate.
        let trust = self.authority.trust(&subject.mesh_identity()).await;
        let trust = trust.map_err(refused)?;
        tracing::info!(
            org.id = %org,
            mesh.id = %mesh,
            service = %wanted.service,
            serial = leaf.serial,
            "certified a key that was sent to the API"
        );
        Ok(Certified {
            spiffe_id: leaf.spiffe_id.as_str().to_owned(),
            serial: leaf.serial,
            chain_pem: leaf.chain_pem,
            bundle_pem: trust.roots_pem,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            renew_at: leaf.renew_at,
        })
    }
}
