//! HTTP/2 (RFC 9113) as a server of gRPC needs it, without I/O: bytes come in; requests, their data and bytes to write come out.
//!
//! Libraries for every purpose keep tens of kilobytes for a connection, and wake a task for each part of it. Most of our connections
//! wait for hours, so that is what they would cost. Here one that waits holds no buffer at all. What is not needed is not there:
//! nothing is pushed or prioritised, and no table of fields is kept.
//!
//! Whoever is on the other end may be anybody: a peer is let do nothing that makes more than a bounded amount of anything pile up,
//! and what it sends while its own answers wait to be written is not read.

mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod feed;
mod frame;
mod hpack;
mod huffman;
mod output;
mod peer;
mod request;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};

use exchange::{End, Exchange, Inflow};
use frame::{LARGEST, flag, setting};
use hpack::Decoder;
use output::Output;

pub(crate) use frame::Reason;

/// The requests of a connection at a time.
const STREAMS: usize = 16;
/// The fields of a request, in bytes.
const FIELDS: u32 = 16 << 10;
/// What a peer may send of one request, and in all, before it is read.
const REQUEST_WINDOW: u32 = 256 << 10;
const WINDOW: u32 = 1 << 20;
/// What a connection and each stream on it begin with, before anybody says anything.
const FIRST_WINDOW: u32 = 65_535;
/// A window cannot be larger.
const LARGEST_WINDOW: i64 = (1 << 31) - 1;
/// What waits to be written, in bytes, before no more is put there.
const OUTPUT: usize = 64 << 10;
/// What is said in the ping of a goodbye: the answer tells that it was heard.
const GOODBYE: [u8; 8] = *b"goodbye!";

/// How far the beginning is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Preface,
    Settings,
    Open,
}

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    No,
    /// The peer is told to begin nothing more, and what it began meanwhile still counts.
    Told,
    /// It has heard that.
    Heard,
}

/// What there is to read of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Data(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// It has been said whole.
    End,
    /// It was broken off, or is over.
    Gone,
}

/// Whether something can be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    Full,
    /// Nobody sends anything any more.
    Gone,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Http2 {
    stage: Stage,
    /// A frame of which not all has come.
    input: Vec<u8>,
    /// A block of fields of which not all has come.
    block: Option<peer::Block>,
    decoder: Decoder,
    exchanges: Vec<Exchange>,
    /// Those that nobody works on yet.
    accepted: VecDeque<(u32, Request<()>)>,
    /// The newest that the peer began.
    newest: u32,
    inflow: Inflow,
    /// How much the peer takes in all, and of each request that it begins.
    window: i64,
    request_window: i64,
    out: Output,
    /// Whose turn it is to be written.
    turn: usize,
    parting: Parting,
    /// Nothing is read any more.
    over: bool,
    /// Something came since that was asked last.
    heard: bool,
    /// How many requests the peer has broken off since then.
    broken_off: u32,
}

impl Http2 {
    /// A connection that has just begun.
    pub(crate) fn new() -> Self {
        let mut out = Output::default();
        frame::put_settings(
            out.tail(),
            &[
                (setting::HEADER_TABLE_SIZE, 0),
                (setting::MAX_CONCURRENT_STREAMS, STREAMS as u32),
                (setting::INITIAL_WINDOW_SIZE, REQUEST_WINDOW),
                (setting::MAX_HEADER_LIST_SIZE, FIELDS),
            ],
        );
        frame::put_window_update(out.tail(), 0, WINDOW - FIRST_WINDOW);
        Self {
            stage: Stage::Preface,
            input: Vec::new(),
            block: None,
            decoder: Decoder::new(),
            exchanges: Vec::new(),
            accepted: VecDeque::new(),
            newest: 0,
            inflow: Inflow::new(WINDOW),
            window: i64::from(FIRST_WINDOW),
            request_window: i64::from(FIRST_WINDOW),
            out,
            turn: 0,
            parting: Parting::No,
            over: false,
            heard: false,
            broken_off: 0,
        }
    }

