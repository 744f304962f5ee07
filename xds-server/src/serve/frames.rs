//! What goes out on a stream: gRPC messages made of the resources' own bytes, and the status at the end.
//!
//! Tonic would copy every message into a buffer that each stream keeps at the size of its largest one. Here a stream that
//! is idle holds nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame};
use tonic::Status;

use super::outbox::Outlet;
use crate::codec;
use crate::engine::session::Protocol;

/// The body of an answer.
pub(super) struct Frames {
    protocol: Protocol,
    responses: Outlet,
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl Frames {
    /// An answer of these responses. It ends after the first error, with that as its status.
    pub(super) fn answer(
        protocol: Protocol,
        responses: Outlet,
    ) -> http::Response<tonic::body::Body> {
        let frames = Self {
            protocol,
            responses,
            ready: VecDeque::new(),
            ended: false,
        };
        let mut answer = http::Response::new(tonic::body::Body::new(frames));
        let grpc = http::HeaderValue::from_static("application/grpc");
        answer
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, grpc);
        answer
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            let frames = &mut *self;
            if let Some(bytes) = frames.ready.pop_front() {
                if frames.ready.is_empty() {
                    frames.ready = VecDeque::new();
                }
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if frames.ended {
                return Poll::Ready(None);
            }
            let status = match ready!(frames.responses.poll_next(context)) {
                Some(Ok(response)) => {
                    codec::write(frames.protocol, &response, &mut frames.ready);
                    continue;
                }
                Some(Err(status)) => status,
                // Its task has ended without a word. Never OK: a client might come back at once, for ever (X05).
                None => Status::unavailable("the stream ended"),
            };
            frames.ended = true;
            let mut trailers = HeaderMap::new();
            // A status of ours is text that fits into a header.
            let _fits = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.ready.is_empty()
    }
}
