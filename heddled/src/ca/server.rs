//! The end with the key: answers what [`super::wire`] can ask.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anyhow::{Context as _, bail};
use futures::future::BoxFuture;
use heddle_ca::{
    Aad, AuthorityRow, CertificateRequest, Error, Hierarchy, Keyring, Leaf, LocalSigner,
    MeshIdentity, MeshKey, SealError, SealingKey as _, Signer as _, Subject, TrustDomain,
};
use heddle_model::id::OrgId;
use heddle_store::reseal::Place;
use prost::Message;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use super::wire::{self, call};
use crate::adapter::{Authorities, sealed_for};
use crate::signing;

/// What answers, and what it answers with.
pub(crate) struct Desk {
    authorities: Arc<Authorities>,
    signer: LocalSigner,
    keyring: Arc<Keyring>,
    known: Mutex<BTreeMap<MeshKey, Arc<Hierarchy>>>,
}

impl Desk {
    pub(crate) fn new(
        authorities: Arc<Authorities>,
        signer: LocalSigner,
        keyring: Arc<Keyring>,
    ) -> Self {
        Self {
            authorities,
            signer,
            keyring,
            known: Mutex::default(),
        }
    }

    async fn issue(
        self: Arc<Self>,
        asked: wire::IssueRequest,
    ) -> Result<wire::IssueResponse, Status> {
        let (subject, hierarchy) = self.wanted(asked).await?;
        let leaf = self.signer.leaf(&subject, &hierarchy).await;
        let leaf = leaf.map_err(|error| status(&error))?;
        let key = leaf.key_pem.expose().to_owned();
        Ok(issued(leaf, key))
    }

    async fn certify(
        self: Arc<Self>,
        asked: wire::CertifyRequest,
    ) -> Result<wire::IssueResponse, Status> {
        let request = CertificateRequest::read(&asked.request);
        let request = request.map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        let wanted = asked
            .leaf
            .ok_or_else(|| Status::invalid_argument("no leaf is described"))?;
        let (subject, hierarchy) = self.wanted(wanted).await?;
        let leaf = self.signer.certify(&request, &subject, &hierarchy).await;
        let leaf = leaf.map_err(|error| status(&error))?;
        Ok(issued(leaf, String::new()))
    }

    /// Whom a leaf is for, and what signs it.
    async fn wanted(&self, asked: wire::IssueRequest) -> Result<(Subject, Arc<Hierarchy>), Status> {
        let mesh = mesh(asked.mesh)?;
        let subject = Subject {
            org: mesh.org,
            mesh: mesh.mesh,
            trust_domain: mesh.trust_domain.clone(),
            service: asked.service,
            proxy: id(&asked.proxy)?,
        };
        let hierarchy = self.signing(mesh.key(), id(&asked.issuing)?).await?;
        Ok((subject, hierarchy))
    }

