//! What the gRPC library of C++, Python and Ruby calls the other end of a unix socket: `:authority` is the path, percent-encoded, which is
//! no authority by RFC 3986, and the HTTP/2 library here ends a stream that says so. Its value decides nothing here, so on its way in each
//! `%` of it becomes a `-`: as many bytes as before, and nothing else of a connection is touched.
//!
//! The header is found by walking through the header block as RFC 7541 describes it; no table is needed for that. Names in such a block
//! that refer to the dynamic table are not looked at: a client that refers to an authority has said it before, and it was changed then.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::transport::server::Connected;

/// What a connection begins with: `PRI * HTTP/2.0` and so on.
const PREFACE: usize = 24;
/// The first bytes of a frame: length, type, flags, stream.
const HEAD: usize = 9;
/// The largest frame that a client may send when it was not told otherwise, as here.
const LARGEST: usize = 16_384;
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// In the static table.
const AUTHORITY: usize = 1;

/// A connection on the socket.
pub(crate) struct Connection {
    inner: UnixStream,
    incoming: Incoming,
}

impl Connection {
    pub(crate) fn new(inner: UnixStream) -> Self {
        let incoming = Incoming::default();
        Self { inner, incoming }
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.incoming.give(out) {
                return Poll::Ready(Ok(()));
            }
            let mut room = [0; 4096];
            let mut read = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut read))?;
            match read.filled() {
                // Half a frame is what it is.
                [] if !self.incoming.give_up() => return Poll::Ready(Ok(())),
                read => self.incoming.take(read),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// What has come in: looked at, and not yet.
struct Incoming {
    ready: Vec<u8>,
    /// How much of that was given away.
    given: usize,
    unread: Vec<u8>,
    /// How many bytes follow that are of no interest.
    passing: usize,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            ready: Vec::new(),
            given: 0,
            unread: Vec::new(),
            passing: PREFACE,
        }
    }
}

impl Incoming {
    /// Whether there was something to give.
    fn give(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let left = self.ready.get(self.given..).unwrap_or_default();
        if left.is_empty() {
            return false;
        }
        let count = left.len().min(out.remaining());
        out.put_slice(&left[..count]);
        self.given += count;
        if self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
        }
        true
    }

    /// Nothing follows: what waits for more goes as it is. Whether there was any.
    fn give_up(&mut self) -> bool {
        self.ready.append(&mut self.unread);
        self.given < self.ready.len()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(rest) = self.unread.get_mut(at..).filter(|rest| !rest.is_empty()) {
            if self.passing == 0 {
                let &mut [a, b, c, kind, flags, ..] = rest else {
                    break;
                };
                let frame = HEAD + usize::from(a) * 65_536 + usize::from(b) * 256 + usize::from(c);
                if kind == HEADERS && frame <= HEAD + LARGEST {
                    let Some(payload) = rest.get_mut(HEAD..frame) else {
                        break;
                    };
                    // What makes no sense is for the HTTP/2 library to refuse.
                    let _sense = mend(payload, flags);
                }
                self.passing = frame;
            }
            let count = rest.len().min(self.passing);
            self.passing -= count;
            at += count;
        }
        self.ready.extend(self.unread.drain(..at));
    }
}

/// Mends the authority in a frame of headers; `None` where it is none that makes sense.
fn mend(payload: &mut [u8], flags: u8) -> Option<()> {
    if flags & END_HEADERS == 0 {
        return None;
    }
    let (mut at, mut end) = (0, payload.len());
    if flags & PADDED != 0 {
        end = end.checked_sub(usize::from(*payload.first()?))?;
        at += 1;
    }
    if flags & PRIORITY != 0 {
        at += 5;
    }
    let block = payload.get_mut(at..end)?;
    at = 0;
    while at < block.len() {
        let first = *block.get(at)?;
        // By the first bits: all from a table; a new size of the table; a value, with its name from a table or not.
        let prefix = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let (index, next) = integer(block, at, prefix)?;
        at = next;
        if matches!(prefix, 7 | 5) {
            continue;
        }
        let mut is_authority = index == AUTHORITY;
        if index == 0 {
            let (name, plain, next) = string(block, at)?;
            is_authority = plain && block.get(name)? == b":authority";
            at = next;
        }
        let (value, plain, next) = string(block, at)?;
        if is_authority && plain {
            let value = block.get_mut(value)?;
            let wrong = value.iter_mut().filter(|byte| **byte == b'%');
            wrong.for_each(|byte| *byte = b'-');
        }
        at = next;
    }
    Some(())
}

