//! Everything that happens on one connection, in one task.
//!
//! HTTP/2 as libraries have it wants a task for each stream beside that of the connection, and a session is a third: a push would
//! wake three tasks one after the other, on any core, and so would an acknowledgement. Here it wakes one. Whenever that wakes, it
//! reads what came, asks all that runs on the connection whether it has something to do, and writes what they have to say at once.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::exchange::Exchange;
use super::link::{Link, Task};

/// How much is read at once, in bytes: all of the largest record of TLS.
const READ: usize = 16 << 10;

/// A connection with all that runs on it.
pub(super) struct Wire<S, F> {
    socket: S,
    link: Arc<Link>,
    /// Begins to work on a request.
    begin: F,
    tasks: Vec<Task>,
    /// Something was written that may not have gone out.
    unflushed: bool,
}

impl<S, F> Wire<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnMut(Exchange, Request<()>) -> Task,
{
    pub(super) const fn new(socket: S, link: Arc<Link>, begin: F) -> Self {
        Self {
            socket,
            link,
            begin,
            tasks: Vec::new(),
            unflushed: false,
        }
    }

    /// Until the connection is over.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let outcome = self.poll_once(context);
            match outcome {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(()),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a connection broke");
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads, works and writes; whether to do that again at once, or never.
    fn poll_once(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.poll_read(context)?;
        self.begin();
        // The peer may take more than before.
        self.link.lock().advance();
        poll_tasks(&mut self.tasks, &self.link, context);
        // Somebody has more than fits; what is written makes room.
        let crowded = self.link.lock().is_full();
        let written = self.poll_write(context);
        if self.link.lock().is_over() {
            ready!(written)?;
            // A goodbye may have come only now.
            ready!(self.poll_write(context))?;
            let _gone = ready!(Pin::new(&mut self.socket).poll_shutdown(context));
            return Poll::Ready(Ok(false));
        }
        if let Poll::Ready(outcome) = written {
            outcome?;
        }
        match crowded && !self.link.lock().is_full() {
            true => Poll::Ready(Ok(true)),
            false => Poll::Pending,
        }
    }

    /// Reads until nothing more is there, or the peer does not read its answers.
    fn poll_read(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::<u8>::uninit(); READ];
        while !self.link.lock().is_full() {
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.socket).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    self.link.lock().end();
                    return Ok(());
                }
                Poll::Ready(Ok(())) => self.link.lock().receive(read.filled()),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    fn begin(&mut self) {
        loop {
            let next = self.link.lock().accept();
            let Some((id, request)) = next else {
                return;
            };
            let exchange = Exchange::new(self.link.clone(), id);
            self.tasks.push((self.begin)(exchange, request));
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut http = self.link.lock();
            http.advance();
            let slices = http.slices();
            if slices.is_empty() {
                break;
            }
            let written = Pin::new(&mut self.socket).poll_write_vectored(context, &slices);
            drop(slices);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => http.wrote(bytes),
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The connection is over: what runs on it notices by itself, and is run to its end.
    pub(super) async fn finish(self) {
        let Self {
            socket,
            link,
            mut tasks,
            ..
        } = self;
        drop(socket);
        link.lock().end();
        poll_fn(|context| {
            poll_tasks(&mut tasks, &link, context);
            match tasks.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// Asks everybody. There are few: a connection has so many requests at a time, and mostly one.
fn poll_tasks(tasks: &mut Vec<Task>, link: &Link, context: &mut Context<'_>) {
    loop {
        let mut place = 0;
        while let Some(task) = tasks.get_mut(place) {
            match task.as_mut().poll(context) {
                Poll::Ready(()) => drop(tasks.swap_remove(place)),
                Poll::Pending => place += 1,
            }
        }
        let more = link.handed_over();
        if more.is_empty() {
            return;
        }
        match tasks.is_empty() {
            // Most connections have one for all their life.
            true => *tasks = more,
            false => tasks.extend(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_runs_on_a_connection_runs_along_and_is_brought_to_its_end() {
        let (mut peer, socket) = tokio::io::duplex(1 << 16);
        let link = Link::new();
        let (end, ended) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let done = Arc::new(AtomicUsize::new(0));
        let (inner, count) = (link.clone(), done.clone());
        link.run(async move {
            // Handed over while others run.
            inner.clone().run(async move {
                let _told = tell.send(());
                let _ended = ended.await;
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        let begin = |_: Exchange, _: Request<()>| -> Task { Box::pin(async {}) };
        let mut wire = Wire::new(socket, link.clone(), begin);
        let running = tokio::spawn(async move {
            poll_fn(|context| wire.poll(context)).await;
            wire.finish().await;
        });
        told.await.unwrap();
        peer.write_all(b"no preface of HTTP/2").await.unwrap();
        let mut said = Vec::new();
        peer.read_to_end(&mut said).await.unwrap();
        // It says why, and goes; what runs on it is waited for.
        assert_eq!(said[said.len() - 14], 7);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!running.is_finished());
        assert_eq!(done.load(Ordering::Relaxed), 0);
        end.send(()).unwrap();
        running.await.unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}