    /// The authorities whose issuing one is the one asked for, read again when it is not the one that is known.
    async fn signing(&self, mesh: MeshKey, issuing: Uuid) -> Result<Arc<Hierarchy>, Status> {
        let known = self.all().get(&mesh).cloned();
        if let Some(known) = known.filter(|known| known.issuing.id == issuing) {
            return Ok(known);
        }
        let read = self
            .authorities
            .signing(mesh)
            .await
            .map_err(|e| status(&Error::Store(e)))?;
        let read = Arc::new(read.ok_or_else(|| Status::not_found("the mesh has no authorities"))?);
        self.all().insert(mesh, Arc::clone(&read));
        if read.issuing.id == issuing {
            Ok(read)
        } else {
            Err(status(&Error::Superseded))
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<MeshKey, Arc<Hierarchy>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make_root(
        self: Arc<Self>,
        asked: wire::MakeRootRequest,
    ) -> Result<wire::MakeRootResponse, Status> {
        let mesh = self.own(asked.mesh).await?;
        let made = self.signer.authorities(&mesh).await;
        let made = made.map_err(|error| status(&error))?;
        Ok(wire::MakeRootResponse {
            root: Some(authority(made.root)),
            issuing: Some(authority(made.issuing)),
        })
    }

    async fn make_request(
        self: Arc<Self>,
        asked: wire::MakeRequestRequest,
    ) -> Result<wire::MakeRequestResponse, Status> {
        let mesh = self.own(asked.mesh).await?;
        let made = self.signer.authority_request(&mesh).await;
        let made = made.map_err(|error| status(&error))?;
        Ok(wire::MakeRequestResponse {
            id: bytes(made.id),
            request_pem: made.request_pem,
            sealed_key: made.sealed_key,
        })
    }

    /// C07: authorities are made for the trust domain that the database says is this mesh's, whoever asks.
    async fn own(&self, asked: Option<wire::Mesh>) -> Result<MeshIdentity, Status> {
        let mesh = mesh(asked)?;
        let own = self.authorities.trust_domain(mesh.key()).await;
        let own = own.map_err(|error| status(&Error::Store(error)))?;
        if own.as_deref() != Some(mesh.trust_domain.as_str()) {
            return Err(Status::permission_denied(
                "the trust domain is not that of the mesh",
            ));
        }
        Ok(mesh)
    }

    async fn make_issuing(
        self: Arc<Self>,
        asked: wire::MakeIssuingRequest,
    ) -> Result<wire::MakeIssuingResponse, Status> {
        let mesh = mesh(asked.mesh)?;
        let (root, issuing) = (id(&asked.root)?, id(&asked.issuing)?);
        let held = self.authorities.pair(mesh.key(), root, issuing).await;
        let held = held.map_err(|error| status(&Error::Store(error)))?;
        let held = held.ok_or_else(|| Status::not_found("the mesh has no such authorities"))?;
        let made = self.signer.next_issuing(&held).await;
        Ok(wire::MakeIssuingResponse {
            issuing: Some(authority(made.map_err(|error| status(&error))?)),
        })
    }

    async fn seal_session_key(
        self: Arc<Self>,
        asked: wire::SessionKey,
    ) -> Result<wire::SessionKey, Status> {
        let plain = zeroize::Zeroizing::new(asked.key);
        let place = sealed_for(Place::SessionKey { id: id(&asked.id)? });
        let sealed = self.keyring.seal(&place, &plain);
        Ok(wire::SessionKey {
            id: asked.id,
            key: sealed.map_err(|error| status(&error.into()))?,
        })
    }

    async fn open_session_key(
        self: Arc<Self>,
        asked: wire::SessionKey,
    ) -> Result<wire::SessionKey, Status> {
        let place = sealed_for(Place::SessionKey { id: id(&asked.id)? });
        let plain = self.keyring.open(&place, &asked.key);
        Ok(wire::SessionKey {
            id: asked.id,
            key: plain.map_err(|error| status(&error.into()))?.to_vec(),
        })
    }

    async fn seal_second_factor(
        self: Arc<Self>,
        asked: wire::OrgSecret,
    ) -> Result<wire::OrgSecret, Status> {
        self.seal_for(second_factor, asked)
    }

    async fn open_second_factor(
        self: Arc<Self>,
        asked: wire::OrgSecret,
    ) -> Result<wire::OrgSecret, Status> {
        self.open_for(second_factor, &asked)
    }

    async fn seal_sso_connection(
        self: Arc<Self>,
        asked: wire::OrgSecret,
    ) -> Result<wire::OrgSecret, Status> {
        self.seal_for(sso_connection, asked)
    }

    async fn open_sso_connection(
        self: Arc<Self>,
        asked: wire::OrgSecret,
    ) -> Result<wire::OrgSecret, Status> {
        self.open_for(sso_connection, &asked)
    }

    async fn seal_webhook(
        self: Arc<Self>,
        asked: wire::OrgSecret,
    ) -> Result<wire::OrgSecret, Status> {
        self.seal_for(webhook, asked)
    }

    async fn open_webhook(
        self: Arc<Self>,
        asked: wire::OrgSecret,
    ) -> Result<wire::OrgSecret, Status> {
        self.open_for(webhook, &asked)
    }

    fn seal_for(&self, place: OfOrg, asked: wire::OrgSecret) -> Result<wire::OrgSecret, Status> {
        let place = of_org(place, &asked)?;
        let plain = zeroize::Zeroizing::new(asked.key);
        let sealed = self.keyring.seal(&place, &plain);
        Ok(wire::OrgSecret {
            key: sealed.map_err(|error| status(&error.into()))?,
            ..wire::OrgSecret::default()
        })
    }

    fn open_for(&self, place: OfOrg, asked: &wire::OrgSecret) -> Result<wire::OrgSecret, Status> {
        let plain = self.keyring.open(&of_org(place, asked)?, &asked.key);
        Ok(wire::OrgSecret {
            key: plain.map_err(|error| status(&error.into()))?.to_vec(),
            ..wire::OrgSecret::default()
        })
    }

    /// Seals and opens something, which shows that the token is there, and asks the database.
    async fn check(self: Arc<Self>, _: wire::CheckRequest) -> Result<wire::CheckResponse, Status> {
        signing::check(&self.keyring).map_err(|error| status(&error))?;
        let answers = self.authorities.ping().await;
        answers.map_err(|error| status(&Error::Store(error)))?;
        Ok(wire::CheckResponse {})
    }
}

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn id(bytes: &[u8]) -> Result<Uuid, Status> {
    wire::id(bytes).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// Makes a place of what an organisation keeps sealed.
type OfOrg = fn(OrgId, Uuid) -> Place;

fn second_factor(org: OrgId, id: Uuid) -> Place {
    Place::SecondFactor { org, id }
}

fn sso_connection(org: OrgId, id: Uuid) -> Place {
    Place::SsoConnection { org, id }
}

fn webhook(org: OrgId, id: Uuid) -> Place {
    Place::Webhook { org, id }
}

/// What it is sealed for.
fn of_org(place: OfOrg, asked: &wire::OrgSecret) -> Result<Aad, Status> {
    let org = OrgId::from_uuid(id(&asked.org)?);
    Ok(sealed_for(place(org, id(&asked.id)?)))
}

fn mesh(asked: Option<wire::Mesh>) -> Result<MeshIdentity, Status> {
    let asked = asked.ok_or_else(|| Status::invalid_argument("no mesh is named"))?;
    let trust_domain = TrustDomain::parse(&asked.trust_domain);
    Ok(MeshIdentity {
        org: id(&asked.org)?,
        mesh: id(&asked.mesh)?,
        trust_domain: trust_domain.map_err(|error| Status::invalid_argument(error.to_string()))?,
    })
}

fn issued<K>(leaf: Leaf<K>, key_pem: String) -> wire::IssueResponse {
    wire::IssueResponse {
        serial: leaf.serial,
        authority: bytes(leaf.authority),
        spiffe_id: leaf.spiffe_id.as_str().to_owned(),
        chain_pem: leaf.chain_pem,
        key_pem,
        issued_at: leaf.issued_at.timestamp_micros(),
        not_before: leaf.not_before.timestamp_micros(),
        not_after: leaf.not_after.timestamp_micros(),
        renew_at: leaf.renew_at.timestamp_micros(),
    }
}

fn authority(row: AuthorityRow) -> wire::Authority {
    wire::Authority {
        id: bytes(row.id),
        certificate_pem: row.certificate_pem,
        sealed_key: row.sealed_key,
        serial: row.serial,
        not_before: row.not_before.timestamp_micros(),
        not_after: row.not_after.timestamp_micros(),
    }
}

/// What the other end is told; the rest is said here. Neither holds key material.
fn status(error: &Error) -> Status {
    let told = match error {
        Error::Superseded => return Status::failed_precondition(error.to_string()),
        Error::Store(_) | Error::Journal(_) | Error::Seal(SealError::Token(_)) => {
            Status::unavailable(error.to_string())
        }
        Error::ForeignTrustDomain { .. } => Status::permission_denied(error.to_string()),
        _ => Status::internal(error.to_string()),
    };
    tracing::warn!(error = signing::chain(error), "refused");
    told
}

/// A call with its answer, as the server of tonic wants it.
struct Unary<M, F> {
    desk: Arc<Desk>,
    answer: fn(Arc<Desk>, M) -> F,
}

impl<M, R, F> UnaryService<M> for Unary<M, F>
where
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    type Response = R;
    type Future = BoxFuture<'static, Result<Response<R>, Status>>;

    fn call(&mut self, request: Request<M>) -> Self::Future {
        let answer = (self.answer)(Arc::clone(&self.desk), request.into_inner());
        Box::pin(async move { answer.await.map(Response::new) })
    }
}

/// The service on the socket.
#[derive(Clone)]
struct Answering(Arc<Desk>);

type Answer = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

impl Answering {
    fn unary<M, R, F>(&self, request: http::Request<Body>, answer: fn(Arc<Desk>, M) -> F) -> Answer
    where
        M: Message + Default + Send + 'static,
        R: Message + Default + Send + 'static,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        let desk = Arc::clone(&self.0);
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<R, M>::default());
            Ok(grpc.unary(Unary { desk, answer }, request).await)
        })
    }
}

