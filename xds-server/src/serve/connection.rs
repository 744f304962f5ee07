//! One connection: its handshake, the streams that are let in on it, and its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use heddle_model::code::Code;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::{Status, Streaming};

use super::frames::Frames;
use super::identity::Identity;
use super::method::Method;
use super::outbox::{Outlet, outbox};
use super::stream::Stream;
use super::together::{Handover, Together};
use super::{Options, certificates, refuse, reports};
use crate::codec::{Inbound, Requests};
use crate::graph::Hub;
use crate::node;

/// How long a client may take for its handshake, and then for its first message.
const HANDSHAKE: Duration = Duration::from_secs(5);
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// The largest message that is read, in bytes (X41).
const MESSAGE: usize = 4 << 20;
/// The streams of a connection, and the bytes of a request's headers.
const STREAMS_PER_CONNECTION: u32 = 16;
const HEADERS: u32 = 16 << 10;
/// How long a connection that is told to go may take for its last words.
const GOODBYE: Duration = Duration::from_secs(10);

/// What all connections share.
pub(super) struct Server {
    pub(super) hub: Arc<Hub>,
    pub(super) tls: TlsAcceptor,
    pub(super) handshakes: Semaphore,
    pub(super) options: Options,
    pub(super) certificates: certificates::Desk,
    pub(super) reports: reports::Desk,
    pub(super) tasks: TaskTracker,
}

/// One connection's part in it.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    /// The other end.
    pub(super) from: IpAddr,
    /// The certificate that it has shown, if it has.
    pub(super) shown: Option<Arc<reports::Shown>>,
    /// The server stops.
    pub(super) shutdown: CancellationToken,
    /// Ends this connection's streams.
    pub(super) drain: CancellationToken,
    /// Ends it at once, with all that waits to be read by its peer.
    pub(super) abort: CancellationToken,
    /// The server has no time left.
    pub(super) kill: CancellationToken,
}

