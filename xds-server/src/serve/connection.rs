//! One connection: its handshake, the streams that are let in on it, and its end.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use heddle_model::code::Code;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;

use super::exchange::{Exchange, Upload};
use super::identity::Identity;
use super::life::{Due, Life};
use super::link::{Link, Task};
use super::messages::Messages;
use super::method::Method;
use super::stream::Stream;
use super::wire::Wire;
use super::{Options, certificates, refuse, reports};
use crate::graph::Hub;
use crate::node;
use crate::tls::TlsSocket;

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long of that it may keep others waiting: who is slow, or pretends to be, goes on without a turn.
const TURN: Duration = Duration::from_secs(1);
/// How long it may take for its first message after that.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// What all connections share.
pub(super) struct Server {
    pub(super) hub: Arc<Hub>,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) handshakes: Semaphore,
    pub(super) options: Options,
    pub(super) certificates: certificates::Desk,
    pub(super) reports: reports::Desk,
    pub(super) tasks: TaskTracker,
    /// The server stops.
    pub(super) shutdown: CancellationToken,
    /// It has no time left.
    pub(super) kill: CancellationToken,
}

/// One connection's part in it.
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    /// The other end.
    pub(super) from: IpAddr,
}

impl Connection {
    pub(super) async fn run(self, socket: TcpStream, after: Duration, age: Duration) {
        // Latency counts, and frames are written whole.
        let _best_effort = socket.set_nodelay(true);
        // Apart as well.
        let handshake = Box::pin(async {
            // Who says nothing takes nobody's turn.
            socket.readable().await?;
            let turn = self.server.handshakes.acquire().await;
            let mut accept = pin!(TlsSocket::accept(socket, self.server.tls.clone()));
            tokio::select! {
                socket = accept.as_mut() => return socket,
                () = tokio::time::sleep(TURN) => drop(turn),
            }
            accept.await
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
            () = self.server.kill.cancelled() => return,
        };
        // Nothing is parsed that was not agreed on.
        if socket.protocol() == Some(b"h2") {
            // Apart too: a task is as large as the largest thing that it ever does.
            Box::pin(self.serve(socket, after, age)).await;
        }
    }

    async fn serve(self, socket: TlsSocket<TcpStream>, after: Duration, age: Duration) {
        let link = Link::new();
        let shown = socket.shown().map(reports::Shown::new).map(Arc::new);
        let begin = |exchange, request| -> Task {
            let call = Call {
                server: self.server.clone(),
                from: self.from,
                shown: shown.clone(),
                link: link.clone(),
            };
            // What it took to let a stream in is not kept for as long as that lives.
            Box::pin(call.answer(exchange, request))
        };
        let mut wire = Wire::new(socket, link.clone(), begin);
        self.drive(&link, poll_fn(|context| wire.poll(context)), after, age)
            .await;
        // The streams of a connection that is over tell their mesh.
        wire.finish().await;
    }

    /// Runs a connection until it ends by itself, or has to.
    async fn drive(
        &self,
        link: &Link,
        wire: impl Future<Output = ()>,
        after: Duration,
        age: Duration,
    ) {
        let mut life = Life::new(now(), &self.server.options, age);
        let mut wire = pin!(wire);
        let mut alarm = pin!(tokio::time::sleep_until(life.next().into()));
        // Who stops has told before that it will.
        let mut stops = pin!(self.server.shutdown.cancelled());
        let mut stopping = false;
        poll_fn(|context| {
            while stops.as_mut().poll(context).is_ready() {
                if std::mem::replace(&mut stopping, true) {
                    return Poll::Ready(());
                }
                life.end_by(now() + after);
                alarm.as_mut().reset(life.next().into());
                stops.set(self.server.kill.cancelled());
            }
            while alarm.as_mut().poll(context).is_ready() {
                match life.due(now()) {
                    None => {}
                    Some(Due::Gone) => return Poll::Ready(()),
                    Some(Due::Part) => link.part(),
                    Some(Due::Question) if link.is_known() => life.known(),
                    Some(Due::Question) => life.end_by(now()),
                    Some(Due::Look) => {
                        let heard = link.lock().has_heard();
                        match life.looked(now(), heard) {
                            None => return Poll::Ready(()),
                            Some(true) => link.lock().ping(),
                            Some(false) => {}
                        }
                    }
                }
                alarm.as_mut().reset(life.next().into());
            }
            // Whatever was decided is heard of now.
            match wire.as_mut().poll(context) {
                Poll::Pending if !link.is_aborted() => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
    }
}

/// One request's part in a connection.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    pub(super) from: IpAddr,
    /// The certificate that the other end has shown, if it has.
    pub(super) shown: Option<Arc<reports::Shown>>,
    pub(super) link: Arc<Link>,
}

impl Call {
    async fn answer(self, exchange: Exchange, request: http::Request<()>) {
        let exchange = Arc::new(exchange);
        let work = Box::pin(self.answer_to(exchange.clone(), request));
        if let Some(Some(answer)) = exchange.unless_gone(work).await {
            exchange.answer(answer).await;
        }
    }

    /// The answer to a request; none when a stream has begun, which gives its own.
    async fn answer_to(
        self,
        exchange: Arc<Exchange>,
        request: http::Request<()>,
    ) -> Option<http::Response<Body>> {
        let Some(token) = bearer(request.headers()) else {
            if let Some(call) = reports::Call::at(request.uri().path()) {
                let request = request.map(|()| Upload(exchange));
                return Some(reports::answer(self, call, request).await);
            }
            return Some(refuse::code(Code::Unauthenticated).into_http());
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
            Err(error) => return Some(refuse::failed("authenticate", &error).into_http()),
        };
        if let Err(refusal) = known {
            return Some(refuse::refusal(refusal).into_http());
        }
        self.link.know();
        if let Some(call) = certificates::Call::at(request.uri().path()) {
            let request = request.map(|()| Upload(exchange));
            return Some(certificates::answer(self, call, token, request).await);
        }
        let Some(method) = Method::at(request.uri().path()) else {
            let served = "only streams of the discovery services and certificates are served here";
            return Some(Status::unimplemented(served).into_http());
        };
        let messages = Messages::new(exchange, method.protocol);
        let refused = self.open(&token, method, messages).await.err();
        refused.map(Status::into_http)
    }

    /// Lets a stream in: reads who it says it is, and has that verified.
    async fn open(self, token: &str, method: Method, mut messages: Messages) -> Result<(), Status> {
        let first = tokio::time::timeout(FIRST_MESSAGE, messages.next()).await;
        let mut first = first
            .map_err(|_| Status::deadline_exceeded("no message came within 10 seconds"))??
            .ok_or_else(|| Status::invalid_argument("the stream ended before its first message"))?;
        // An Envoy describes itself in many thousand bytes, of which little is kept.
        let node = first.node.take();
        let node = node.ok_or_else(|| Status::invalid_argument("the first message has no node"))?;
        let claims = node::claims(&node).map_err(refuse::node)?;
        let node_id = node.id.clone();
        drop(node);
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
        messages.begin();
        let stream = Stream {
            unread_deadline: self.server.options.unread_deadline,
            stopping: self.server.shutdown.clone(),
            identity: Identity::new(parts.identities.clone(), proxy.clone()),
            clock: parts.clock.clone(),
            proxy,
            method,
            node_id,
            messages,
            attachment,
            link: self.link.clone(),
        };
        self.link.run(stream.run(first));
        Ok(())
    }
}

/// The token of an `authorization: Bearer` header.
fn bearer(headers: &http::HeaderMap) -> Option<String> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
