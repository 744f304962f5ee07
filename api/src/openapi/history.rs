//! The schemas of the history of a mesh, and the parameters that every write takes for it.

use heddle_model::kind::Kind;
use serde_json::{Value, json};
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use super::{from_json, list_of};

/// Any value. Spelled out, because a schema without a type is not read back.
const ANY: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];

/// Any element of a list; no kind has lists of lists.
const ELEMENT: [&str; 5] = ["null", "boolean", "number", "string", "object"];

/// The greatest number that every client can hold exactly.
const MOST: u64 = (1 << 53) - 1;

/// A message: text without control characters.
const MESSAGE: &str = r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$";
/// A change group.
const CHANGE_GROUP: &str = "^[A-Za-z0-9_.:/@-]{1,128}$";

fn parameter(
    name: &str,
    place: ParameterIn,
    about: &str,
    schema: Value,
    example: Value,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(from_json(schema)))
        .example(Some(example))
        .build()
}

pub(crate) fn in_query(name: &str, about: &str, schema: Value, example: Value) -> Parameter {
    parameter(name, ParameterIn::Query, about, schema, example)
}

/// What a write may say about itself.
pub(crate) fn notes() -> Vec<Parameter> {
    let message = || json!({"type": "string", "maxLength": 500, "pattern": MESSAGE});
    let example = "Send half of the calls to v2";
    vec![
        parameter(
            "Heddle-Message",
            ParameterIn::Header,
            "Why: kept with the revision. UTF-8, at most 500 characters.",
            message(),
            json!(example),
        ),
        in_query(
            "message",
            "The same as the header `Heddle-Message`, which wins where both are given.",
            message(),
            json!(example),
        ),
        parameter(
            "Heddle-Change-Group",
            ParameterIn::Header,
            "What ties several writes together, such as the run of a tool.",
            json!({"type": "string", "pattern": CHANGE_GROUP}),
            json!("run-7f3"),
        ),
    ]
}

/// The page of a list whose cursors have this form.
fn paged(cursor: &str, example: &str) -> Vec<Parameter> {
    vec![
        in_query(
            "limit",
            "How many items at most: 1 to 500; 50 when absent.",
            json!({"type": "integer", "minimum": 1, "default": 50}),
            json!(50),
        ),
        in_query(
            "cursor",
            "`next_cursor` of the page before.",
            json!({"type": "string", "pattern": cursor}),
            json!(example),
        ),
    ]
}

/// Pages by number.
pub(crate) fn by_number() -> Vec<Parameter> {
    paged("^a_(3[0-9]){1,18}$", "a_3132")
}

/// Pages by identifier.
pub(crate) fn by_id() -> Vec<Parameter> {
    let example = format!("a_{}", "30".repeat(32));
    paged("^a_(3[0-9]|6[1-6]){32}$", &example)
}

/// Only one change group.
pub(crate) fn change_group() -> Parameter {
    in_query(
        "change_group",
        "Only those of this change group.",
        json!({"type": "string", "pattern": CHANGE_GROUP}),
        json!("run-7f3"),
    )
}

/// The revision that a mesh is believed to be at.
pub(crate) fn if_match() -> Parameter {
    parameter(
        "If-Match",
        ParameterIn::Header,
        "The ETag of the revision that the mesh is believed to be at, as its revision answers it.",
        json!({"type": "string"}),
        json!("\"r12\""),
    )
}

/// The other revision of a diff.
pub(crate) fn from() -> Parameter {
    in_query(
        "from",
        "The other revision, older or newer; the one before when absent. 0 is the empty mesh.",
        json!({"type": "integer", "minimum": 0, "maximum": MOST}),
        json!(11),
    )
}

