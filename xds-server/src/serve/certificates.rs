//! Certificates for workloads that keep their keys: `heddle.identity.v1`, on the port of the discovery services and for the same proofs.
//!
//! Who somebody is follows from the join token, as it does for an Envoy; what a request says of that is not even read. So an agent is
//! a proxy, is revoked as one, and has no second kind of credential.

mod circle;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use heddle_identity::{
    Caller, IssueRequest, IssueResponse, WatchRequest, WatchResponse, call as path,
};
use heddle_model::code::Code;
use prost::Message;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::allowance::Allowance;
use super::connection;
use super::exchange::Upload;
use super::refuse;
use crate::node;
use crate::source::{AgentSeen, Joined, MeshKey, SnapshotSource, SourceError};

use circle::Circles;

/// The largest message that is read, in bytes: many times a certificate request.
const MESSAGE: usize = 32 << 10;
/// How long something may take that waits for the CA: longer than a process of its own may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many certificates a proxy may ask for at once, and how long until it may ask for another one: each costs a row that stays and a
/// signature. Enough for a process that is started again and again; a proxy needs two in a lifetime.
const AT_ONCE: u32 = 10;
const EVERY: Duration = Duration::from_secs(2);

/// What all connections share of it.
pub(super) struct Desk {
    allowance: Allowance,
    circles: Circles,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            allowance: Allowance::new(AT_ONCE, EVERY),
            circles: Circles::default(),
        }
    }
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Issue,
    Watch,
}

impl Call {
    /// The call at a path, if it is one of these.
    pub(super) fn at(at: &str) -> Option<Self> {
        match at {
            path::ISSUE => Some(Self::Issue),
            path::WATCH => Some(Self::Watch),
            _ => None,
        }
    }
}

/// Answers somebody whose token is good.
pub(super) async fn answer(
    connection: connection::Call,
    call: Call,
    token: String,
    request: http::Request<Upload>,
) -> http::Response<Body> {
    match call {
        Call::Issue => {
            let issue = Asked(move |asked| {
                let (connection, token) = (connection.clone(), token.clone());
                async move {
                    let issued = issue(&connection, &token, asked);
                    let issued = tokio::time::timeout(PATIENCE, issued).await;
                    let late = "no certificate could be made within 10 seconds";
                    issued.unwrap_or_else(|_| Err(Status::deadline_exceeded(late)))
                }
            });
            let mut grpc = grpc::<IssueRequest, IssueResponse>();
            in_time(PATIENCE * 2, grpc.unary(issue, request)).await
        }
        Call::Watch => {
            let watch = Told(move |asked| watch::watch(connection.clone(), token.clone(), asked));
            let mut grpc = grpc::<WatchRequest, WatchResponse>();
            in_time(PATIENCE, grpc.server_streaming(watch, request)).await
        }
    }
}

/// Nobody keeps a call open by not saying what it asks for.
pub(super) async fn in_time(
    patience: Duration,
    answer: impl Future<Output = http::Response<Body>>,
) -> http::Response<Body> {
    let answered = tokio::time::timeout(patience, answer).await;
    let late = || Status::deadline_exceeded("the request did not come in time").into_http();
    answered.unwrap_or_else(|_| late())
}

fn grpc<M, R>() -> Grpc<ProstCodec<R, M>>
where
    M: Message + Default + 'static,
    R: Message + Default + 'static,
{
    Grpc::new(ProstCodec::default()).max_decoding_message_size(MESSAGE)
}

