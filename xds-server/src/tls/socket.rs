//! A connection over TLS that holds no buffer while nothing comes and nothing goes.
//!
//! Sessions that do their own reading keep what they read into at its size, for every connection that waits.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a record holds, and what it may take beside that.
const RECORD: usize = 16 << 10;
const AROUND: usize = 128;
/// How much is read at once: a whole record.
const READ: usize = RECORD + AROUND;
/// What of a handshake may wait for its rest: whatever certificates a client shows, more than are taken ([`super::shown`]) fit.
const INPUT: usize = 64 << 10;

/// One connection.
pub(crate) struct TlsSocket<S> {
    socket: S,
    session: UnbufferedServerConnection,
    /// What came and is no whole record yet.
    input: Vec<u8>,
    /// What was said in records that came, and is not read yet.
    plain: Vec<u8>,
    /// Records that wait to be written.
    output: Vec<u8>,
    /// The handshake is over.
    agreed: bool,
    /// The peer says nothing more.
    ended: bool,
    /// Nothing more is said here.
    left: bool,
}

/// What is to be said beside what the protocol says by itself.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Listen,
    Say(&'a [u8]),
    /// That nothing more comes.
    Leave,
}

/// Appends what is written into a space of so many bytes. What does not fit says what it needs.
fn put(
    output: &mut Vec<u8>,
    mut size: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> io::Result<()> {
    let begin = output.len();
    loop {
        output.reserve_exact(size);
        output.resize(begin + size, 0);
        match write(&mut output[begin..]) {
            Ok(written) => {
                output.truncate(begin + written);
                return Ok(());
            }
            Err(Some(needed)) if needed > size => size = needed,
            Err(_) => {
                output.truncate(begin);
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsSocket<S> {
    /// Goes through a handshake.
    ///
    /// # Errors
    /// The peer speaks no TLS that is spoken here, or has gone.
    pub(crate) async fn accept(socket: S, config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = UnbufferedServerConnection::new(config).map_err(invalid)?;
        let mut secured = Self {
            socket,
            session,
            input: Vec::new(),
            plain: Vec::new(),
            output: Vec::new(),
            agreed: false,
            ended: false,
            left: false,
        };
        std::future::poll_fn(|context| secured.poll_handshake(context)).await?;
        Ok(secured)
    }

    /// What both agreed to speak.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// The certificate that the peer has shown, if it has.
    pub(crate) fn shown(&self) -> Option<&[u8]> {
        let shown = self.session.peer_certificates()?.first()?;
        Some(shown.as_ref())
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_output(context))?;
            if self.agreed {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            ready!(self.poll_input(context))?;
        }
    }

    /// Reads from the socket, once, and takes in what came.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::<u8>::uninit(); READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut read))?;
        if read.filled().is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        self.input.extend_from_slice(read.filled());
        let outcome = self.go_on(Wish::Listen);
        if outcome.is_err() {
            // Why that is the end is told, if there is time to.
            let _best_effort = self.go_on(Wish::Listen);
            let _best_effort = self.poll_output(context);
        }
        Poll::Ready(outcome)
    }

    /// Reads the records that have come, and makes one of what is to be said.
    fn go_on(&mut self, wish: Wish<'_>) -> io::Result<()> {
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut self.input);
            let goes_on = match state.map_err(invalid)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        self.plain.extend_from_slice(record.payload);
                    }
                    true
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    put(&mut self.output, 0, |space| match data.encode(space) {
                        Ok(written) => Ok(written),
                        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
                        Err(EncodeError::AlreadyEncoded) => Err(None),
                    })?;
                    true
                }
                ConnectionState::TransmitTlsData(data) => {
                    // It goes out in its order.
                    data.done();
                    true
                }
                ConnectionState::WriteTraffic(mut traffic) => {
                    self.agreed = true;
                    let sealed = |outcome: Result<usize, EncryptError>| match outcome {
                        Ok(written) => Ok(written),
                        Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
                        Err(EncryptError::EncryptExhausted) => Err(None),
                    };
                    match wish {
                        Wish::Listen => {}
                        Wish::Say(plain) => put(&mut self.output, plain.len() + AROUND, |space| {
                            sealed(traffic.encrypt(plain, space))
                        })?,
                        Wish::Leave => put(&mut self.output, AROUND, |space| {
                            sealed(traffic.queue_close_notify(space))
                        })?,
                    }
                    false
                }
                ConnectionState::PeerClosed => {
                    self.ended = true;
                    // What is said here may still be heard.
                    !matches!(wish, Wish::Listen)
                }
                ConnectionState::Closed => {
                    self.ended = true;
                    false
                }
                // More has to come. Nobody is let say anything before the handshake is over.
                _ => match wish {
                    Wish::Listen => false,
                    Wish::Say(_) | Wish::Leave => return Err(io::ErrorKind::NotConnected.into()),
                },
            };
            self.input.drain(..discard);
            if !goes_on {
                break;
            }
        }
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        match self.input.len() > INPUT {
            true => Err(io::ErrorKind::InvalidData.into()),
            false => Ok(()),
        }
    }

    /// Writes the records that wait.
    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut begin = 0;
        let outcome = loop {
            if begin == self.output.len() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.socket).poll_write(context, &self.output[begin..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => begin += written,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        match begin == self.output.len() {
            true => self.output = Vec::new(),
            false => drop(self.output.drain(..begin)),
        }
        outcome
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.plain.is_empty() {
                let now = self.plain.len().min(into.remaining());
                into.put_slice(&self.plain[..now]);
                match now == self.plain.len() {
                    true => self.plain = Vec::new(),
                    false => drop(self.plain.drain(..now)),
                }
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_input(context))?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        plain: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(plain)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One record waits, no more.
        ready!(self.poll_output(context))?;
        let written = match parts {
            [only] => {
                let now = &only[..only.len().min(RECORD)];
                self.go_on(Wish::Say(now))?;
                now.len()
            }
            parts => {
                let mut all = Vec::with_capacity(RECORD);
                for part in parts {
                    let now = part.len().min(RECORD - all.len());
                    all.extend_from_slice(&part[..now]);
                }
                self.go_on(Wish::Say(&all))?;
                all.len()
            }
        };
        // What cannot go now goes with the next flush.
        if let Poll::Ready(Err(error)) = self.poll_output(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(context))?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.agreed && !std::mem::replace(&mut self.left, true) {
            self.go_on(Wish::Leave)?;
        }
        ready!(self.poll_output(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
