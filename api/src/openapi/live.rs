//! The schemas and parameters of what is live.

use serde_json::{Value, json};
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use super::from_json;
use super::history::in_query;
use crate::parameters::WORDS;
use crate::v1::events::{CURSOR, LAST, TOPICS};

/// How long an answer stays open.
pub(crate) fn wait(about: &str) -> Parameter {
    let schema = json!({"type": "string", "pattern": crate::live::WAIT});
    in_query("wait", about, schema, json!("30s"))
}

/// Which events, from where on.
pub(crate) fn events() -> Vec<Parameter> {
    let words = TOPICS.join("|");
    let topics = json!({
        "type": "string",
        "pattern": format!("^({words})(,({words}))*$"),
        WORDS: TOPICS,
    });
    let limit = json!({"type": "integer", "minimum": 1});
    let at = || json!({"type": "string", "pattern": CURSOR});
    let last = ParameterBuilder::new()
        .name(LAST)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The same as `after`, which it overrules: what a browser sends when it comes back.",
        ))
        .schema(Some(from_json(at())))
        .example(Some(json!("12-40-345")))
        .build();
    vec![
        in_query(
            "topic",
            "Which events, with commas between; without it, all but `audit`, as far as the caller may read them.",
            topics,
            json!("revision,proxy"),
        ),
        in_query(
            "after",
            "The `id` of the last event that the client had: what came after it follows, nothing left out and nothing twice. `0-0-0` is the beginning. Without it, from now on.",
            at(),
            json!("12-40-345"),
        ),
        in_query("limit", "How many events at most.", limit, json!(100)),
        wait(
            "How long the stream stays open, at most `3600s`, which larger values are taken as. Without it, Server-Sent Events stay open, and lines end with what there is.",
        ),
        last,
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("Rollout", rollout()),
        ("HeldUp", held_up()),
        ("Event", event()),
        ("EventProxy", event_proxy()),
        ("EventRollout", event_rollout()),
    ]
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn number(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

fn word(about: &str, words: &[&str]) -> Value {
    json!({"type": "string", "enum": words, "description": about})
}

/// The numbers that the answer and the events of a rollout have in common.
fn counts() -> Value {
    json!({
        "revision": number("The revision that is meant."),
        "state": word("`live`: everybody has it. `under_way`: somebody has not acknowledged it yet. `refused`: somebody refuses something, and nobody else is missing. `waiting`: only proxies are missing that are not connected.", &["live", "under_way", "refused", "waiting"]),
        "done": {"type": "boolean", "description": "Nobody holds it up."},
        "percent": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Of the proxies that are waited for, how many in a hundred have it or are not concerned."},
        "target": number("All proxies of the mesh: the sum of the following five."),
        "acked": number("They acknowledged everything up to the revision."),
        "skipped": number("They are connected, and the revision changed nothing that they should have."),
        "pending": number("They are connected, and have not acknowledged everything yet."),
        "nacked": number("They refuse something of it."),
        "offline": number("They are not connected, and did not have it when they were."),
        "gone": number("Those of the offline ones that take no calls any more: they are not waited for."),
    })
}

fn nack() -> Value {
    json!({
        "code": "HED-3007",
        "at": "2026-11-25T14:00:00.000Z",
        "type": "RDS",
        "resource": "heddle/inbound/payments/http",
        "cause": {
            "kind": "route",
            "uid": "rte_01kxqh3v5xe1tbs7b2a8m4c9dz",
            "name": "payments/all",
            "pointer": "/match/0/path/regex",
            "revision": 12,
        },
        "raw": "route: invalid regex",
    })
}

fn example_held_up() -> Value {
    json!({
        "name": "payments-host-1",
        "service": "payments",
        "uid": "px_01kxqh3v5xe1tbs7b2a8m4c9dz",
        "state": "nacked",
        "reason": "refused",
        "acked": 11,
        "pending_types": ["RDS"],
        "nacks": [nack()],
        "last_seen_at": "2026-11-25T14:00:00.000Z",
    })
}

pub(super) fn example_counts() -> Value {
    json!({
        "revision": 12,
        "state": "refused",
        "done": false,
        "percent": 87,
        "target": 8,
        "acked": 2,
        "skipped": 5,
        "pending": 0,
        "nacked": 1,
        "offline": 0,
        "gone": 0,
    })
}

fn rollout() -> Value {
    let mut properties = counts();
    properties["mesh_revision"] = number("The revision that the mesh is at.");
    properties["held_up_by"] = json!({
        "type": "array",
        "description": "Who holds it up, at most 100: first those that refuse something.",
        "items": {"$ref": "#/components/schemas/HeldUp"},
    });
    properties["returned"] = word(
        "Why the answer came: `settled` (nothing more comes by itself), `time` (that is what there was when `wait` was over), `stopping` (this server stops: ask again), `credential` (it is not valid any more), `gone` (the mesh was deleted).",
        &["settled", "time", "stopping", "credential", "gone"],
    );
    let required: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flatten()
        .map(|p| p.0)
        .collect();
    let mut example = example_counts();
    example["mesh_revision"] = json!(14);
    example["held_up_by"] = json!([example_held_up()]);
    example["returned"] = json!("settled");
    json!({
        "type": "object",
        "description": "How far a revision has come.",
        "required": required,
        "properties": properties,
        "examples": [example],
    })
}

fn event_rollout() -> Value {
    let properties = counts();
    let required: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flatten()
        .map(|p| p.0)
        .collect();
    json!({
        "type": "object",
        "description": "How far the newest revision has come.",
        "required": required,
        "properties": properties,
        "examples": [example_counts()],
    })
}

fn example_event_proxy() -> Value {
    json!({
        "name": "payments-host-1",
        "uid": "px_01kxqh3v5xe1tbs7b2a8m4c9dz",
        "service": "payments",
        "version": "v1",
        "state": "ready",
        "acked": 12,
        "pending_types": [],
        "nacks": [],
        "at": "2026-11-25T14:00:00.000Z",
    })
}

fn event_proxy() -> Value {
    json!({
        "type": "object",
        "description": "A proxy as it is now. What happened to it in between, if that was more, is not told.",
        "required": ["name", "uid", "state"],
        "properties": {
            "name": text("What its Envoy calls itself."),
            "uid": text("Its identifier."),
            "service": text("The service that it stands in front of; absent once it is forgotten."),
            "version": text("The version of the service, while it takes calls."),
            "state": word("What it is doing: `ready` means that it has what it should have.", &["connecting", "ready", "stale", "nacked", "offline", "forgotten"]),
            "acked": number("The newest revision of which it has everything."),
            "pending_types": {"type": "array", "description": "Types with something that it has not acknowledged.", "items": {"type": "string"}},
            "nacks": {"type": "array", "description": "What it refuses, as the proxy's own address shows it.", "items": {"type": "object"}},
            "at": {"type": "string", "format": "date-time", "description": "When."},
        },
        "examples": [example_event_proxy()],
    })
}

fn event() -> Value {
    json!({
        "type": "object",
        "description": "One event: what happened is in the member that has the name of its topic.",
        "required": ["topic"],
        "properties": {
            "topic": word("`revision`, `proxy`, `rollout` and `audit` are what was asked for. `position` says where a stream without `after` begins; `reset`, that `after` is no id of this mesh and what the client knows may be anything; `heartbeat`, every 15 seconds, that there was nothing; `end`, that the stream ends, and why.", &["revision", "proxy", "rollout", "audit", "position", "reset", "heartbeat", "end"]),
            "id": text("Whoever comes back with it in `after` goes on after this event. Absent where the next one belongs to it."),
            "revision": {"$ref": "#/components/schemas/Revision"},
            "proxy": {"$ref": "#/components/schemas/EventProxy"},
            "rollout": {"$ref": "#/components/schemas/EventRollout"},
            "audit": {"$ref": "#/components/schemas/AuditEntry"},
            "reason": word("Why the stream ends: `time` and `limit` were asked for; `stopping`: this server stops; `credential`: it is not valid any more, or may not read this any more; `gone`: the mesh was deleted.", &["time", "limit", "stopping", "credential", "gone"]),
        },
        "examples": [{"topic": "proxy", "id": "12-40-345", "proxy": example_event_proxy()}],
    })
}

fn held_up() -> Value {
    json!({
        "type": "object",
        "description": "A proxy that holds a revision up.",
        "required": ["name", "service", "uid", "state", "reason", "pending_types", "nacks"],
        "properties": {
            "name": text("What its Envoy calls itself."),
            "service": text("The service that it stands in front of."),
            "uid": text("Its identifier."),
            "state": word("Where it stands.", &["pending", "nacked", "offline"]),
            "reason": word("Why: `refused` (see `nacks`), `offline`, `slow` (it was sent something more than ten seconds ago), `connecting` (it has just come), `server` (the server that it is connected to has not read the revision yet), `under_way`.", &["refused", "offline", "slow", "connecting", "server", "under_way"]),
            "acked": number("The newest revision of which it has everything; absent while none is known."),
            "pending_types": {"type": "array", "description": "Types with something that it has not acknowledged.", "items": {"type": "string"}},
            "nacks": {
                "type": "array",
                "description": "What it refuses: the resource, the object and the field that it came from (`cause`), and the Envoy's words (`raw`).",
                "items": {"type": "object"},
            },
            "last_seen_at": {"type": "string", "format": "date-time", "description": "When it said something last."},
        },
        "examples": [example_held_up()],
    })
}
