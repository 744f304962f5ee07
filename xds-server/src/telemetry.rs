//! The metrics of this crate, all in one place. Labels are types only: never a name, a tenant or a proxy.

use std::time::Instant;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::engine::kind::Kind;
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

pub(crate) fn sent(response: &Response, now: Instant) {
    let kind = response.kind.short();
    counter!(RESPONSES, "type" => kind).increment(1);
    counter!(SENT, "type" => kind).increment(response.resources.len() as u64);
    counter!(REMOVED, "type" => kind).increment(response.removed.len() as u64);
    if let Some(published) = response.published {
        histogram!(PUSH, "type" => kind).record(now.duration_since(published));
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
