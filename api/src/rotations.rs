//! What the document says of rotations: their operations and schemas.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Get, Post};

use crate::openapi::{Op, list_of};
use crate::table::Table;
use crate::v1::rotations;

/// The operations.
pub(crate) fn operations(table: Table) -> Table {
    let view = || Some(String::from("Rotation"));
    table
        .op(
            Get,
            rotations::COLLECTION,
            Op::new("list_rotations", "List the rotations of a mesh's authorities, newest first", "Proxies")
                .paged()
                .answer(200, "One page.", Some(String::from("RotationList"))),
            rotations::list,
        )
        .op(
            Post,
            rotations::COLLECTION,
            Op::new("create_rotation", "Replace the authorities of a mesh", "Proxies")
                .about("New ones are made; proxies are told to trust them beside the old ones, then they sign, then leaves are replaced, and then the old ones go. Each step waits until every proxy has followed. One rotation at a time. `break_trust` does it all at once, without waiting. What drops a root in the end needs a member who signed in within the last five minutes.")
                .body("CreateRotation", rotations::sample())
                .tries()
                .once()
                .conflicts()
                .answer(201, "Begun.", view()),
            rotations::create,
        )
        .op(
            Get,
            rotations::ITEM,
            Op::new("get_rotation", "Read a rotation with the progress of each proxy", "Proxies")
                .answer(200, "The rotation.", view()),
            rotations::get,
        )
        .op(
            Post,
            rotations::ACTIONS,
            Op::new("create_rotation_action", "Take the next step of a rotation, or turn it round", "Proxies")
                .about("`advance` is for a rotation whose pace is manual; with `force` it does not wait for proxies. `reverse` is possible until what was there before has been removed. The step that removes it, and one that is forced, need a member who signed in within the last five minutes.")
                .body("ActOnRotation", rotations::action_sample())
                .tries()
                .once()
                .conflicts()
                .errors(&[412])
                .answer(200, "Done.", view()),
            rotations::act,
        )
}

fn text(about: &str, example: &str) -> Value {
    json!({"type": "string", "description": about, "examples": [example]})
}

fn word(about: &str, words: &[&str]) -> Value {
    json!({"type": "string", "enum": words, "description": about})
}

fn number(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

fn time(about: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": about})
}

fn maybe_time(about: &str) -> Value {
    json!({"type": ["string", "null"], "format": "date-time", "description": about})
}

/// The schemas.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("RotationList", list_of("Rotation")),
        (
            "Rotation",
            json!({
                "type": "object",
                "description": "New authorities on their way into the place of those of a mesh.",
                "required": ["what", "mode", "pace", "state", "reversing", "generation", "revision", "replace_over_seconds", "replaced_from", "meta"],
                "properties": {
                    "what": word("What is replaced: what signs leaves, or the root with it.", &["intermediate", "root"]),
                    "mode": word("How careful it is.", &["planned", "emergency", "break_trust"]),
                    "pace": word("Who takes the next step: servers, or whoever asks for it.", &["automatic", "manual"]),
                    "state": word("`prepared`: the new ones are made. `published`: proxies are told to trust the new root beside the old one. `active`: what is new signs. `retiring`: leaves of what was before are replaced. `removed`: what was before is not trusted any more, the end. `cancelled`: nothing of what was new is left, the end.", &["prepared", "published", "active", "retiring", "removed", "cancelled"]),
                    "reversing": {"type": "boolean", "description": "It was turned round: what was there before signs again."},
                    "generation": {"type": "integer", "minimum": 1, "description": "Grows with every step."},
                    "revision": number("The revision of the mesh that its last step made. It changes no object: it is there so that proxies are known to have followed."),
                    "replace_over_seconds": number("Over how many seconds leaves are replaced."),
                    "replaced_from": maybe_time("Since when leaves are replaced."),
                    "progress": {"$ref": "#/components/schemas/RotationProgress"},
                    "proxies": {"type": "array", "description": "Where each proxy stands with the present state; those that are waited for first, at most 500. Not in lists.", "items": {"$ref": "#/components/schemas/RotationProxy"}},
                    "meta": {"$ref": "#/components/schemas/RotationMeta"},
                },
            }),
        ),
        (
            "RotationProgress",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "How many proxies stand where with the present state, and which certificates nobody answers for. Not in lists.",
                "required": ["ready", "pending", "refused", "offline", "left_behind", "certificates", "certificates_until", "waiting_for"],
                "properties": {
                    "ready": number("As far."),
                    "pending": number("Connected, and not as far yet."),
                    "refused": number("They refuse what they should have."),
                    "offline": number("Not connected, with a leaf that is still good: they may be at work."),
                    "left_behind": number("Not connected, and their leaf has ended: they are told everything when they come back. Nobody waits for them."),
                    "certificates": number("Certificates that were asked for by the API and that the next step waits for: they are still good, and nobody says whether their holders follow."),
                    "certificates_until": maybe_time("When the last of these ends."),
                    "waiting_for": number("Those of all of them that the next step waits for."),
                },
            }),
        ),
        (
            "RotationProxy",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "Where a proxy stands.",
                "required": ["uid", "name", "service", "state", "until"],
                "properties": {
                    "uid": text("Its identifier.", "px_01jdbg8ehwfdftt7h57xet4v7y"),
                    "name": text("The Envoy's node id.", "payments-1"),
                    "service": text("The service that it serves.", "payments"),
                    "state": word("As in `progress`.", &["ready", "pending", "refused", "offline", "left_behind"]),
                    "until": maybe_time("When it is waited for no more, at the latest: its leaf ends then."),
                },
            }),
        ),
        (
            "RotationMeta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about a rotation.",
                "required": ["uid", "kind", "root", "issuing", "created_at", "created_by", "moved_at", "ended_at"],
                "properties": {
                    "uid": text("The identifier.", "rot_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": word("The kind.", &["rotation"]),
                    "root": {"type": ["string", "null"], "description": "The new root, if there is one.", "examples": ["ca_01jdbg8ehwfdftt7h57xet4v7y"]},
                    "issuing": text("What signs leaves when it has ended well.", "ca_01jdbg8ehwfdftt7h57xet4v7z"),
                    "created_at": time("When it began."),
                    "created_by": text("Who began it.", "ada@example.com"),
                    "moved_at": time("When it took its last step."),
                    "ended_at": maybe_time("When it ended."),
                },
            }),
        ),
    ]
}
