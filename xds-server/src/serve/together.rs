//! Everything that happens on one connection, in one task.
//!
//! HTTP/2 wants a task for each stream beside that of the connection, and a session is a third: a push would wake three
//! tasks one after the other, on any core, and so would an acknowledgement. Here it wakes one.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, Stream as _};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What was handed over and has not begun.
#[derive(Clone, Default)]
pub(super) struct Handover(Arc<Mutex<Vec<Task>>>);

impl Handover {
    /// Has this run along with the connection.
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(Box::pin(task));
    }

    fn take(&self) -> Vec<Task> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Handover {
    fn execute(&self, task: F) {
        self.run(task);
    }
}

/// The tasks of a connection.
#[derive(Default)]
pub(super) struct Together {
    handover: Handover,
    running: FuturesUnordered<Task>,
}

impl Together {
    /// Where to hand over what is to run along. It begins when the connection is looked at next, which whoever hands it
    /// over is a part of.
    pub(super) fn handover(&self) -> Handover {
        self.handover.clone()
    }

    /// Runs the connection to its end, and everything else as long as that takes.
    pub(super) async fn drive<T>(&mut self, connection: impl Future<Output = T>) -> T {
        let mut connection = pin!(connection);
        poll_fn(|context| {
            // What was read wakes streams, and what they write goes out at once.
            if let Poll::Ready(end) = connection.as_mut().poll(context) {
                return Poll::Ready(end);
            }
            self.poll_running(context);
            connection.as_mut().poll(context)
        })
        .await
    }

    /// Runs the rest to its end.
    pub(super) async fn finish(mut self) {
        poll_fn(|context| {
            self.poll_running(context);
            match self.running.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Until all of them wait for something.
    fn poll_running(&mut self, context: &mut Context<'_>) {
        loop {
            self.running.extend(self.handover.take());
            match Pin::new(&mut self.running).poll_next(context) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending => {
                    let more = self.handover.take();
                    if more.is_empty() {
                        return;
                    }
                    self.running.extend(more);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_handed_over_runs_along_and_is_brought_to_its_end() {
        let mut together = Together::default();
        let handover = together.handover();
        let (tell, told) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let done = Arc::new(AtomicUsize::new(0));
        let (counted, inner) = (done.clone(), handover.clone());
        let connection = async move {
            let (nested, count) = (inner.clone(), counted.clone());
            inner.run(async move {
                // Handed over while others run.
                nested.run(async move {
                    let _sent = tell.send(());
                    let _ended = ended.await;
                    count.fetch_add(1, Ordering::Relaxed);
                });
            });
            told.await.unwrap();
            "over"
        };
        assert_eq!(together.drive(connection).await, "over");
        assert_eq!(done.load(Ordering::Relaxed), 0);
        end.send(()).unwrap();
        together.finish().await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}
