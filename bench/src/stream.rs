//! A connection and the gRPC streams on it, by hand: HTTP/2 and five bytes before each message.

use std::time::Duration;

use anyhow::Context as _;
use bytes::{Buf as _, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use tokio::task::AbortHandle;

use crate::target::Target;
use crate::wire::Protocol;

/// Window of a connection and a stream, in bytes: as large as Envoy's.
const WINDOW: u32 = 256 << 10;

/// How long connecting may take, handshakes included. A server that thousands come to at once is slow, and no Envoy is so many.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the server is asked whether it is there, and how long its answer may take: as our bootstrap has it.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_WAIT: Duration = Duration::from_secs(2);

/// Returns when the other side does not answer any more.
async fn until_silent(pings: Option<h2::PingPong>) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(PING_EVERY).await;
        let answer = pings.ping(h2::Ping::opaque());
        if !matches!(tokio::time::timeout(PING_WAIT, answer).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// A connection; it ends when it is dropped.
pub(crate) struct Connection {
    /// Scheme and authority.
    base: String,
    requests: SendRequest<Bytes>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects; `number` spreads connections over source addresses, and each attempt goes to another server.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub(crate) async fn open(
        target: &Target,
        number: usize,
        attempt: usize,
    ) -> anyhow::Result<Self> {
        let opened = tokio::time::timeout(PATIENCE, Self::connect(target, number, attempt));
        opened.await.context("the server does not answer")?
    }

    async fn connect(target: &Target, number: usize, attempt: usize) -> anyhow::Result<Self> {
        let io = target.connect(number, attempt).await?;
        let (requests, mut connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake::<_, Bytes>(io)
            .await?;
        let pings = connection.ping_pong().filter(|_| target.asks());
        let driver = tokio::spawn(async move {
            tokio::select! {
                // Either way it ends, and its streams with it.
                ended = connection => drop(ended),
                () = until_silent(pings) => {}
            }
        });
        Ok(Self {
            base: format!("{}://{}", target.scheme(), target.address()),
            requests,
            driver: driver.abort_handle(),
        })
    }

    /// Opens a stream and sends its first messages; returns when the server has accepted it.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn stream(
        &self,
        protocol: Protocol,
        token: Option<&str>,
        first: Vec<Bytes>,
    ) -> anyhow::Result<Stream> {
        let mut request = http::Request::post(format!("{}{}", self.base, protocol.path()))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut out) = requests.send_request(request.body(())?, false)?;
        for frame in first {
            send(&mut out, frame).await?;
        }
        let response = response.await?;
        anyhow::ensure!(
            response.status().is_success(),
            "status {}",
            response.status()
        );
        if let Some(status) = response.headers().get("grpc-status") {
            anyhow::bail!("refused: {status:?}");
        }
        Ok(Stream {
            out,
            body: response.into_body(),
            buffer: BytesMut::new(),
        })
    }
}

impl Connection {
    /// Makes a call that has one answer, and returns that.
    ///
    /// # Errors
    /// The server refuses, or the connection has ended.
    pub(crate) async fn unary(
        &self,
        path: &str,
        token: &str,
        frame: Bytes,
    ) -> anyhow::Result<Bytes> {
        let request = http::Request::post(format!("{}{path}", self.base))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {token}"));
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut out) = requests.send_request(request.body(())?, false)?;
        // One message is smaller than any window.
        out.send_data(frame, true)?;
        let (head, body) = response.await?.into_parts();
        let mut stream = Stream {
            out,
            body,
            buffer: BytesMut::new(),
        };
        let message = stream.next().await?;
        let trailers = stream.body.trailers().await?.unwrap_or_default();
        let status = trailers.get("grpc-status");
        let status = status.or_else(|| head.headers.get("grpc-status"));
        let said = trailers.get("grpc-message");
        let said = said.or_else(|| head.headers.get("grpc-message"));
        match (status.map(http::HeaderValue::as_bytes), message) {
            (Some(b"0"), Some(message)) => Ok(message),
            (status, _) => anyhow::bail!("refused: {status:?} {said:?}"),
        }
    }
}

/// A stream; it is reset when it is dropped.
pub(crate) struct Stream {
    out: SendStream<Bytes>,
    body: RecvStream,
    buffer: BytesMut,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.out.send_reset(h2::Reason::CANCEL);
    }
}

impl Stream {
    /// Sends one message, as the peer's window allows.
    ///
    /// # Errors
    /// The stream was closed.
    pub(crate) async fn send(&mut self, frame: Bytes) -> anyhow::Result<()> {
        send(&mut self.out, frame).await
    }

    /// The next whole message; `None` when the server ended the stream. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The stream was closed.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let buffer = &mut self.buffer;
        loop {
            if buffer.len() >= 5 {
                let length =
                    u32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]) as usize;
                if buffer.len() >= 5 + length {
                    buffer.advance(5);
                    let message = buffer.split_to(length).freeze();
                    if buffer.is_empty() {
                        // An idle proxy holds no buffer.
                        *buffer = BytesMut::new();
                    }
                    return Ok(Some(message));
                }
            }
            let Some(part) = self.body.data().await else {
                return Ok(None);
            };
            let part = part?;
            self.body.flow_control().release_capacity(part.len())?;
            buffer.extend_from_slice(&part);
        }
    }
}

async fn send(out: &mut SendStream<Bytes>, mut frame: Bytes) -> anyhow::Result<()> {
    while frame.has_remaining() {
        out.reserve_capacity(frame.len());
        let granted = std::future::poll_fn(|cx| out.poll_capacity(cx)).await;
        let granted = granted.context("the stream was closed")??;
        let part = frame.split_to(granted.min(frame.len()));
        out.send_data(part, false)?;
    }
    Ok(())
}
