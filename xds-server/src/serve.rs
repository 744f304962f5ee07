//! The xDS server: connections, who may have a stream, and an orderly end.
//!
//! Every method of every service is authenticated before anything else is said about it (X02); only the two
//! streams of the aggregated service are then served.

mod identity;
mod refuse;
mod stream;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use heddle_model::clock::SharedClock;
use heddle_model::code::Code;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService};
use tonic::{Status, Streaming};

use crate::codec::{AdsCodec, Inbound};
use crate::engine::session::{Protocol, Response};
use crate::graph::{Hub, Parts};
use crate::source::{IdentitySource, SnapshotSource};
use crate::{node, telemetry};

use identity::Identity;
use stream::Stream;

/// How the methods of the aggregated service begin.
const ADS: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
/// How long a client may take for its handshake, and then for its first message.
const HANDSHAKE: Duration = Duration::from_secs(5);
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// The largest message that is read, in bytes (X41).
const MESSAGE: usize = 4 << 20;
/// HTTP/2 (X46): pings find peers that are gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WAIT: Duration = Duration::from_secs(10);
const STREAMS_PER_CONNECTION: u32 = 16;
const HEADERS: u32 = 16 << 10;
/// How many times in a row accepting may fail before the listener counts as unusable; a tenth of a second apart.
const ACCEPT_FAILURES: u32 = 600;

/// How the server behaves. All durations may be shortened in tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a proxy whose stream ended stays an ordinary endpoint.
    pub endpoint_grace: Duration,
    /// How long it is shown as draining after that, before it is removed.
    pub endpoint_drain: Duration,
    /// How long a leaf certificate lives: bounds how long connections between sidecars live.
    pub leaf_lifetime: Duration,
    /// The shortest time between two checkpoints of a mesh.
    pub checkpoint_interval: Duration,
    /// How long a shutdown may take: streams end spread over four fifths of this time.
    pub drain_deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // Longer than the longest pause that our bootstrap lets an Envoy make.
            endpoint_grace: Duration::from_secs(10),
            endpoint_drain: Duration::from_secs(10),
            leaf_lifetime: Duration::from_secs(24 * 60 * 60),
            checkpoint_interval: Duration::from_millis(200),
            drain_deadline: Duration::from_secs(5),
        }
    }
}

/// The server cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener has failed for a minute.
    #[error("accept connections")]
    Accept(#[source] std::io::Error),
}

/// What all connections share.
struct Server {
    hub: Arc<Hub>,
    tls: TlsAcceptor,
    tasks: TaskTracker,
}

/// One connection's part in it.
#[derive(Clone)]
struct Connection {
    server: Arc<Server>,
    /// Ends this connection's streams.
    drain: CancellationToken,
}

/// Serves proxies until `shutdown`, then ends their streams within [`Options::drain_deadline`]. Streams that end
/// that way leave their workloads registered.
///
/// # Errors
/// [`ServeError`]: the listener is unusable.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    source: Arc<dyn SnapshotSource>,
    identities: Arc<dyn IdentitySource>,
    options: Options,
    clock: SharedClock,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    telemetry::register();
    let mut tls = (*tls).clone();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let server = Arc::new(Server {
        hub: Hub::new(Parts {
            source,
            identities,
            clock,
            endpoint_grace: options.endpoint_grace,
            endpoint_drain: options.endpoint_drain,
            leaf_lifetime: options.leaf_lifetime,
            checkpoint_interval: options.checkpoint_interval,
        }),
        tls: TlsAcceptor::from(Arc::new(tls)),
        tasks: TaskTracker::new(),
    });
    let kill = CancellationToken::new();
    let outcome = server
        .accept(&listener, options.drain_deadline, &shutdown, &kill)
        .await;
    drop(listener);
    shutdown.cancel();
    server.tasks.close();
    if tokio::time::timeout(options.drain_deadline, server.tasks.wait())
        .await
        .is_err()
    {
        kill.cancel();
        server.tasks.wait().await;
    }
    server.hub.stop().await;
    outcome
}