impl Service<http::Request<Body>> for Answering {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        match request.uri().path() {
            call::ISSUE => self.unary(request, Desk::issue),
            call::CERTIFY => self.unary(request, Desk::certify),
            call::MAKE_ROOT => self.unary(request, Desk::make_root),
            call::MAKE_ISSUING => self.unary(request, Desk::make_issuing),
            call::MAKE_REQUEST => self.unary(request, Desk::make_request),
            call::SEAL_SESSION_KEY => self.unary(request, Desk::seal_session_key),
            call::OPEN_SESSION_KEY => self.unary(request, Desk::open_session_key),
            call::SEAL_SECOND_FACTOR => self.unary(request, Desk::seal_second_factor),
            call::OPEN_SECOND_FACTOR => self.unary(request, Desk::open_second_factor),
            call::SEAL_SSO_CONNECTION => self.unary(request, Desk::seal_sso_connection),
            call::OPEN_SSO_CONNECTION => self.unary(request, Desk::open_sso_connection),
            call::SEAL_WEBHOOK => self.unary(request, Desk::seal_webhook),
            call::OPEN_WEBHOOK => self.unary(request, Desk::open_webhook),
            call::CHECK => self.unary(request, Desk::check),
            _ => Box::pin(async { Ok(Status::unimplemented("there is no such call").into_http()) }),
        }
    }
}

