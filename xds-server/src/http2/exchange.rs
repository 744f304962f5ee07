//! One request and its answer.

use std::collections::VecDeque;

use bytes::Bytes;

/// What a peer may still send: it is told of more when it has used half.
#[derive(Debug)]
pub(super) struct Inflow {
    left: u32,
    /// Read, and not given back yet.
    owed: u32,
    window: u32,
}

impl Inflow {
    pub(super) const fn new(window: u32) -> Self {
        Self {
            left: window,
            owed: 0,
            window,
        }
    }

    /// So much came. `None`: more than it may send.
    #[must_use]
    pub(super) fn take(&mut self, bytes: u32) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }

    /// So much was read. Returns of how much more the peer is to be told.
    #[must_use]
    pub(super) fn give(&mut self, bytes: u32) -> Option<u32> {
        self.owed += bytes;
        if self.owed < self.window / 2 {
            return None;
        }
        self.left += self.owed;
        Some(std::mem::take(&mut self.owed))
    }
}

/// How an answer ends.
#[derive(Debug)]
pub(super) enum End {
    /// With these fields, encoded.
    Fields(Vec<u8>),
    /// With its data.
    Data,
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) id: u32,
    /// What came and was not read.
    pub(super) data: Vec<u8>,
    pub(super) inflow: Inflow,
    /// The peer has said everything.
    pub(super) said: bool,
    /// Nothing is sent or read any more: it is over, or was broken off.
    pub(super) over: bool,
    /// How much the peer takes.
    pub(super) window: i64,
    /// What is to be sent.
    pub(super) queue: VecDeque<Bytes>,
    /// How it ends, after that.
    pub(super) end: Option<End>,
    /// Somebody here works on it.
    pub(super) held: bool,
}

impl Exchange {
    pub(super) const fn new(id: u32, window: i64, inflow: u32, said: bool) -> Self {
        Self {
            id,
            data: Vec::new(),
            inflow: Inflow::new(inflow),
            said,
            over: false,
            window,
            queue: VecDeque::new(),
            end: None,
            held: true,
        }
    }

    /// Nothing more is sent or read. Returns how much was not read.
    pub(super) fn close(&mut self) -> usize {
        self.over = true;
        self.queue = VecDeque::new();
        self.end = None;
        std::mem::take(&mut self.data).len()
    }
}
