//! One request of a connection and its answer, for whoever works on it.
//!
//! Whoever finds nothing to read or no room to send just waits: all that runs on a connection is asked again whenever something
//! has come or gone ([`super::wire`]).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use heddle_model::clock::{Clock as _, SystemClock};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::{Body, Frame};
use tonic::Status;

use super::link::Link;
use crate::http2::{Room, Taken};

/// One request. It is broken off when this goes before it is answered.
pub(super) struct Exchange {
    link: Arc<Link>,
    id: u32,
}

impl Exchange {
    /// To be made once for each request that was accepted.
    pub(super) const fn new(link: Arc<Link>, id: u32) -> Self {
        Self { link, id }
    }

    /// What came, and was not taken before.
    pub(super) fn take(&self) -> Taken {
        self.link.lock().take(self.id)
    }

    pub(super) fn room(&self) -> Room {
        self.link.lock().room(self.id)
    }

    /// Waits until it is anything but `than`.
    pub(super) async fn other(&self, than: Room) -> Room {
        poll_fn(|_| match self.room() {
            same if same == than => Poll::Pending,
            other => Poll::Ready(other),
        })
        .await
    }

    /// Begins the answer. It says when (RFC 9110, 6.6.1): that is how others find that their clock is wrong.
    pub(super) fn respond(&self, status: StatusCode, fields: &HeaderMap, whole: bool) {
        let mut fields = fields.clone();
        let now = SystemClock.now().format("%a, %d %b %Y %H:%M:%S GMT");
        if let Ok(now) = HeaderValue::try_from(now.to_string()) {
            fields.insert(header::DATE, now);
        }
        self.link.lock().respond(self.id, status, &fields, whole);
    }

    /// Sends data, at once if the peer takes it. Ask for room first.
    pub(super) fn send(&self, parts: impl IntoIterator<Item = Bytes>) {
        let mut http = self.link.lock();
        for part in parts {
            http.send(self.id, part);
        }
        http.advance();
    }

    /// Ends the answer, after all that was sent.
    pub(super) fn finish(&self, fields: Option<&HeaderMap>) {
        self.link.lock().finish(self.id, fields);
    }

    /// Ends it with a status.
    pub(super) fn close(&self, status: &Status) {
        let mut fields = HeaderMap::new();
        // A status of ours is text that fits into a header.
        let _fits = status.add_header(&mut fields);
        self.finish(Some(&fields));
    }

    /// Does this until it is done, or nobody waits for the answer any more.
    pub(super) async fn unless_gone<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        poll_fn(|context| match self.room() {
            Room::Gone => Poll::Ready(None),
            Room::Free | Room::Full => work.as_mut().poll(context).map(Some),
        })
        .await
    }

    /// Answers with this, to its end.
    pub(super) async fn answer(&self, answer: http::Response<tonic::body::Body>) {
        let (head, mut body) = answer.into_parts();
        let whole = body.is_end_stream();
        self.respond(head.status, &head.headers, whole);
        if whole {
            return;
        }
        loop {
            let next = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            match self.unless_gone(next).await {
                Some(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.send([data]);
                        self.other(Room::Full).await;
                    }
                    Err(frame) => return self.finish(frame.trailers_ref()),
                },
                Some(Some(Err(status))) => return self.close(&status),
                Some(None) => return self.finish(None),
                None => return,
            }
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.link.lock().let_go(self.id);
    }
}

/// What a request says, as others want to read it.
pub(super) struct Upload(pub(super) Arc<Exchange>);

impl Body for Upload {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.0.take() {
            Taken::Data(data) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            Taken::Nothing => Poll::Pending,
            Taken::End => Poll::Ready(None),
            Taken::Gone => Poll::Ready(Some(Err(Status::cancelled("the request was broken off")))),
        }
    }
}
