//! The metrics of this crate, all in one place. Labels are types only: never a name, a tenant or a proxy.

use std::sync::OnceLock;
use std::time::Instant;

use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use crate::engine::kind::{KINDS, Kind};
use crate::engine::session::Response;

const SENT: &str = "heddle_xds_resources_sent_total";
const REMOVED: &str = "heddle_xds_resources_removed_total";
const RESPONSES: &str = "heddle_xds_responses_total";
const NACKS: &str = "heddle_xds_nacks_total";
const STREAMS: &str = "heddle_xds_streams";
const PUSH: &str = "heddle_xds_push_seconds";

/// Makes every series exist from the start, so that "0" and "not measured" differ.
pub(crate) fn register() {
    describe_counter!(SENT, "Resources sent to proxies");
    describe_counter!(REMOVED, "Removals sent to proxies");
    describe_counter!(RESPONSES, "Responses sent to proxies");
    describe_counter!(NACKS, "Responses that proxies refused");
    describe_gauge!(STREAMS, "Streams of proxies that are open");
    describe_histogram!(
        PUSH,
        "Seconds from a change in memory to its sending on a stream"
    );
    for kind in Kind::ALL {
        for name in [SENT, REMOVED, RESPONSES, NACKS] {
            counter!(name, "type" => kind.short()).increment(0);
        }
    }
    gauge!(STREAMS).increment(0);
}

/// The series of one type that every push counts in, looked up once.
struct Pushes {
    responses: Counter,
    sent: Counter,
    removed: Counter,
    push: Histogram,
}

/// The series of every type. Made with the first push: whoever records them is there by then.
fn pushes(kind: Kind) -> &'static Pushes {
    static ALL: OnceLock<[Pushes; KINDS]> = OnceLock::new();
    let of = |kind: Kind| {
        let kind = kind.short();
        Pushes {
            responses: counter!(RESPONSES, "type" => kind),
            sent: counter!(SENT, "type" => kind),
            removed: counter!(REMOVED, "type" => kind),
            push: histogram!(PUSH, "type" => kind),
        }
    };
    &ALL.get_or_init(|| Kind::ALL.map(of))[kind.index()]
}

pub(crate) fn sent(response: &Response, now: Instant) {
    let pushes = pushes(response.kind);
    pushes.responses.increment(1);
    pushes.sent.increment(response.resources.len() as u64);
    pushes.removed.increment(response.removed.len() as u64);
    if let Some(published) = response.published {
        pushes.push.record(now.duration_since(published));
    }
}

pub(crate) fn nacked(kind: Kind) {
    counter!(NACKS, "type" => kind.short()).increment(1);
}

/// Counts a stream for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenStream(());

impl OpenStream {
    pub(crate) fn new() -> Self {
        gauge!(STREAMS).increment(1);
        Self(())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        gauge!(STREAMS).decrement(1);
    }
}
