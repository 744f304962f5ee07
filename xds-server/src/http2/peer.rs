//! What a peer sends: frame by frame, each either understood or the end of a request or of the connection.

use http::{HeaderMap, StatusCode};

use super::exchange::Exchange;
use super::frame::{self, HEAD, Head, LARGEST, Reason, flag, kind, setting, without_padding};
use super::request::{Fields, Flaw};
use super::{FIELDS, GOODBYE, Http2, LARGEST_WINDOW, Parting, REQUEST_WINDOW, STREAMS, Stage};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A block of fields, in bytes and in frames: what is refused with a status may be larger than what is announced, but not much.
const BLOCK: usize = 2 * FIELDS as usize;
const BLOCK_FRAMES: usize = 16;
/// How many requests a peer may break off, or have broken off by what it does, between two looks at whether it is there: each costs us
/// more than the peer.
const BROKEN_OFF: u32 = 200;

/// A block of fields that has not come whole.
#[derive(Debug)]
pub(super) struct Block {
    id: u32,
    ends: bool,
    bytes: Vec<u8>,
    frames: usize,
}

/// The connection is over, for this reason.
type Outcome = Result<(), Reason>;

impl Http2 {
    /// Takes bytes in as they came.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        if self.over || bytes.is_empty() {
            return;
        }
        self.heard = true;
        let outcome = if self.input.is_empty() {
            self.read(bytes).map(|read| bytes[read..].to_vec())
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            self.read(&input).map(|read| {
                input.drain(..read);
                // Room for the largest frame is not kept for the beginning of the next.
                input.shrink_to_fit();
                input
            })
        };
        match outcome {
            Ok(rest) => self.input = rest,
            Err(reason) => {
                frame::put_go_away(self.out.tail(), self.newest, reason);
                self.end();
            }
        }
    }

    /// Reads whole frames; returns how much that was.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, Reason> {
        let mut read = 0;
        if self.stage == Stage::Preface {
            let length = bytes.len().min(PREFACE.len());
            if bytes[..length] != PREFACE[..length] {
                return Err(Reason::Protocol);
            }
            if length < PREFACE.len() {
                return Ok(0);
            }
            self.stage = Stage::Settings;
            read = length;
        }
        while !self.over
            && let Some(head) = bytes[read..].first_chunk::<HEAD>()
        {
            let head = Head::read(head);
            if head.length > LARGEST {
                return Err(Reason::FrameSize);
            }
            let begin = read + HEAD;
            let Some(payload) = bytes.get(begin..begin + head.length) else {
                break;
            };
            self.frame(head, payload)?;
            read = begin + head.length;
        }
        Ok(read)
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Outcome {
        let first = self.stage == Stage::Settings;
        let opens = head.kind == kind::SETTINGS && !head.has(flag::ACK);
        let of_block = self.block.as_ref().map(|block| block.id);
        let follows = head.kind == kind::CONTINUATION && of_block == Some(head.stream);
        if (first && !opens) || follows != of_block.is_some() {
            return Err(Reason::Protocol);
        }
        match head.kind {
            kind::DATA => self.on_data(head, payload),
            kind::HEADERS => self.on_fields(head, payload),
            kind::CONTINUATION => self.on_more_fields(head, payload),
            kind::PRIORITY if head.stream == 0 => Err(Reason::Protocol),
            kind::PRIORITY if payload.len() != 5 => Err(Reason::FrameSize),
            kind::RST_STREAM => self.on_reset(head, payload),
            kind::SETTINGS => self.on_settings(head, payload),
            kind::PUSH_PROMISE => Err(Reason::Protocol),
            kind::PING => self.on_ping(head, payload),
            kind::GOAWAY if head.stream != 0 => Err(Reason::Protocol),
            kind::WINDOW_UPDATE => self.on_window(head, payload),
            // Priorities, a goodbye, and what is not known here.
            _ => Ok(()),
        }
    }

    /// The peer cannot have said anything of a request that it has not begun.
    const fn begun(&self, id: u32) -> Outcome {
        if id.is_multiple_of(2) || id > self.newest {
            return Err(Reason::Protocol);
        }
        Ok(())
    }

    fn on_data(&mut self, head: Head, payload: &[u8]) -> Outcome {
        self.begun(head.stream)?;
        // A frame is no longer than fits.
        let length = payload.len() as u32;
        self.inflow.take(length).ok_or(Reason::FlowControl)?;
        let data = without_padding(&head, payload).ok_or(Reason::Protocol)?;
        let Some(exchange) = self.open(head.stream) else {
            // It was on its way when that was broken off here.
            self.give(length);
            return Ok(());
        };
        if exchange.said {
            self.give(length);
            return self.fault(head.stream, Reason::StreamClosed);
        }
        if exchange.inflow.take(length).is_none() {
            self.give(length);
            return self.fault(head.stream, Reason::FlowControl);
        }
        exchange.data.extend_from_slice(data);
        exchange.said = head.has(flag::END_STREAM);
        // What fills up is read at once.
        let filling = length - data.len() as u32;
        let more = exchange.inflow.give(filling);
        let said = exchange.said;
        if let Some(more) = more.filter(|_| !said) {
            frame::put_window_update(self.out.tail(), head.stream, more);
        }
        self.give(filling);
        Ok(())
    }

    fn on_fields(&mut self, head: Head, payload: &[u8]) -> Outcome {
        if head.stream.is_multiple_of(2) {
            return Err(Reason::Protocol);
        }
        let mut bytes = without_padding(&head, payload).ok_or(Reason::Protocol)?;
        if head.has(flag::PRIORITY) {
            bytes = bytes.get(5..).ok_or(Reason::FrameSize)?;
        }
        let ends = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.on_block(head.stream, ends, bytes);
        }
        self.block = Some(Block {
            id: head.stream,
            ends,
            bytes: bytes.to_vec(),
            frames: 1,
        });
        Ok(())
    }

    fn on_more_fields(&mut self, head: Head, payload: &[u8]) -> Outcome {
        let Some(mut block) = self.block.take() else {
            return Err(Reason::Protocol);
        };
        block.frames += 1;
        if block.bytes.len() + payload.len() > BLOCK || block.frames > BLOCK_FRAMES {
            return Err(Reason::EnhanceYourCalm);
        }
        block.bytes.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) {
            return self.on_block(block.id, block.ends, &block.bytes);
        }
        self.block = Some(block);
        Ok(())
    }

    /// A whole block: a request, or what follows the data of one.
    fn on_block(&mut self, id: u32, ends: bool, block: &[u8]) -> Outcome {
        let mut fields = Fields::new(FIELDS as usize);
        let read = self
            .decoder
            .decode(block, |name, value| fields.take(name, value));
        read.map_err(|_| Reason::Compression)?;
        if id <= self.newest {
            return self.on_trailer(id, ends && fields.is_trailer());
        }
        self.newest = id;
        let open = self.exchanges.iter().filter(|e| !e.over).count();
        if self.parting == Parting::Heard || open >= STREAMS {
            frame::put_reset(self.out.tail(), id, Reason::Refused);
            return Ok(());
        }
        let request = match fields.finish() {
            Ok(request) => request,
            Err(Flaw::Malformed) => {
                frame::put_reset(self.out.tail(), id, Reason::Protocol);
                return Ok(());
            }
            Err(Flaw::TooLarge) => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                let answer = super::hpack::encode(Some(status), &HeaderMap::new());
                frame::put_fields(self.out.tail(), id, &answer, flag::END_STREAM);
                if !ends {
                    frame::put_reset(self.out.tail(), id, Reason::No);
                }
                return Ok(());
            }
        };
        if self.exchanges.is_empty() {
            // Most connections have one for all their life.
            self.exchanges.reserve_exact(1);
        }
        let exchange = Exchange::new(id, self.request_window, REQUEST_WINDOW, ends);
        self.exchanges.push(exchange);
        self.accepted.push_back((id, request));
        Ok(())
    }

    fn on_trailer(&mut self, id: u32, is_one: bool) -> Outcome {
        // Of one that is over it may have been on its way.
        let Some(exchange) = self.open(id) else {
            return Ok(());
        };
        match (exchange.said, is_one) {
            (true, _) => self.fault(id, Reason::StreamClosed),
            (false, false) => self.fault(id, Reason::Protocol),
            (false, true) => {
                exchange.said = true;
                Ok(())
            }
        }
    }

    fn on_reset(&mut self, head: Head, payload: &[u8]) -> Outcome {
        if payload.len() != 4 {
            return Err(Reason::FrameSize);
        }
        self.begun(head.stream)?;
        if self.open(head.stream).is_none() {
            return Ok(());
        }
        self.close(head.stream);
        self.broke_off(head.stream)
    }

    /// Breaks a request off for what the peer did: that is as good as if it had broken it off itself.
    fn fault(&mut self, id: u32, reason: Reason) -> Outcome {
        self.reset(id, reason);
        self.broke_off(id)
    }

    fn broke_off(&mut self, id: u32) -> Outcome {
        self.forget(id);
        self.broken_off += 1;
        match self.broken_off > BROKEN_OFF {
            true => Err(Reason::EnhanceYourCalm),
            false => Ok(()),
        }
    }

    /// What is over before anybody began to work on it need not be begun.
    fn forget(&mut self, id: u32) {
        if self.open(id).is_none() {
            let before = self.accepted.len();
            self.accepted.retain(|(accepted, _)| *accepted != id);
            if self.accepted.len() < before {
                self.exchanges.retain(|exchange| exchange.id != id);
            }
        }
    }

    fn on_settings(&mut self, head: Head, payload: &[u8]) -> Outcome {
        if head.stream != 0 {
            return Err(Reason::Protocol);
        }
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(Reason::FrameSize);
            }
            self.decoder.keep_nothing();
            return Ok(());
        }
        self.stage = Stage::Open;
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Reason::FrameSize);
        }
        for [a, b, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*a, *b]) {
                setting::ENABLE_PUSH if value > 1 => return Err(Reason::Protocol),
                setting::MAX_FRAME_SIZE if !(LARGEST as u32..1 << 24).contains(&value) => {
                    return Err(Reason::Protocol);
                }
                setting::INITIAL_WINDOW_SIZE => self.resize(value)?,
                // Nothing that is written uses a table, or more than the least that a frame may hold.
                _ => {}
            }
        }
        frame::put_head(self.out.tail(), 0, kind::SETTINGS, flag::ACK, 0);
        Ok(())
    }

    /// The peer takes so much of each request before it is told of more; of those that it began, too.
    fn resize(&mut self, window: u32) -> Outcome {
        let window = i64::from(window);
        if window > LARGEST_WINDOW {
            return Err(Reason::FlowControl);
        }
        let grown = window - self.request_window;
        self.request_window = window;
        for exchange in &mut self.exchanges {
            exchange.window += grown;
            if exchange.window > LARGEST_WINDOW {
                return Err(Reason::FlowControl);
            }
        }
        Ok(())
    }

    fn on_ping(&mut self, head: Head, payload: &[u8]) -> Outcome {
        match (head.stream, payload.len()) {
            (0, 8) if head.has(flag::ACK) => {
                if *payload == GOODBYE {
                    self.parted();
                }
            }
            (0, 8) => frame::put_ping(self.out.tail(), flag::ACK, payload),
            (0, _) => return Err(Reason::FrameSize),
            _ => return Err(Reason::Protocol),
        }
        Ok(())
    }

    fn on_window(&mut self, head: Head, payload: &[u8]) -> Outcome {
        let Ok(more) = <[u8; 4]>::try_from(payload) else {
            return Err(Reason::FrameSize);
        };
        let more = i64::from(u32::from_be_bytes(more) & (u32::MAX >> 1));
        if head.stream == 0 {
            self.window += more;
            return match (more, self.window > LARGEST_WINDOW) {
                (0, _) => Err(Reason::Protocol),
                (_, true) => Err(Reason::FlowControl),
                _ => Ok(()),
            };
        }
        self.begun(head.stream)?;
        let Some(exchange) = self.open(head.stream) else {
            return Ok(());
        };
        exchange.window += more;
        let reason = match (more, exchange.window > LARGEST_WINDOW) {
            (0, _) => Reason::Protocol,
            (_, true) => Reason::FlowControl,
            _ => return Ok(()),
        };
        self.fault(head.stream, reason)
    }
}
