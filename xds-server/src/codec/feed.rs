//! Everything that reads a message, put in a row: the decoder, the node's claims, a session with something to answer, the
//! encoder. Only the tests and the fuzzer's programs (`xds-server/fuzz`) are built with it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Said, read, write};
use crate::engine::kind::Kind;
use crate::engine::resource::Resource;
use crate::engine::session::{Limits, Protocol, Session};
use crate::engine::view::{Tables, View};

/// Feeds messages, in this order, to a new stream.
///
/// # Panics
/// There is no end of responses.
pub(crate) fn feed(protocol: Protocol, messages: &[&[u8]]) {
    let now = tokio::time::Instant::now().into_std();
    let mut tables = Tables::default();
    for kind in Kind::ALL {
        let names = ["a", "b", "c"];
        tables = tables.with(kind, names.map(|name| Resource::new(kind, name, "1", b"")));
    }
    let limits = Limits {
        names_per_request: 100,
        ..Limits::default()
    };
    let mut session = Session::new(protocol, now, limits, [(Kind::Secret, "me")]);
    session.set_view(&Arc::new(View::first(1, tables, Tables::default(), now)));
    let mut out = VecDeque::new();
    for bytes in messages {
        let Ok(inbound) = read(protocol, *bytes) else {
            continue;
        };
        if let Some(node) = &inbound.node {
            let _refused = crate::node::claims(node);
        }
        let outcome = match &inbound.said {
            Said::Delta(request) => session.on_request(request),
            Said::Sotw(request) => session.on_state_request(request),
        };
        if outcome.is_err() {
            return;
        }
        let mut responses = 0;
        while let Some(response) = session.poll(now) {
            responses += 1;
            assert!(responses <= 2 * Kind::ALL.len(), "no end of responses");
            write(protocol, &response, &mut out);
        }
    }
}

/// The messages in one run of bytes: two for the length, low one first, then as many; the last one is whatever remains.
fn split(mut data: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let [low, high, rest @ ..] = data {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (message, after) = rest.split_at(length);
        messages.push(message);
        data = after;
    }
    messages
}

/// One input of the fuzzer to a stream of the incremental protocol.
pub(crate) fn delta(data: &[u8]) {
    feed(Protocol::Delta, &split(data));
}

/// One input of the fuzzer to a stream of the state-of-the-world protocol.
pub(crate) fn sotw(data: &[u8]) {
    feed(Protocol::Sotw, &split(data));
}