    /// The next request that came. Whoever takes it says so when it works on it no more: [`Http2::let_go`].
    pub(crate) fn accept(&mut self) -> Option<(u32, Request<()>)> {
        let next = self.accepted.pop_front();
        if self.accepted.is_empty() {
            self.accepted = VecDeque::new();
        }
        next
    }

    fn exchange(&mut self, id: u32) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().find(|exchange| exchange.id == id)
    }

    /// The same, unless it is over.
    fn open(&mut self, id: u32) -> Option<&mut Exchange> {
        self.exchange(id).filter(|exchange| !exchange.over)
    }

    /// Reads what came of a request. The peer may send as much again.
    pub(crate) fn take(&mut self, id: u32) -> Taken {
        let Some(exchange) = self.open(id) else {
            return Taken::Gone;
        };
        if exchange.data.is_empty() {
            return match exchange.said {
                true => Taken::End,
                false => Taken::Nothing,
            };
        }
        let data = std::mem::take(&mut exchange.data);
        let said = exchange.said;
        // Never more than a window.
        let length = data.len() as u32;
        let more = exchange.inflow.give(length);
        if let Some(more) = more.filter(|_| !said) {
            frame::put_window_update(self.out.tail(), id, more);
        }
        self.give(length);
        Taken::Data(data)
    }

    /// So much less waits to be read.
    fn give(&mut self, bytes: u32) {
        if let Some(more) = self.inflow.give(bytes) {
            frame::put_window_update(self.out.tail(), 0, more);
        }
    }

    /// Whether something can be sent on a request.
    pub(crate) fn room(&mut self, id: u32) -> Room {
        let full = self.out.len() >= OUTPUT;
        match self.open(id) {
            None => Room::Gone,
            Some(exchange) if full || !exchange.queue.is_empty() => Room::Full,
            Some(_) => Room::Free,
        }
    }

    /// Begins an answer; `whole`: that is all of it.
    pub(crate) fn respond(&mut self, id: u32, status: StatusCode, fields: &HeaderMap, whole: bool) {
        if self.open(id).is_none() {
            return;
        }
        let flags = if whole { flag::END_STREAM } else { 0 };
        let block = hpack::encode(Some(status), fields);
        frame::put_fields(self.out.tail(), id, &block, flags);
        if whole {
            self.answered(id);
        }
    }

    /// Sends data. Ask for room first: what finds none waits here.
    pub(crate) fn send(&mut self, id: u32, bytes: Bytes) {
        if let Some(exchange) = self.open(id).filter(|exchange| exchange.end.is_none()) {
            exchange.queue.push_back(bytes);
        }
    }

    /// Ends an answer, with these fields if there are any.
    pub(crate) fn finish(&mut self, id: u32, fields: Option<&HeaderMap>) {
        if let Some(exchange) = self.open(id) {
            let fields = fields.map(|fields| End::Fields(hpack::encode(None, fields)));
            exchange.end.get_or_insert(fields.unwrap_or(End::Data));
        }
    }

    /// Nobody works on it any more. What is not answered by then is broken off.
    pub(crate) fn let_go(&mut self, id: u32) {
        if let Some(exchange) = self.exchange(id) {
            exchange.held = false;
            if !exchange.over && exchange.end.is_none() {
                self.reset(id, Reason::Cancel);
            }
        }
        self.sweep();
    }

    /// Its answer is all written.
    fn answered(&mut self, id: u32) {
        let said = self.open(id).is_none_or(|exchange| exchange.said);
        match said {
            true => self.close(id),
            // It need not say the rest.
            false => self.reset(id, Reason::No),
        }
    }

    /// Breaks a request off.
    fn reset(&mut self, id: u32, reason: Reason) {
        frame::put_reset(self.out.tail(), id, reason);
        self.close(id);
    }

    /// Nothing more is sent or read of it.
    fn close(&mut self, id: u32) {
        let unread = self.exchange(id).map_or(0, Exchange::close);
        // Never more than a window.
        self.give(unread as u32);
    }

    fn sweep(&mut self) {
        self.exchanges
            .retain(|exchange| exchange.held || !exchange.over);
        if self.exchanges.is_empty() {
            self.exchanges = Vec::new();
        }
    }

    /// Moves what is to be sent to what is to be written, one frame of each in turn, as far as the peer takes it.
    pub(crate) fn advance(&mut self) {
        let mut idle = 0;
        while idle < self.exchanges.len() && self.out.len() < OUTPUT {
            self.turn = (self.turn + 1) % self.exchanges.len();
            match self.step(self.turn) {
                true => idle = 0,
                false => idle += 1,
            }
        }
        self.sweep();
    }

    /// One frame of one; whether there was one to write.
    fn step(&mut self, place: usize) -> bool {
        let Some(exchange) = self.exchanges.get_mut(place).filter(|e| !e.over) else {
            return false;
        };
        let id = exchange.id;
        if let Some(bytes) = exchange.queue.front_mut() {
            let takes = self.window.min(exchange.window).max(0);
            let takes = usize::try_from(takes).unwrap_or(usize::MAX);
            let now = bytes.len().min(takes).min(LARGEST);
            if now == 0 && !bytes.is_empty() {
                return false;
            }
            let part = bytes.split_to(now);
            if bytes.is_empty() {
                exchange.queue.pop_front();
                if exchange.queue.is_empty() {
                    exchange.queue = VecDeque::new();
                }
            }
            exchange.window -= now as i64;
            self.window -= now as i64;
            if now > 0 {
                self.out.data(part, 0, id);
            }
            return true;
        }
        match exchange.end.take() {
            None => return false,
            Some(End::Fields(block)) => {
                frame::put_fields(self.out.tail(), id, &block, flag::END_STREAM);
            }
            Some(End::Data) => self.out.data(Bytes::new(), flag::END_STREAM, id),
        }
        self.answered(id);
        true
    }

    /// What is to be written next; nothing when there is nothing.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.out.slices()
    }

    /// So much of it was written.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.out.wrote(bytes);
    }

    /// Whether so much waits to be written that nothing is to be read before.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= OUTPUT
    }

    /// Asks the peer whether it is there.
    pub(crate) fn ping(&mut self) {
        frame::put_ping(self.out.tail(), 0, &[0; 8]);
    }

    /// Whether something came since this was asked last.
    pub(crate) fn has_heard(&mut self) -> bool {
        self.broken_off = 0;
        std::mem::take(&mut self.heard)
    }

    /// Tells the peer that nothing more is to be begun here. What is under way goes on.
    pub(crate) fn part(&mut self) {
        if self.parting == Parting::No && !self.over {
            self.parting = Parting::Told;
            frame::put_go_away(self.out.tail(), u32::MAX >> 1, Reason::No);
            frame::put_ping(self.out.tail(), 0, &GOODBYE);
        }
    }

    /// The peer knows what came too late for it.
    fn parted(&mut self) {
        if self.parting == Parting::Told {
            self.parting = Parting::Heard;
            frame::put_go_away(self.out.tail(), self.newest, Reason::No);
        }
    }

    /// Whether it has ended: nothing comes any more, and what is still to be written is all that there will be.
    pub(crate) fn is_over(&mut self) -> bool {
        let parts = self.parting != Parting::No;
        if parts && !self.over && self.exchanges.is_empty() && self.accepted.is_empty() {
            self.parted();
            self.over = true;
        }
        self.over
    }

    /// The peer is gone, or broke a rule: nothing is read any more, and nobody gets an answer.
    pub(crate) fn end(&mut self) {
        self.over = true;
        self.accepted = VecDeque::new();
        for exchange in &mut self.exchanges {
            exchange.close();
        }
        self.input = Vec::new();
        self.block = None;
    }
}
