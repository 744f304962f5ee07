//! What stands between two that talk over TCP, and can be told to be slow, to hold its breath, or to cut them off.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// What is read at once.
const CHUNK: usize = 16 << 10;
/// So many chunks are on their way in each direction, at the most.
const CHUNKS: usize = 64;

/// How it treats what goes through it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// At once.
    Pass,
    /// So much later, in each direction.
    Delay(Duration),
    /// So many bytes a second in each direction, of each connection.
    Throttle(u32),
    /// Nothing moves; connections stay, and new ones are taken.
    Freeze,
    /// Connections end, and new ones are refused.
    Cut,
}

/// Where it leads.
#[derive(Debug, Clone)]
pub(crate) enum Upstream {
    /// The first of these ports that takes a connection, in turn.
    Ports(Vec<u16>),
    /// A socket in the file system.
    Socket(PathBuf),
}

/// A listener on a port of its own. Everything ends when it is dropped.
pub(crate) struct Relay {
    port: u16,
    to: Arc<watch::Sender<Upstream>>,
    mode: Arc<watch::Sender<Mode>>,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// Listens.
    ///
    /// # Errors
    /// There is no port.
    pub(crate) async fn start(to: Upstream) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let to = Arc::new(watch::Sender::new(to));
        let task = tokio::spawn(accept(listener, Arc::clone(&to), Arc::clone(&mode)));
        Ok(Self {
            port,
            to,
            mode,
            task,
        })
    }

    /// Leads there from the next connection on.
    pub(crate) fn lead(&self, to: Upstream) {
        self.to.send_replace(to);
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// From now on, for what is under way as well.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(
    listener: TcpListener,
    to: Arc<watch::Sender<Upstream>>,
    mode: Arc<watch::Sender<Mode>>,
) {
    let mut connections = JoinSet::new();
    let turn = Arc::new(AtomicUsize::new(0));
    while let Ok((from, _)) = listener.accept().await {
        if *mode.borrow() == Mode::Cut {
            continue;
        }
        let to = to.borrow().clone();
        let (turn, mode) = (Arc::clone(&turn), mode.subscribe());
        connections.spawn(async move {
            let _nodelay = from.set_nodelay(true);
            match to {
                Upstream::Socket(path) => {
                    if let Ok(stream) = UnixStream::connect(path).await {
                        let (read, write) = stream.into_split();
                        join(from, read, write, mode).await;
                    }
                }
                Upstream::Ports(ports) => {
                    let first = turn.fetch_add(1, Ordering::Relaxed);
                    let in_turn = ports.iter().cycle().skip(first % ports.len().max(1));
                    for port in in_turn.take(ports.len()) {
                        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await {
                            let _nodelay = stream.set_nodelay(true);
                            let (read, write) = stream.into_split();
                            join(from, read, write, mode).await;
                            return;
                        }
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Passes on in both directions until one side ends, or it is cut.
async fn join<R, W>(from: TcpStream, read: R, write: W, mut mode: watch::Receiver<Mode>)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (near_read, near_write) = from.into_split();
    let there = pass(near_read, write, mode.clone());
    let back = pass(read, near_write, mode.clone());
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// One direction.
async fn pass<R, W>(mut read: R, mut write: W, mut mode: watch::Receiver<Mode>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (send, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let reading = async move {
        loop {
            let mut chunk = vec![0; CHUNK];
            match read.read(&mut chunk).await {
                Ok(length @ 1..) => chunk.truncate(length),
                _ => return,
            }
            if send.send((Instant::now(), chunk)).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((came, chunk)) = due.recv().await {
            let Ok(now) = mode
                .wait_for(|mode| *mode != Mode::Freeze)
                .await
                .map(|m| *m)
            else {
                return;
            };
            match now {
                Mode::Delay(delay) => {
                    tokio::time::sleep(delay.saturating_sub(came.elapsed())).await;
                }
                Mode::Throttle(a_second) => {
                    let share = chunk.len() as f64 / f64::from(a_second);
                    tokio::time::sleep(Duration::from_secs_f64(share)).await;
                }
                Mode::Pass | Mode::Freeze | Mode::Cut => {}
            }
            if write.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _closed = write.shutdown().await;
    };
    tokio::join!(reading, writing);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who says back what it is told.
    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        port
    }

    async fn said(stream: &mut TcpStream) -> Option<Duration> {
        let began = Instant::now();
        stream.write_all(b"hello").await.ok()?;
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.ok()?;
        (heard == *b"hello").then(|| began.elapsed())
    }

    #[tokio::test]
    async fn it_delays_freezes_and_cuts() {
        let relay = Relay::start(Upstream::Ports(vec![echo().await]))
            .await
            .unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port()))
            .await
            .unwrap();
        assert!(said(&mut stream).await.is_some());
        relay.set(Mode::Delay(Duration::from_millis(60)));
        assert!(said(&mut stream).await.unwrap() >= Duration::from_millis(120));
        relay.set(Mode::Freeze);
        let held = tokio::time::timeout(Duration::from_millis(200), said(&mut stream)).await;
        assert!(held.is_err());
        relay.set(Mode::Pass);
        // What was held comes.
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert!(said(&mut stream).await.is_some());
        relay.set(Mode::Cut);
        assert_eq!(said(&mut stream).await, None);
        let mut again = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port()))
            .await
            .unwrap();
        assert_eq!(said(&mut again).await, None);
        relay.set(Mode::Pass);
        let mut again = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port()))
            .await
            .unwrap();
        assert!(said(&mut again).await.is_some());
    }

    #[tokio::test]
    async fn it_throttles() {
        let relay = Relay::start(Upstream::Ports(vec![echo().await]))
            .await
            .unwrap();
        relay.set(Mode::Throttle(50));
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port()))
            .await
            .unwrap();
        // Five bytes at fifty a second, there and back.
        assert!(said(&mut stream).await.unwrap() >= Duration::from_millis(200));
    }
}
