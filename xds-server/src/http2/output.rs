//! What is to be written, in its order. What is large is shared and not copied; at rest it holds nothing.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes};

use super::frame::{self, LARGEST, kind};

/// Up to this size, in bytes, copying costs less than an entry of a `writev`.
const SMALL: usize = 1 << 10;

/// How many parts are written at once.
pub(crate) const PARTS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Output {
    /// Before `tail`.
    parts: VecDeque<Bytes>,
    parts_length: usize,
    tail: Vec<u8>,
    /// What of `tail` is written.
    written: usize,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.parts_length + self.tail.len() - self.written
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where frames are written that are small.
    pub(super) const fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Writes a frame of data, of at most [`LARGEST`] bytes.
    pub(super) fn data(&mut self, bytes: Bytes, flags: u8, stream: u32) {
        debug_assert!(bytes.len() <= LARGEST);
        if self.tail.capacity() == 0 {
            let copied = if bytes.len() < SMALL { bytes.len() } else { 0 };
            self.tail.reserve_exact(frame::HEAD + copied);
        }
        frame::put_head(&mut self.tail, bytes.len(), kind::DATA, flags, stream);
        if bytes.len() < SMALL {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        let mut before = Bytes::from(std::mem::take(&mut self.tail));
        before.advance(std::mem::take(&mut self.written));
        self.parts_length += before.len() + bytes.len();
        self.parts.extend([before, bytes]);
    }

    /// The next of it.
    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        let tail = &self.tail[self.written..];
        let parts = self.parts.iter().map(|part| &part[..]);
        let all = parts.chain([tail]).filter(|part| !part.is_empty());
        all.map(IoSlice::new).take(PARTS).collect()
    }

    /// So much of it was written.
    pub(super) fn wrote(&mut self, mut bytes: usize) {
        while let Some(part) = self.parts.front_mut() {
            let now = bytes.min(part.len());
            part.advance(now);
            self.parts_length -= now;
            bytes -= now;
            if !part.is_empty() {
                return;
            }
            self.parts.pop_front();
        }
        self.written += bytes;
        if self.is_empty() {
            *self = Self::default();
        } else if self.written > self.tail.len() / 2 {
            // Who never reads all of it would have it grow for as long as it reads.
            self.tail.drain(..std::mem::take(&mut self.written));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_reads_all_of_it_does_not_make_it_grow() {
        let mut out = Output::default();
        let frame = frame::HEAD + 8;
        out.data(Bytes::from_static(b"one more"), 0, 1);
        for _ in 0..100_000 {
            out.data(Bytes::from_static(b"one more"), 0, 1);
            out.wrote(frame);
            assert_eq!(out.len(), frame);
        }
        assert!(out.tail.capacity() < 1_000, "{}", out.tail.capacity());
    }

    #[test]
    fn everything_is_written_in_its_order_and_nothing_is_kept() {
        let mut out = Output::default();
        let large = Bytes::from(vec![7; 5_000]);
        let mut expected = Vec::new();
        let mut put = |out: &mut Output, bytes: Bytes| {
            frame::put_head(&mut expected, bytes.len(), kind::DATA, 0, 1);
            expected.extend_from_slice(&bytes);
            out.data(bytes, 0, 1);
        };
        for n in 0..20 {
            put(&mut out, Bytes::from(vec![n; 3]));
            put(&mut out, large.clone());
            put(&mut out, large.slice(..2_000));
        }
        put(&mut out, Bytes::from_static(b"last"));
        // The same memory, not a copy.
        assert!(out.slices().iter().any(|s| s.as_ptr() == large.as_ptr()));
        assert_eq!(out.len(), expected.len());
        let mut written = Vec::new();
        while !out.is_empty() {
            let now = out.slices().iter().map(|s| s.len()).sum::<usize>();
            let now = now.min(777);
            let all: Vec<u8> = out.slices().iter().flat_map(|s| s.to_vec()).collect();
            written.extend_from_slice(&all[..now]);
            out.wrote(now);
        }
        assert!(written == expected);
        assert_eq!(out.tail.capacity() + out.parts.capacity(), 0);
    }
}
