//! A connection, for all that runs on it.
//!
//! That is one task: whatever is noted here by one part of it, the others see when they are asked next, which follows at once.
//! Nobody has to be woken.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crate::http2::Http2;

/// Something that runs on a connection.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Link {
    http: Mutex<Http2>,
    /// What was handed over and has not begun.
    handover: Mutex<Vec<Task>>,
    /// Somebody who is known has asked for something.
    known: AtomicBool,
    parting: AtomicBool,
    aborted: AtomicBool,
}

/// Held for a moment, by one task: never waited for.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            http: Mutex::new(Http2::new()),
            handover: Mutex::default(),
            known: AtomicBool::new(false),
            parting: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Http2> {
        lock(&self.http)
    }

    /// Has this run along with the connection.
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.handover).push(Box::pin(task));
    }

    /// What was handed over.
    pub(super) fn handed_over(&self) -> Vec<Task> {
        std::mem::take(&mut *lock(&self.handover))
    }

    /// Somebody has said who they are, and that is true.
    pub(super) fn know(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Tells the peer that the connection ends, and those who run on it.
    pub(super) fn part(&self) {
        self.lock().part();
        self.parting.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_parting(&self) -> bool {
        self.parting.load(Ordering::Relaxed)
    }

    /// Until it ends.
    pub(super) async fn parts(&self) {
        poll_fn(|_| match self.is_parting() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Ends it at once, with all that waits to be read by its peer.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }
}
