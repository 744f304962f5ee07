//! The end without a key: signs by asking the process that has it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use heddle_ca::{
    AuthorityKind, AuthorityRequest, AuthorityRow, CertificateRequest, Error, Failure, Hierarchy,
    Leaf, MeshIdentity, MeshKey, SecretPem, Signer, SpiffeId, Subject,
};
use heddle_store::reseal::Place;
use heddle_store::{Cause, KeySealer};
use http::uri::PathAndQuery;
use prost::Message;
use secrecy::SecretSlice;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use super::wire::{self, call};

/// How long an answer may take: longer than a database that is slow, and much shorter than a leaf has left.
const PATIENCE: Duration = Duration::from_secs(5);

/// The certificate authority in another process.
#[derive(Clone, Debug)]
pub(crate) struct Remote(Channel);

impl Remote {
    /// Talks through a socket; connects when something is to be said, and again when the other end was away.
    ///
    /// # Errors
    /// The path is no text.
    pub(crate) fn new(socket: &Path) -> anyhow::Result<Self> {
        let path = socket.to_str().context("ca_socket is no text")?;
        let endpoint = Endpoint::from_shared(format!("unix:{path}")).context("ca_socket")?;
        let endpoint = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE);
        Ok(Self(endpoint.connect_lazy()))
    }

    async fn ask<M, R>(&self, path: &'static str, message: M) -> Result<R, Error>
    where
        M: Message + Default + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready()
            .await
            .map_err(|error| Error::Away(error.into()))?;
        let codec = ProstCodec::<M, R>::default();
        let path = PathAndQuery::from_static(path);
        let answer = grpc.unary(Request::new(message), path, codec).await;
        answer.map(tonic::Response::into_inner).map_err(refused)
    }

    /// Whether the other end could sign now.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Refused`].
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let answer: wire::CheckResponse = self.ask(call::CHECK, wire::CheckRequest {}).await?;
        let wire::CheckResponse {} = answer;
        Ok(())
    }

    async fn session_key(
        &self,
        path: &'static str,
        id: Uuid,
        key: &[u8],
    ) -> Result<Vec<u8>, Cause> {
        let asked = wire::SessionKey {
            id: bytes(id),
            key: key.to_vec(),
        };
        let answer: wire::SessionKey = self.ask(path, asked).await?;
        Ok(answer.key)
    }

    async fn org_secret(
        &self,
        path: &'static str,
        (org, id): (Uuid, Uuid),
        key: &[u8],
    ) -> Result<Vec<u8>, Cause> {
        let asked = wire::OrgSecret {
            org: bytes(org),
            id: bytes(id),
            key: key.to_vec(),
        };
        let answer: wire::OrgSecret = self.ask(path, asked).await?;
        Ok(answer.key)
    }
}

fn refused(status: Status) -> Error {
    match status.code() {
        Code::FailedPrecondition => Error::Superseded,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            Error::Away(Failure::from(status))
        }
        _ => Error::Refused(status.message().to_owned()),
    }
}

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn mesh(of: &MeshIdentity) -> Option<wire::Mesh> {
    Some(wire::Mesh {
        org: bytes(of.org),
        mesh: bytes(of.mesh),
        trust_domain: of.trust_domain.to_string(),
    })
}

fn wanted(subject: &Subject, authorities: &Hierarchy) -> wire::IssueRequest {
    wire::IssueRequest {
        mesh: mesh(&subject.mesh_identity()),
        service: subject.service.clone(),
        proxy: bytes(subject.proxy),
        issuing: bytes(authorities.issuing.id),
    }
}

/// The other end is of our own making; an answer that makes no sense is still an error and no panic.
fn senseless(error: &anyhow::Error) -> Error {
    Error::Refused(format!("its answer makes no sense: {error:#}"))
}

fn leaf<K>(answer: wire::IssueResponse, key: fn(String) -> K) -> anyhow::Result<Leaf<K>> {
    Ok(Leaf {
        serial: answer.serial,
        authority: wire::id(&answer.authority)?,
        spiffe_id: SpiffeId::parse(&answer.spiffe_id)?,
        chain_pem: answer.chain_pem,
        key_pem: key(answer.key_pem),
        issued_at: wire::time(answer.issued_at)?,
        not_before: wire::time(answer.not_before)?,
        not_after: wire::time(answer.not_after)?,
        renew_at: wire::time(answer.renew_at)?,
    })
}

