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
const REPORTS: &str = "heddle_xds_reports_total";
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
    describe_counter!(
        REPORTS,
        "Records of requests that came from proxies, by what became of them"
    );
    for outcome in Outcome::ALL {
        reported(outcome, 0);
    }
}

/// What became of records of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They were counted.
    Counted,
    /// Whoever sent them is nobody.
    Unauthenticated,
    /// They are about a service that is not the sender's.
    Foreign,
    /// They are not what we ask for.
    Malformed,
    /// There were too many at once.
    TooMany,
    /// They could not be kept.
    Lost,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Counted,
        Self::Unauthenticated,
        Self::Foreign,
        Self::Malformed,
        Self::TooMany,
        Self::Lost,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Unauthenticated => "unauthenticated",
            Self::Foreign => "foreign",
            Self::Malformed => "malformed",
            Self::TooMany => "too_many",
            Self::Lost => "lost",
        }
    }
}

pub(crate) fn reported(outcome: Outcome, records: u64) {
    counter!(REPORTS, "outcome" => outcome.as_str()).increment(records);
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
