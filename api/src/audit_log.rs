//! The table of contents of the audit log, and the schemas of what it answers.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::Get;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{RefOr, Schema};

use crate::openapi::{Op, from_json, history, list_of};
use crate::table::Table;
use crate::v1::audit_log;

const TAG: &str = "Audit log";

/// Adds the operations.
pub(crate) fn operations(table: Table) -> Table {
    let with = |op: Op, parameters: Vec<_>| parameters.into_iter().fold(op, Op::parameter);
    table
        .op(
            Get,
            audit_log::COLLECTION,
            with(
                with(
                    Op::new("list_audit_log", "Read the audit log, newest first", TAG),
                    history::by_id(),
                ),
                filters(),
            )
            .about("Every change and every sign-in, also those that were refused: who, when, from where, to what. Who may read it at some meshes only sees what happened there.")
            .answer(200, "One page.", Some(String::from("AuditEntryList"))),
            audit_log::list,
        )
        .op(
            Get,
            audit_log::EXPORT,
            Op::new("get_audit_log_export", "Take the audit log away", TAG)
                .about("JSON, one text a line. The first line says where each chain ends (`heads`: `chain`, `seq`, `hash`): keep it, and `heddled admin audit verify --noted` shows later that nothing before it was touched. Every other line is `{\"hash\":\"...\",\"previous_hash\":\"...\",\"record\":{...}}`, chain by chain and in order; `hash` is the SHA-256 of the 32 bytes of `previous_hash` followed by the text of `record` as it stands there. The first row of a chain follows 32 zero bytes.")
                .answer_as(200, "The log.", audit_log::NDJSON, "AuditExport"),
            audit_log::export,
        )
}

fn filters() -> Vec<Parameter> {
    let word = |example: &str| {
        (
            json!({"type": "string", "pattern": "^[a-z_]{1,64}$"}),
            json!(example),
        )
    };
    let time = || json!({"type": "string", "format": "date-time"});
    let handle = "^([a-z]([a-z0-9-]{0,61}[a-z0-9])?|mesh_[0-7][0-9a-hjkmnp-tv-z]{25})$";
    let prefixes = heddle_model::id::PREFIXES.join("|");
    let uid = format!("^({prefixes})_[0-7][0-9a-hjkmnp-tv-z]{{25}}$");
    let (action, kind) = (word("sign_in"), word("session"));
    [
        ("mesh", "Only what happened in this mesh: its name, or its identifier, which also leads to one that was deleted.", json!({"type": "string", "pattern": handle}), json!("prod")),
        ("actor", "Only those whose `actor` begins so: an identifier, or all of it.", json!({"type": "string", "minLength": 1, "maxLength": 300, "pattern": "^[^\\x00-\\x1f]+$"}), json!("tok_01kxqh3v5xe1tbs7b2a8m4c9dz")),
        ("action", "Only these actions, such as `create`, `replace`, `delete`, `revoke` or `sign_in`.", action.0, action.1),
        ("kind", "Only what was done to objects of this kind.", kind.0, kind.1),
        ("uid", "Only what was done to this object.", json!({"type": "string", "pattern": uid}), json!("svc_01kxqh3v5xe1tbs7b2a8m4c9dz")),
        ("outcome", "Only what was done, or only what was refused.", json!({"type": "string", "enum": ["done", "refused"]}), json!("refused")),
        ("since", "Only from this moment on.", time(), json!("2026-11-25T00:00:00Z")),
        ("until", "Only before this moment.", time(), json!("2026-11-26T00:00:00Z")),
    ]
    .into_iter()
    .map(|(name, about, schema, example)| history::in_query(name, about, schema, example))
    .collect()
}

/// Adds the schemas.
pub(crate) fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
    for (name, schema) in [
        ("AuditEntry", entry()),
        ("AuditEntryList", list_of("AuditEntry")),
        ("AuditExport", export()),
    ] {
        all.push((name.to_owned(), from_json(schema)));
    }
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn entry() -> Value {
    let state = |about: &str| json!({"type": "object", "description": about});
    json!({
        "type": "object",
        "description": "One thing that was done, or refused. It never changes.",
        "required": ["id", "at", "actor", "action", "kind", "name", "outcome"],
        "properties": {
            "id": text("Its identifier; later ones are greater."),
            "at": {"type": "string", "format": "date-time", "description": "When."},
            "actor": text("Who: a member, a token, a proxy's join token, or a part of Heddle."),
            "token": text("The API token that was used."),
            "client": text("What the client called itself (`User-Agent`)."),
            "ip": text("The other end of the connection."),
            "message": text("Why, in the actor's words (`Heddle-Message`)."),
            "change_group": text("What ties it to others (`Heddle-Change-Group`)."),
            "mesh": text("The identifier of the mesh; absent for what belongs to none."),
            "revision": {"type": "integer", "minimum": 1, "description": "The revision of the mesh that it is part of."},
            "action": text("What was done."),
            "kind": text("The kind of the object."),
            "uid": text("The identifier of the object; absent where there is none, such as that of somebody unknown who wanted to sign in."),
            "name": text("What the object is called."),
            "outcome": {"type": "string", "enum": ["done", "refused"], "description": "How it ended."},
            "before": state("What it was. Secrets are in neither."),
            "after": state("What it is."),
            "chain": {
                "type": "object",
                "description": "Its place in the chain of its mesh (`id`), or of the organisation (no `id`). Absent from before there were chains.",
                "required": ["seq", "previous_hash", "hash"],
                "properties": {
                    "id": text("The identifier of the mesh."),
                    "seq": {"type": "integer", "minimum": 1, "description": "Its place."},
                    "previous_hash": text("The hash of the one before it."),
                    "hash": text("Its own."),
                },
            },
        },
        "examples": [{
            "id": "0193590c3a3c7b5f8d1e2f3a4b5c6d7e",
            "at": "2026-11-25T14:00:00.000Z",
            "actor": "unknown (eve@example.com)",
            "client": "curl/8.5",
            "ip": "192.0.2.7",
            "action": "sign_in",
            "kind": "member",
            "name": "eve@example.com",
            "outcome": "refused",
            "chain": {"seq": 12, "previous_hash": "0".repeat(64), "hash": "5".repeat(64)},
        }],
    })
}

fn export() -> Value {
    json!({
        "type": "object",
        "description": "One line: the first one, or a row.",
        "examples": [{"hash": "5".repeat(64), "previous_hash": "0".repeat(64), "record": {"seq": 1, "action": "create"}}],
    })
}