/// Which objects.
pub(crate) fn wanted() -> Vec<Parameter> {
    let kinds: Vec<&str> = Kind::ALL.into_iter().map(Kind::as_str).collect();
    vec![
        in_query(
            "kind",
            "Only objects of this kind.",
            json!({"type": "string", "enum": kinds}),
            json!("service"),
        ),
        in_query(
            "name",
            "Only objects of this name.",
            json!({"type": "string", "pattern": heddle_model::name::NAME_PATTERN}),
            json!("payments"),
        ),
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("Revision", revision()),
        ("RevisionList", list_of("Revision")),
        ("RevisionSummary", summary()),
        ("ObjectChange", object_change()),
        ("FieldChange", field_change()),
        ("RevisionDiff", diff()),
        ("RevisionResource", resource()),
        ("RevisionResourceList", list_of("RevisionResource")),
        ("CreateRollback", create_rollback()),
        ("Rollback", rollback()),
    ]
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn number(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

fn example_change() -> Value {
    json!({
        "change": "changed",
        "kind": "split",
        "uid": "spl_01kxqh3v5xe1tbs7b2a8m4c9dz",
        "name": "split",
        "path": "services/payments/routes/all/split",
    })
}

fn example_revision() -> Value {
    json!({
        "revision": 12,
        "parent": 11,
        "author": {"actor": "tok_01kxqh3v5xe1tbs7b2a8m4c9dz (ci)", "token": "tok_01kxqh3v5xe1tbs7b2a8m4c9dz"},
        "client": "terraform/1.9",
        "message": "Send half of the calls to v2",
        "change_group": "run-7f3",
        "summary": {"added": 0, "changed": 1, "removed": 0},
        "created_at": "2026-11-25T14:00:00.000Z",
        "objects": [example_change()],
    })
}

fn revision() -> Value {
    json!({
        "type": "object",
        "description": "One accepted write. It never changes.",
        "required": ["revision", "parent", "author", "summary", "created_at"],
        "properties": {
            "revision": number("Its number: one more than the one before."),
            "parent": number("The revision before; 0 for the first one."),
            "author": {
                "type": "object",
                "description": "Who made it.",
                "required": ["actor"],
                "properties": {"actor": text("Who acted."), "token": text("The token that was used.")},
            },
            "client": text("What the client called itself (`User-Agent`)."),
            "message": text("Why, in the author's words (`Heddle-Message`)."),
            "change_group": text("What ties it to other revisions (`Heddle-Change-Group`)."),
            "rolled_back_to": number("The revision that this one restored."),
            "reverted": number("The revision that this one took back."),
            "summary": {"$ref": "#/components/schemas/RevisionSummary"},
            "created_at": {"type": "string", "format": "date-time", "description": "When it was made."},
            "objects": {
                "type": "array",
                "description": "What it changed, the first 500; the diff names all. Only where one revision is read.",
                "items": {"$ref": "#/components/schemas/ObjectChange"},
            },
        },
        "examples": [example_revision()],
    })
}

fn summary() -> Value {
    json!({
        "type": "object",
        "description": "How many objects differ.",
        "required": ["added", "changed", "removed"],
        "properties": {
            "added": number("New objects."),
            "changed": number("Objects with other content."),
            "removed": number("Objects that are gone."),
        },
        "examples": [{"added": 0, "changed": 1, "removed": 0}],
    })
}

fn object_change() -> Value {
    json!({
        "type": "object",
        "description": "An object that is not the same on both sides.",
        "required": ["change", "kind", "uid", "name", "path"],
        "properties": {
            "change": {"type": "string", "enum": ["added", "changed", "removed"], "description": "What happened to it."},
            "kind": text("Its kind."),
            "uid": text("Its identifier."),
            "name": text("Its name."),
            "path": text("The end of its address, below the mesh; empty for the mesh itself."),
            "fields": {
                "type": "array",
                "description": "The fields that differ; for an object that is only on one side, the whole object. Only in a diff.",
                "items": {"$ref": "#/components/schemas/FieldChange"},
            },
        },
        "examples": [example_change()],
    })
}

fn field_change() -> Value {
    json!({
        "type": "object",
        "description": "A field that is not the same on both sides. Lists are compared as a whole.",
        "required": ["pointer"],
        "properties": {
            "pointer": text("A JSON pointer (RFC 6901) into the object; empty for the whole object."),
            "before": {"type": ANY, "items": {"type": ELEMENT}, "description": "What it was; absent when there was no such field."},
            "after": {"type": ANY, "items": {"type": ELEMENT}, "description": "What it is; absent when there is no such field."},
        },
        "examples": [{"pointer": "/defaults/timeout", "before": "1s", "after": "2s"}],
    })
}

fn diff() -> Value {
    let mut schema = list_of("ObjectChange");
    schema["description"] = json!("What differs between two revisions.");
    schema["required"] = json!(["from", "to", "summary", "items", "self"]);
    schema["properties"]["from"] =
        number("The revision that is compared with; 0 is the empty mesh.");
    schema["properties"]["to"] = number("The revision of the address.");
    schema["properties"]["summary"] = json!({"$ref": "#/components/schemas/RevisionSummary"});
    let mut item = example_change();
    item["fields"] = json!([{
        "pointer": "/weights",
        "before": [{"version": "v1", "weight": 100}],
        "after": [{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}],
    }]);
    schema["examples"] = json!([{
        "from": 11,
        "to": 12,
        "summary": {"added": 0, "changed": 1, "removed": 0},
        "items": [item],
        "self": "/v1/orgs/acme/meshes/prod/revisions/12/diff",
    }]);
    schema
}

fn resource() -> Value {
    json!({
        "type": "object",
        "description": "An object of any kind, as its own address answered at that revision. `meta.path` is the end of that address.",
        "required": ["name", "meta"],
        "properties": {
            "name": text("Its name."),
            "meta": {"$ref": "#/components/schemas/Meta"},
        },
        "examples": [{
            "name": "split",
            "weights": [{"version": "v1", "weight": 100}],
            "meta": {
                "uid": "spl_01kxqh3v5xe1tbs7b2a8m4c9dz",
                "kind": "split",
                "etag": "\"r11-5c1f00aa\"",
                "revision": 11,
                "created_at": "2026-11-25T13:00:00.000Z",
                "updated_at": "2026-11-25T13:30:00.000Z",
                "path": "services/payments/routes/all/split",
            },
        }],
    })
}

fn create_rollback() -> Value {
    let schema = <crate::v1::rollbacks::CreateRollback as utoipa::PartialSchema>::schema();
    let mut schema = serde_json::to_value(schema).unwrap_or_default();
    schema["minProperties"] = json!(1);
    schema["maxProperties"] = json!(1);
    schema["examples"] = json!([crate::v1::rollbacks::sample()]);
    schema
}

fn rollback() -> Value {
    let mut item = example_change();
    item["fields"] = json!([{"pointer": "/weights/0/weight", "before": 50, "after": 100}]);
    json!({
        "type": "object",
        "description": "What going back did.",
        "required": ["base_revision", "revision", "changed", "summary", "items"],
        "properties": {
            "base_revision": number("The revision that the mesh was at."),
            "revision": number("The revision that it is at now."),
            "changed": {"type": "boolean", "description": "Whether there is a new revision."},
            "summary": {"$ref": "#/components/schemas/RevisionSummary"},
            "items": {
                "type": "array",
                "description": "Every object that went back, field by field.",
                "items": {"$ref": "#/components/schemas/ObjectChange"},
            },
            "findings": {
                "type": "array",
                "description": "What somebody should look at.",
                "items": {"$ref": "#/components/schemas/Violation"},
            },
        },
        "examples": [{
            "base_revision": 12,
            "revision": 13,
            "changed": true,
            "summary": {"added": 0, "changed": 1, "removed": 0},
            "items": [item],
        }],
    })
}