fn authority(
    mesh: MeshKey,
    kind: AuthorityKind,
    answer: Option<wire::Authority>,
) -> anyhow::Result<AuthorityRow> {
    let answer = answer.context("an authority is missing")?;
    Ok(AuthorityRow {
        id: wire::id(&answer.id)?,
        org: mesh.org,
        mesh: mesh.mesh,
        kind,
        certificate_pem: answer.certificate_pem,
        sealed_key: answer.sealed_key,
        serial: answer.serial,
        not_before: wire::time(answer.not_before)?,
        not_after: wire::time(answer.not_after)?,
    })
}

#[async_trait]
impl Signer for Remote {
    async fn leaf(&self, subject: &Subject, authorities: &Hierarchy) -> Result<Leaf, Error> {
        let asked = wanted(subject, authorities);
        leaf(self.ask(call::ISSUE, asked).await?, SecretPem::new).map_err(|error| senseless(&error))
    }

    async fn certify(
        &self,
        request: &CertificateRequest,
        subject: &Subject,
        authorities: &Hierarchy,
    ) -> Result<Leaf<()>, Error> {
        let asked = wire::CertifyRequest {
            leaf: Some(wanted(subject, authorities)),
            request: request.der().to_vec(),
        };
        leaf(self.ask(call::CERTIFY, asked).await?, drop).map_err(|error| senseless(&error))
    }

    async fn authorities(&self, of: &MeshIdentity) -> Result<Hierarchy, Error> {
        let asked = wire::MakeRootRequest { mesh: mesh(of) };
        let answer: wire::MakeRootResponse = self.ask(call::MAKE_ROOT, asked).await?;
        let read = |kind, row| authority(of.key(), kind, row).map_err(|error| senseless(&error));
        Ok(Hierarchy::new(
            read(AuthorityKind::Root, answer.root)?,
            read(AuthorityKind::Issuing, answer.issuing)?,
        ))
    }

    async fn next_issuing(&self, held: &Hierarchy) -> Result<AuthorityRow, Error> {
        let of = held.mesh_identity()?;
        let asked = wire::MakeIssuingRequest {
            mesh: mesh(&of),
            root: bytes(held.root.id),
            issuing: bytes(held.issuing.id),
        };
        let answer: wire::MakeIssuingResponse = self.ask(call::MAKE_ISSUING, asked).await?;
        authority(of.key(), AuthorityKind::Issuing, answer.issuing)
            .map_err(|error| senseless(&error))
    }

    async fn authority_request(&self, of: &MeshIdentity) -> Result<AuthorityRequest, Error> {
        let asked = wire::MakeRequestRequest { mesh: mesh(of) };
        let answer: wire::MakeRequestResponse = self.ask(call::MAKE_REQUEST, asked).await?;
        Ok(AuthorityRequest {
            id: wire::id(&answer.id).map_err(|error| senseless(&error))?,
            request_pem: answer.request_pem,
            sealed_key: answer.sealed_key,
        })
    }

    /// It remembers for itself.
    fn forget(&self, _: MeshKey) {}
}

#[async_trait]
impl KeySealer for Remote {
    async fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, Cause> {
        match place {
            Place::SessionKey { id } => self.session_key(call::SEAL_SESSION_KEY, id, plain).await,
            Place::SecondFactor { org, id } => {
                let path = call::SEAL_SECOND_FACTOR;
                self.org_secret(path, (org.uuid(), id), plain).await
            }
            Place::SsoConnection { org, id } => {
                let path = call::SEAL_SSO_CONNECTION;
                self.org_secret(path, (org.uuid(), id), plain).await
            }
            Place::Webhook { org, id } => {
                let path = call::SEAL_WEBHOOK;
                self.org_secret(path, (org.uuid(), id), plain).await
            }
            // They are sealed where they are made, and opened there alone.
            Place::Authority { .. } => Err("an authority's key is not sealed from here".into()),
        }
    }

    async fn open(&self, place: Place, sealed: &[u8]) -> Result<SecretSlice<u8>, Cause> {
        let plain = match place {
            Place::SessionKey { id } => {
                let path = call::OPEN_SESSION_KEY;
                self.session_key(path, id, sealed).await?
            }
            Place::SecondFactor { org, id } => {
                let path = call::OPEN_SECOND_FACTOR;
                self.org_secret(path, (org.uuid(), id), sealed).await?
            }
            Place::SsoConnection { org, id } => {
                let path = call::OPEN_SSO_CONNECTION;
                self.org_secret(path, (org.uuid(), id), sealed).await?
            }
            Place::Webhook { org, id } => {
                let path = call::OPEN_WEBHOOK;
                self.org_secret(path, (org.uuid(), id), sealed).await?
            }
            Place::Authority { .. } => {
                return Err("an authority's key is not opened from here".into());
            }
        };
        Ok(SecretSlice::from(plain))
    }
}