/// A number whose first byte has so many bits of it, and what is after it.
fn integer(block: &[u8], at: usize, prefix: u32) -> Option<(usize, usize)> {
    let most = (1_usize << prefix) - 1;
    let first = usize::from(*block.get(at)?) & most;
    if first < most {
        return Some((first, at + 1));
    }
    let mut number = first;
    for (n, byte) in block.get(at + 1..)?.iter().take(3).enumerate() {
        number += usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((number, at + 2 + n));
        }
    }
    None
}

/// Where a text is, whether it is written plainly, and what is after it.
fn string(block: &[u8], at: usize) -> Option<(std::ops::Range<usize>, bool, usize)> {
    let plain = block.get(at)? & 0x80 == 0;
    let (length, start) = integer(block, at, 7)?;
    let end = start
        .checked_add(length)
        .filter(|end| *end <= block.len())?;
    Some((start..end, plain, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A connection as the gRPC library of C++ begins it, with this frame of headers.
    fn begun(headers: &[u8], flags: u8) -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00");
        let length = u8::try_from(headers.len()).unwrap();
        bytes.extend([0, 0, length, HEADERS, flags, 0, 0, 0, 1]);
        bytes.extend(headers);
        bytes.extend(b"\x00\x00\x05\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00");
        bytes
    }

    /// What comes out when it comes in pieces of this size.
    fn through(bytes: &[u8], pieces: usize) -> Vec<u8> {
        let mut incoming = Incoming::default();
        let mut all = Vec::new();
        let mut drain = |incoming: &mut Incoming| {
            let mut room = [0; 7];
            let mut out = ReadBuf::new(&mut room);
            while incoming.give(&mut out) {
                all.extend_from_slice(out.filled());
                out.clear();
            }
        };
        for piece in bytes.chunks(pieces) {
            incoming.take(piece);
            drain(&mut incoming);
        }
        incoming.give_up();
        drain(&mut incoming);
        all
    }

    const PATH: &[u8] = b"@\x05:path\x04/%25";
    const REST: &[u8] = b"\x83\x86@\x02te\x08trailers\x00\x12workload.spiffe.io\x04true";

    #[test]
    fn a_path_as_authority_becomes_one_and_nothing_else_changes() {
        let spoken = |authority: &[u8]| [PATH, authority, REST].concat();
        for (said, heard) in [
            (
                &b"@\n:authority\x10tmp%2Fsniff.sock"[..],
                &b"@\n:authority\x10tmp-2Fsniff.sock"[..],
            ),
            (b"A\x05a%2Fb", b"A\x05a-2Fb"),
            (b"\x01\x05a%2Fb", b"\x01\x05a-2Fb"),
            (b"A\x09localhost", b"A\x09localhost"),
            (b"@\x01x\x05a%2Fb", b"@\x01x\x05a%2Fb"),
        ] {
            for pieces in [1, 2, 10, 1_000] {
                let (said, heard) = (begun(&spoken(said), 4), begun(&spoken(heard), 4));
                assert_eq!(through(&said, pieces), heard, "in pieces of {pieces}");
            }
        }
        let padded = |block: &[u8]| [&[2, 0, 0, 0, 0, 16][..], block, b"%%"].concat();
        assert_eq!(
            through(&begun(&padded(b"A\x05a%2Fb"), 0x2c), 9),
            begun(&padded(b"A\x05a-2Fb"), 0x2c)
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_goes_on_in_full(bytes in proptest::collection::vec(any::<u8>(), 0..400), pieces in 1..50_usize, flags in any::<u8>()) {
            let junk = through(&bytes, pieces);
            prop_assert_eq!(junk.len(), bytes.len());
            let headers = begun(bytes.get(..200).unwrap_or(&bytes), flags);
            let heard = through(&headers, pieces);
            let same = |(a, b): (&u8, &u8)| a == b || (*a == b'%' && *b == b'-');
            prop_assert!(heard.len() == headers.len() && headers.iter().zip(&heard).all(same));
        }
    }
}