async fn issue(
    connection: &connection::Call,
    token: &str,
    asked: IssueRequest,
) -> Result<IssueResponse, Status> {
    let joined = join(connection, token, asked.caller).await?;
    let server = &connection.server;
    if !server.certificates.allowance.takes(joined.proxy.proxy) {
        return Err(refuse::code(Code::CertificatesTooOften));
    }
    let identities = &server.hub.parts().identities;
    let (proxy, domain) = (&joined.proxy, &joined.trust_domain);
    let certified = identities.certify(proxy, domain, &asked.request).await;
    let certified = certified.map_err(|error| refuse::failed("certify", &error))?;
    let certified = certified.map_err(|refused| refuse::request(&refused))?;
    // Where the mesh was when it joined: whoever trusts this has followed that revision. After the certificate: a mesh gets its
    // authorities with its first.
    let revision = joined.heads.revision;
    let trust = identities.trust_since(proxy.mesh, domain, revision).await;
    let trust = trust.map_err(|error| refuse::failed("read what is trusted", &error))?;
    if !asked.watches {
        // It will say nothing of it.
        let agent = AgentSeen {
            proxy: proxy.proxy,
            serial: Some(certified.serial.clone()),
            revision: Some(revision),
        };
        keep(&server.hub.parts().source, proxy.mesh, agent);
    }
    tracing::info!(
        org.id = %proxy.mesh.org,
        mesh.id = %proxy.mesh.mesh,
        proxy.id = %proxy.proxy,
        service = %proxy.service,
        serial = certified.serial,
        "certified a key"
    );
    Ok(IssueResponse {
        chain: ders(&certified.chain_pem)?,
        bundle: ders(&trust.roots)?,
        version: circle::version(&trust),
        spiffe_id: certified.spiffe_id,
        trust_domain: joined.trust_domain,
        serial: certified.serial,
        not_after: certified.not_after.timestamp(),
        renew_at: certified.renew_at.timestamp(),
    })
}

/// Has kept what somebody was issued who will not say what it holds. Nobody waits for it: without it a rotation takes whoever has the
/// certificate for somebody who is away, and waits until that has ended.
fn keep(source: &Arc<dyn SnapshotSource>, mesh: MeshKey, agent: AgentSeen) {
    let source = Arc::clone(source);
    tokio::spawn(async move {
        if let Err(error) = source.watching(mesh, vec![agent]).await {
            let cause = error.source.to_string();
            tracing::warn!(mesh.id = %mesh.mesh, %error, cause, "cannot keep what somebody was issued");
        }
    });
}

/// Who it is: as for a stream of an Envoy, and by the same proof.
async fn join(
    connection: &connection::Call,
    token: &str,
    caller: Option<Caller>,
) -> Result<Joined, Status> {
    let caller = caller.ok_or_else(|| Status::invalid_argument("the caller is missing"))?;
    let claims = node::agent(&caller.proxy, &caller.service).map_err(refuse::caller)?;
    let source = &connection.server.hub.parts().source;
    let joined = match source.join(token, &claims, connection.from).await {
        Ok(Ok(joined)) => joined,
        Ok(Err(refusal)) => return Err(refuse::refusal(refusal)),
        Err(error) => return Err(refuse::failed("join", &error)),
    };
    let own = joined.proxy.service.as_str();
    if claims.cluster.is_some_and(|claimed| claimed != own) {
        return Err(refuse::code(Code::ProxyMismatch));
    }
    Ok(joined)
}

fn ders(pem: &str) -> Result<Vec<Vec<u8>>, Status> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes());
    let read: Result<Vec<_>, _> = read.map(|der| der.map(|der| der.to_vec())).collect();
    read.map_err(|error| refuse::failed("read PEM", &SourceError::new("read PEM", error)))
}

/// A call, as the server of tonic wants it.
pub(super) struct Asked<F>(pub(super) F);

impl<M, R, F, A> UnaryService<M> for Asked<F>
where
    F: FnMut(M) -> A,
    A: Future<Output = Result<R, Status>> + Send + 'static,
{
    type Response = R;
    type Future = BoxFuture<'static, Result<Response<R>, Status>>;

    fn call(&mut self, request: Request<M>) -> Self::Future {
        let answer = (self.0)(request.into_inner());
        Box::pin(async move { answer.await.map(Response::new) })
    }
}

/// One that is answered with a stream.
struct Told<F>(F);

impl<M, R, F, A> ServerStreamingService<M> for Told<F>
where
    F: FnMut(M) -> A,
    A: Future<Output = Result<BoxStream<'static, Result<R, Status>>, Status>> + Send + 'static,
{
    type Response = R;
    type ResponseStream = BoxStream<'static, Result<R, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<M>) -> Self::Future {
        let answer = (self.0)(request.into_inner());
        Box::pin(async move { answer.await.map(Response::new) })
    }
}