impl Connection {
    pub(super) async fn run(mut self, socket: TcpStream, after: Duration, age: Duration) {
        // Latency counts, and frames are written whole.
        let _best_effort = socket.set_nodelay(true);
        // Apart as well.
        let handshake = Box::pin(async {
            // Who says nothing takes nobody's turn.
            socket.readable().await?;
            let _turn = self.server.handshakes.acquire().await;
            self.server.tls.accept(socket).await
        });
        let socket = tokio::select! {
            outcome = tokio::time::timeout(HANDSHAKE, handshake) => match outcome {
                Ok(Ok(socket)) => socket,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "handshake failed");
                    return;
                }
                Err(_) => return,
            },
            () = self.kill.cancelled() => return,
        };
        // Nothing is parsed that was not agreed on.
        if socket.get_ref().1.alpn_protocol() != Some(b"h2") {
            return;
        }
        let shown = socket.get_ref().1.peer_certificates();
        let shown = shown.and_then(|chain| chain.first());
        self.shown = shown.map(|leaf| Arc::new(reports::Shown::new(leaf.as_ref())));
        let mut together = Together::default();
        let options = &self.server.options;
        let mut http = hyper::server::conn::http2::Builder::new(together.handover());
        http.timer(TokioTimer::new())
            .keep_alive_interval(options.ping_every)
            .keep_alive_timeout(options.ping_wait)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .max_header_list_size(HEADERS);
        let (calls, streams) = (self.clone(), together.handover());
        let service = hyper::service::service_fn(move |request| {
            let (connection, streams) = (calls.clone(), streams.clone());
            // Apart, so that what it took to let a stream in is not kept for as long as that lives.
            let answer = Box::pin(connection.answer(request, streams));
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let (shutdown, abort, kill) = (&self.shutdown, &self.abort, &self.kill);
        let course = async {
            let mut io = std::pin::pin!(http.serve_connection(TokioIo::new(socket), service));
            let stop = async {
                tokio::select! {
                    () = tokio::time::sleep(age) => {}
                    () = async {
                        shutdown.cancelled().await;
                        tokio::time::sleep(after).await;
                    } => {}
                }
            };
            tokio::select! {
                _ = io.as_mut() => {}
                () = abort.cancelled() => {}
                () = kill.cancelled() => {}
                () = stop => {
                    io.as_mut().graceful_shutdown();
                    self.drain.cancel();
                    tokio::select! {
                        _ = io => {}
                        () = abort.cancelled() => {}
                        () = kill.cancelled() => {}
                        // Who does not read the goodbye is not waited for.
                        () = tokio::time::sleep(GOODBYE) => {}
                    }
                }
            }
        };
        together.drive(course).await;
        // The streams of a connection that is over notice by themselves, and tell their mesh.
        together.finish().await;
    }

    async fn answer(
        self,
        request: http::Request<Incoming>,
        streams: Handover,
    ) -> http::Response<Body> {
        let Some(token) = bearer(request.headers()) else {
            if let Some(call) = reports::Call::at(request.uri().path()) {
                return reports::answer(self, call, request).await;
            }
            return refuse::code(Code::Unauthenticated).into_http();
        };
        // Before a single message is read.
        let known = match self
            .server
            .hub
            .parts()
            .source
            .authenticate(&token, self.from)
            .await
        {
            Ok(known) => known,
            Err(error) => return refuse::failed("authenticate", &error).into_http(),
        };
        if let Err(refusal) = known {
            return refuse::refusal(refusal).into_http();
        }
        if let Some(call) = certificates::Call::at(request.uri().path()) {
            return certificates::answer(self, call, token, request).await;
        }
        let Some(method) = Method::at(request.uri().path()) else {
            return Status::unimplemented(
                "only streams of the discovery services and certificates are served here",
            )
            .into_http();
        };
        let requests = Requests(method.protocol);
        let inbound = Streaming::new_request(requests, request.into_body(), None, Some(MESSAGE));
        match self.open(&token, method, inbound, &streams).await {
            Ok(responses) => Frames::answer(method.protocol, responses),
            Err(status) => status.into_http(),
        }
    }

    /// Lets a stream in: reads who it says it is, and has that verified.
    async fn open(
        self,
        token: &str,
        method: Method,
        mut inbound: Streaming<Inbound>,
        streams: &Handover,
    ) -> Result<Outlet, Status> {
        let first = tokio::time::timeout(FIRST_MESSAGE, inbound.message()).await;
        let first = first
            .map_err(|_| Status::deadline_exceeded("no message came within 10 seconds"))??
            .ok_or_else(|| Status::invalid_argument("the stream ended before its first message"))?;
        let node = first.node.as_ref();
        let node = node.ok_or_else(|| Status::invalid_argument("the first message has no node"))?;
        let claims = node::claims(node).map_err(refuse::node)?;
        let parts = self.server.hub.parts();
        let joined = match parts.source.join(token, &claims, self.from).await {
            Ok(Ok(joined)) => joined,
            Ok(Err(refusal)) => return Err(refuse::refusal(refusal)),
            Err(error) => return Err(refuse::failed("join", &error)),
        };
        if claims
            .cluster
            .as_ref()
            .is_some_and(|cluster| cluster != joined.proxy.service.as_str())
        {
            return Err(refuse::code(Code::ProxyMismatch));
        }
        let attachment = self.server.hub.attach(&joined, &claims, method.lane).await;
        let proxy = joined.proxy;
        tracing::info!(
            org.id = %proxy.mesh.org,
            mesh.id = %proxy.mesh.mesh,
            proxy.id = %proxy.proxy,
            service = %proxy.service,
            generation = attachment.generation,
            "stream begins"
        );
        let (outbox, responses) = outbox();
        let stream = Stream {
            unread_deadline: self.server.options.unread_deadline,
            stopping: self.shutdown,
            abort: self.abort,
            identity: Identity::new(parts.identities.clone(), proxy.clone()),
            clock: parts.clock.clone(),
            proxy,
            method,
            node_id: node.id.clone(),
            inbound,
            outbox,
            attachment,
            drain: self.drain,
        };
        streams.run(stream.run(first));
        Ok(responses)
    }
}

/// The token of an `authorization: Bearer` header.
fn bearer(headers: &http::HeaderMap) -> Option<String> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}
