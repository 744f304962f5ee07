//! The messages of a stream: what comes is put together and decoded, what goes is written as frames of gRPC.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use tonic::Status;

use super::exchange::Exchange;
use crate::codec::{self, Inbound, PREFIX};
use crate::engine::session::{Protocol, Response};
use crate::http2::{Room, Taken};

/// The largest message that is read, in bytes (X41).
const MESSAGE: usize = 4 << 20;

/// What a stream hears from its proxy.
pub(super) enum Next {
    Message(Box<Result<Option<Inbound>, Status>>),
    Room,
}

/// A stream's way to its proxy and back. At rest it holds nothing.
pub(super) struct Messages {
    exchange: Arc<Exchange>,
    protocol: Protocol,
    /// What came, and how much of it was read: the next message begins there.
    bytes: Vec<u8>,
    read: usize,
}

impl Messages {
    pub(super) const fn new(exchange: Arc<Exchange>, protocol: Protocol) -> Self {
        Self {
            exchange,
            protocol,
            bytes: Vec::new(),
            read: 0,
        }
    }

    /// Says that the stream is let in.
    pub(super) fn begin(&self) {
        let grpc = HeaderValue::from_static("application/grpc");
        let fields = HeaderMap::from_iter([(CONTENT_TYPE, grpc)]);
        self.exchange.respond(StatusCode::OK, &fields, false);
    }

    /// The next message; none when the proxy has said everything. Nothing is lost when this is dropped.
    ///
    /// # Errors
    /// It is none of ours, too large, or the stream was broken off.
    pub(super) async fn next(&mut self) -> Result<Option<Inbound>, Status> {
        poll_fn(|_| self.poll_next()).await
    }

    /// The next message; or that there is room again, when there was none.
    pub(super) async fn next_or_room(&mut self, was_full: bool) -> Next {
        poll_fn(|_| match was_full && self.room() != Room::Full {
            true => Poll::Ready(Next::Room),
            false => self.poll_next().map(Box::new).map(Next::Message),
        })
        .await
    }

    fn poll_next(&mut self) -> Poll<Result<Option<Inbound>, Status>> {
        loop {
            if let Some(inbound) = self.decode().transpose() {
                return Poll::Ready(inbound.map(Some));
            }
            match self.exchange.take() {
                Taken::Data(data) if self.bytes.is_empty() => self.bytes = data,
                Taken::Data(data) => {
                    // Once for all messages that came together, however small.
                    self.bytes.drain(..std::mem::take(&mut self.read));
                    self.bytes.extend_from_slice(&data);
                }
                Taken::Nothing => return Poll::Pending,
                Taken::End if self.bytes.is_empty() => return Poll::Ready(Ok(None)),
                Taken::End => {
                    let cut = Status::invalid_argument("the stream ended within a message");
                    return Poll::Ready(Err(cut));
                }
                Taken::Gone => {
                    return Poll::Ready(Err(Status::cancelled("the stream was broken off")));
                }
            }
        }
    }

    /// The first message of what came, if all of it is here.
    fn decode(&mut self) -> Result<Option<Inbound>, Status> {
        let next = self.bytes[self.read..].split_first_chunk::<PREFIX>();
        let Some(([compressed, length @ ..], rest)) = next else {
            return Ok(None);
        };
        if *compressed != 0 {
            let text = "messages are not compressed here";
            return Err(Status::unimplemented(text));
        }
        let length = u32::from_be_bytes(*length) as usize;
        if length > MESSAGE {
            let text = format!("a message has at most {MESSAGE} bytes");
            return Err(Status::resource_exhausted(text));
        }
        let Some((message, rest)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let inbound = codec::read(self.protocol, message);
        let inbound = inbound.map_err(|_| Status::invalid_argument("not a discovery request"))?;
        match rest.is_empty() {
            true => (self.bytes, self.read) = (Vec::new(), 0),
            false => self.read += PREFIX + length,
        }
        Ok(Some(inbound))
    }

    /// Sends a response. Ask for room first.
    pub(super) fn put(&self, response: &Response) {
        let mut parts = VecDeque::new();
        codec::write(self.protocol, response, &mut parts);
        self.exchange.send(parts);
    }

    pub(super) fn room(&self) -> Room {
        self.exchange.room()
    }

    /// Waits until it is anything but `than`.
    pub(super) async fn other(&self, than: Room) -> Room {
        self.exchange.other(than).await
    }

    /// Says how it ends, after all that was put.
    pub(super) fn end(&self, status: &Status) {
        self.exchange.close(status);
    }
}
