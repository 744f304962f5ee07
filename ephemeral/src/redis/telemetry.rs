//! The metrics of Redis. Labels are types only: never a name, a tenant or a mesh.

use metrics::{counter, describe_counter, describe_gauge, gauge};

const CONNECTED: &str = "heddle_redis_connected";
const HINTS: &str = "heddle_redis_hints_total";
const COUNTED: &str = "heddle_rate_limit_counted_total";

/// Makes every series exist from the start, so that "0" and "not measured" differ.
pub(super) fn register() {
    describe_gauge!(CONNECTED, "1 while Redis answers this server");
    describe_counter!(
        HINTS,
        "Hints between servers over Redis, by what became of them"
    );
    describe_counter!(
        COUNTED,
        "Calls counted for rate limits: over Redis for all servers together, or by this one for its share"
    );
    for by in ["redis", "share"] {
        counter!(COUNTED, "by" => by).increment(0);
    }
    gauge!(CONNECTED).set(0);
    for what in ["sent", "dropped", "heard", "ignored"] {
        counter!(HINTS, "what" => what).increment(0);
    }
}

pub(super) fn connected(is: bool) {
    gauge!(CONNECTED).set(f64::from(u8::from(is)));
}

pub(super) fn sent(hints: usize) {
    counter!(HINTS, "what" => "sent").increment(hints as u64);
}

pub(super) fn dropped(hints: usize) {
    counter!(HINTS, "what" => "dropped").increment(hints as u64);
}

pub(super) fn heard() {
    counter!(HINTS, "what" => "heard").increment(1);
}

/// It was no hint.
pub(super) fn ignored() {
    counter!(HINTS, "what" => "ignored").increment(1);
}

pub(super) fn counted(by_redis: bool) {
    let by = if by_redis { "redis" } else { "share" };
    counter!(COUNTED, "by" => by).increment(1);
}