/// Serves on a socket until it is shut down. The socket is for its owner and its group, from the first moment on.
///
/// # Errors
/// The socket cannot be made, or another process serves on it.
pub(crate) async fn serve(
    path: &Path,
    desk: Desk,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let socket = Socket::bind(path).await?;
    tracing::info!(socket = %path.display(), version = env!("CARGO_PKG_VERSION"), "signing");
    let connections = UnixListenerStream::new(socket.listener);
    tonic::transport::Server::builder()
        .serve_with_incoming_shutdown(
            Answering(Arc::new(desk)),
            connections,
            shutdown.cancelled_owned(),
        )
        .await
        .context("serve on the socket")?;
    Ok(())
}

/// A socket in the file system, which is taken away with this.
struct Socket {
    listener: UnixListener,
    _file: Removed,
}

/// A file that is removed when this is dropped.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // Whoever comes next removes it otherwise.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    async fn bind(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if tokio::net::UnixStream::connect(path).await.is_ok() {
            bail!("another process serves on {shown}");
        }
        // Made beside its place and moved there once nobody else may use it.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let listener = UnixListener::bind(&beside)
            .with_context(|| format!("make the socket {}", beside.display()))?;
        let mode = std::fs::Permissions::from_mode(0o660);
        std::fs::set_permissions(&beside, mode)
            .and_then(|()| std::fs::rename(&beside, path))
            .with_context(|| format!("put the socket in its place, {shown}"))?;
        Ok(Self {
            listener,
            _file: Removed(path.to_owned()),
        })
    }
}