impl Server {
    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        drain_deadline: Duration,
        shutdown: &CancellationToken,
        kill: &CancellationToken,
    ) -> Result<(), ServeError> {
        let mut failures = 0;
        let mut accepted = 0_u32;
        loop {
            let socket = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                socket = listener.accept() => socket,
            };
            match socket {
                Ok((socket, _)) => {
                    failures = 0;
                    accepted = accepted.wrapping_add(1);
                    let connection = Connection {
                        server: self.clone(),
                        drain: CancellationToken::new(),
                    };
                    let after = drain_deadline.mul_f64(0.8 * spread(accepted));
                    let (shutdown, kill) = (shutdown.clone(), kill.clone());
                    self.tasks.spawn(async move {
                        tokio::select! {
                            () = connection.run(socket, shutdown, after) => {}
                            () = kill.cancelled() => {}
                        }
                    });
                }
                // Too many open files, or a peer that is gone already: existing streams are not concerned.
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    failures += 1;
                    if failures >= ACCEPT_FAILURES {
                        return Err(ServeError::Accept(error));
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// A place between 0 and 1 for the n-th of many: multiples of the golden ratio lie evenly, whatever their number.
fn spread(n: u32) -> f64 {
    (f64::from(n) * 0.618_033_988_749_895).fract()
}

impl Connection {
    async fn run(self, socket: TcpStream, shutdown: CancellationToken, after: Duration) {
        // Latency counts, and frames are written whole.
        let _best_effort = socket.set_nodelay(true);
        let handshake = self.server.tls.accept(socket);
        let socket = match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                tracing::debug!(%error, "handshake failed");
                return;
            }
            Err(_) => return,
        };
        // Nothing is parsed that was not agreed on.
        if socket.get_ref().1.alpn_protocol() != Some(b"h2") {
            return;
        }
        let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .max_header_list_size(HEADERS);
        let calls = self.clone();
        let service = hyper::service::service_fn(move |request| {
            let connection = calls.clone();
            async move { Ok::<_, Infallible>(connection.answer(request).await) }
        });
        let mut io = std::pin::pin!(http.serve_connection(TokioIo::new(socket), service));
        let stop = async {
            shutdown.cancelled().await;
            tokio::time::sleep(after).await;
        };
        tokio::select! {
            _ = io.as_mut() => {}
            () = stop => {
                io.as_mut().graceful_shutdown();
                self.drain.cancel();
                let _ = io.await;
            }
        }
        // A connection that broke takes its streams along; they notice by themselves.
    }

    async fn answer(self, request: http::Request<Incoming>) -> http::Response<Body> {
        let Some(token) = bearer(request.headers()) else {
            return refuse::code(Code::Unauthenticated).into_http();
        };
        // Before a single message is read.
        let known = match self.server.hub.parts().source.authenticate(&token).await {
            Ok(known) => known,
            Err(error) => return refuse::failed("authenticate", &error).into_http(),
        };
        if let Err(refusal) = known {
            return refuse::refusal(refusal).into_http();
        }
        let Some(protocol) = method(request.uri().path()) else {
            return Status::unimplemented(
                "only streams of the aggregated discovery service are served here",
            )
            .into_http();
        };
        let ads = Ads {
            connection: self,
            token,
            protocol,
        };
        let mut grpc = Grpc::new(AdsCodec(protocol)).max_decoding_message_size(MESSAGE);
        grpc.streaming(ads, request).await
    }

    /// Lets a stream in: reads who it says it is, and has that verified.
    async fn open(
        self,
        token: &str,
        protocol: Protocol,
        mut inbound: Streaming<Inbound>,
    ) -> Result<ReceiverStream<Result<Response, Status>>, Status> {
        let first = tokio::time::timeout(FIRST_MESSAGE, inbound.message()).await;
        let first = first
            .map_err(|_| Status::deadline_exceeded("no message came within 10 seconds"))??
            .ok_or_else(|| Status::invalid_argument("the stream ended before its first message"))?;
        let node = first.node.as_ref();
        let node = node.ok_or_else(|| Status::invalid_argument("the first message has no node"))?;
        let claims = node::claims(node).map_err(refuse::node)?;
        let parts = self.server.hub.parts();
        let proxy = match parts.source.join(token, &claims).await {
            Ok(Ok(proxy)) => proxy,
            Ok(Err(refusal)) => return Err(refuse::refusal(refusal)),
            Err(error) => return Err(refuse::failed("join", &error)),
        };
        if claims
            .cluster
            .as_ref()
            .is_some_and(|cluster| cluster != proxy.service.as_str())
        {
            return Err(refuse::code(Code::ProxyMismatch));
        }
        let attachment = self.server.hub.attach(&proxy, &claims).await;
        tracing::info!(
            org.id = %proxy.mesh.org,
            mesh.id = %proxy.mesh.mesh,
            proxy.id = %proxy.proxy,
            service = %proxy.service,
            generation = attachment.generation,
            "stream begins"
        );
        let (outbox, responses) = mpsc::channel(1);
        let stream = Stream {
            identity: Identity::new(parts.identities.clone(), proxy.clone()),
            clock: parts.clock.clone(),
            proxy,
            protocol,
            node_id: claims.id,
            inbound,
            outbox,
            attachment,
            drain: self.drain,
        };
        self.server.tasks.spawn(stream.run(first));
        Ok(ReceiverStream::new(responses))
    }
}

/// What a method speaks; `None` when it is not served.
fn method(path: &str) -> Option<Protocol> {
    match path.strip_prefix(ADS)? {
        "DeltaAggregatedResources" => Some(Protocol::Delta),
        "StreamAggregatedResources" => Some(Protocol::Sotw),
        _ => None,
    }
}

/// The token of an `authorization: Bearer` header.
fn bearer(headers: &http::HeaderMap) -> Option<String> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// One call.
struct Ads {
    connection: Connection,
    token: String,
    protocol: Protocol,
}

impl StreamingService<Inbound> for Ads {
    type Response = Response;
    type ResponseStream = ReceiverStream<Result<Response, Status>>;
    type Future =
        Pin<Box<dyn Future<Output = Result<tonic::Response<Self::ResponseStream>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Streaming<Inbound>>) -> Self::Future {
        let connection = self.connection.clone();
        let token = std::mem::take(&mut self.token);
        let protocol = self.protocol;
        Box::pin(async move {
            let responses = connection
                .open(&token, protocol, request.into_inner())
                .await?;
            Ok(tonic::Response::new(responses))
        })
    }
}
