//! Where a stream puts what its connection is to send: one place. What finds none waits as names, not as bytes.
//!
//! A channel would hold room for dozens of responses for each proxy, and a list of who waits for it.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tonic::Status;

use crate::engine::session::Response;

/// A response, or how the stream ends.
pub(super) type Outgoing = Result<Response, Status>;

#[derive(Default)]
struct Place {
    holds: Option<Outgoing>,
    /// The other side is gone: the stream, or the connection.
    left: bool,
    stream: Option<Waker>,
    connection: Option<Waker>,
}

/// The stream's side.
pub(super) struct Outbox(Arc<Mutex<Place>>);

/// The connection's side.
pub(super) struct Outlet(Arc<Mutex<Place>>);

/// What a stream finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    Full,
    /// Nobody sends anything any more.
    Gone,
}

/// An empty place.
pub(super) fn outbox() -> (Outbox, Outlet) {
    let place: Arc<Mutex<Place>> = Arc::default();
    (Outbox(place.clone()), Outlet(place))
}

fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers whom to wake.
fn remember(slot: &mut Option<Waker>, context: &Context<'_>) {
    match slot {
        Some(known) => known.clone_from(context.waker()),
        None => *slot = Some(context.waker().clone()),
    }
}

impl Place {
    const fn room(&self) -> Room {
        match (self.left, &self.holds) {
            (true, _) => Room::Gone,
            (false, Some(_)) => Room::Full,
            (false, None) => Room::Free,
        }
    }
}

impl Outbox {
    pub(super) fn room(&self) -> Room {
        lock(&self.0).room()
    }

    /// Puts something there. What was there before is lost: ask for room first.
    pub(super) fn put(&self, outgoing: Outgoing) {
        let mut place = lock(&self.0);
        place.holds = Some(outgoing);
        let connection = place.connection.take();
        drop(place);
        if let Some(connection) = connection {
            connection.wake();
        }
    }

    /// Waits until it is anything but `than`.
    pub(super) async fn other(&self, than: Room) -> Room {
        poll_fn(|context| {
            let mut place = lock(&self.0);
            let room = place.room();
            if room == than {
                remember(&mut place.stream, context);
                return Poll::Pending;
            }
            Poll::Ready(room)
        })
        .await
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut place = lock(&self.0);
        place.left = true;
        let connection = place.connection.take();
        drop(place);
        if let Some(connection) = connection {
            connection.wake();
        }
    }
}

impl Outlet {
    /// The next thing to send; `None` when the stream is gone.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let mut place = lock(&self.0);
        if let Some(outgoing) = place.holds.take() {
            let stream = place.stream.take();
            drop(place);
            if let Some(stream) = stream {
                stream.wake();
            }
            return Poll::Ready(Some(outgoing));
        }
        if place.left {
            return Poll::Ready(None);
        }
        remember(&mut place.connection, context);
        Poll::Pending
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut place = lock(&self.0);
        place.left = true;
        place.holds = None;
        let stream = place.stream.take();
        drop(place);
        if let Some(stream) = stream {
            stream.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    async fn next(outlet: &mut Outlet) -> Option<Outgoing> {
        poll_fn(|context| outlet.poll_next(context)).await
    }

    #[tokio::test]
    async fn one_place_is_full_until_it_is_emptied() {
        let (outbox, mut outlet) = outbox();
        assert_eq!(outbox.room(), Room::Free);
        outbox.put(Err(Status::unavailable("one")));
        assert_eq!(outbox.room(), Room::Full);
        let emptied = tokio::spawn(async move {
            let room = outbox.other(Room::Full).await;
            (outbox, room)
        });
        yield_now().await;
        let one = next(&mut outlet).await.unwrap();
        assert_eq!(one.unwrap_err().message(), "one");
        let (outbox, room) = emptied.await.unwrap();
        assert_eq!(room, Room::Free);
        let waiting = tokio::spawn(async move { next(&mut outlet).await.is_some() });
        yield_now().await;
        outbox.put(Err(Status::unavailable("two")));
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn either_side_learns_that_the_other_is_gone() {
        let (stream, outlet) = outbox();
        let gone = tokio::spawn(async move { stream.other(Room::Free).await });
        yield_now().await;
        drop(outlet);
        assert_eq!(gone.await.unwrap(), Room::Gone);

        let (stream, mut outlet) = outbox();
        // The last word is still read.
        stream.put(Err(Status::unavailable("last")));
        drop(stream);
        assert!(next(&mut outlet).await.is_some());
        assert!(next(&mut outlet).await.is_none());
    }
}
