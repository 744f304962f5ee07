//! Schemas of what can be done with every kind: apply, effective settings, ownership, findings.

use serde_json::{Value, json};

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let like = |about: &str, example: &str| json!({"type": "string", "description": about, "examples": [example]});
    let one_of = |about: &str, values: &[&str]| json!({"type": "string", "description": about, "enum": values});
    let flag = |about: &str| json!({"type": "boolean", "description": about});
    vec![
        (
            "Apply",
            json!({
                "type": "object",
                "description": "Objects that are written together.",
                "required": ["resources"],
                "additionalProperties": false,
                "properties": {
                    "mode": {"type": "string", "enum": ["apply", "sync"], "description": "Whether what is not in the list stays (`apply`, when absent), or goes if it carries the same `managed_by` (`sync`)."},
                    "managed_by": {"$ref": "#/components/schemas/ManagedBy"},
                    "resources": {"type": "array", "maxItems": 5000, "description": "The objects: each as its PUT takes it, with `kind`, `name`, and the names of what it is below (`service`, `route`).", "items": {"$ref": "#/components/schemas/ApplyItem"}},
                },
            }),
        ),
        (
            "ApplyItem",
            json!({
                "type": "object",
                "description": "One object.",
                "required": ["kind"],
                "properties": {
                    "kind": {"type": "string", "enum": crate::declared::kinds::all().iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), "description": "What it is."},
                    "name": like("What it is called; a split needs none.", "payments"),
                    "service": like("The service that it is below.", "payments"),
                    "route": like("The route that it is below.", "charges"),
                },
            }),
        ),
        (
            "Applied",
            json!({
                "type": "object",
                "description": "What became of each object.",
                "required": ["mode", "changed", "revision", "results"],
                "properties": {
                    "mode": one_of("What was done.", &["apply", "sync"]),
                    "changed": flag("Whether there is a new revision."),
                    "revision": {"type": "integer", "minimum": 0, "description": "The mesh's revision.", "examples": [42]},
                    "results": {"type": "array", "description": "In the order of the list, then what a sync deleted or had to leave.", "items": {"$ref": "#/components/schemas/AppliedItem"}},
                },
            }),
        ),
        (
            "AppliedItem",
            json!({
                "type": "object",
                "description": "One object.",
                "required": ["kind", "name", "result"],
                "properties": {
                    "kind": like("What it is.", "service"),
                    "name": like("What it is called.", "payments"),
                    "service": like("The service that it is below.", "payments"),
                    "route": like("The route that it is below.", "charges"),
                    "result": one_of("What became of it; `kept`: a sync would delete it, but something that is not its own is below it.", &["created", "replaced", "unchanged", "deleted", "kept"]),
                    "meta": {"type": "object", "description": "Its identifier, ETag and revision.", "examples": [{"uid": "svc_01jdbg8ehwfdftt7h57xet4v7y", "etag": "\"r42-5c1e9b07\"", "revision": 42}]},
                    "findings": {"type": "array", "description": "What somebody should look at.", "items": {"$ref": "#/components/schemas/Violation"}},
                },
            }),
        ),
        (
            "Effective",
            json!({
                "type": "object",
                "description": "The settings in force.",
                "required": ["items", "mtls", "self"],
                "properties": {
                    "items": {"type": "array", "description": "Every setting.", "items": {"$ref": "#/components/schemas/EffectiveSetting"}},
                    "local_ports": {
                        "type": "array",
                        "description": "Where callers find the `tcp` ports of the service, on the address at which their proxies take calls; absent without such ports.",
                        "items": {
                            "type": "object",
                            "required": ["port", "local_port", "derived"],
                            "properties": {
                                "port": like("The port of the service, by name.", "pg"),
                                "local_port": {"type": "integer", "minimum": 1024, "maximum": 65535, "description": "Where callers connect to.", "examples": [23041]},
                                "derived": {"type": "boolean", "description": "Whether it follows from names; otherwise the service says so."},
                            },
                        },
                    },
                    "mtls": {
                        "type": "array",
                        "description": "How each port of the service is called.",
                        "items": {
                            "type": "object",
                            "required": ["port", "mode", "from"],
                            "properties": {
                                "port": like("The port, by name.", "http"),
                                "mode": one_of("How it is called: in mutual TLS alone, in either, or in plain text.", &["strict", "permissive", "off"]),
                                "from": one_of("Who says so: nobody, the mesh, the service, the port, or what the port speaks: `tcp` is always `strict`.", &["built_in", "mesh", "service", "port", "protocol"]),
                            },
                        },
                    },
                    "self": like("The address of this answer.", "/v1/orgs/-/meshes/prod/services/payments/effective"),
                },
            }),
        ),
        (
            "EffectiveSetting",
            json!({
                "type": "object",
                "description": "One setting.",
                "required": ["field", "value", "from"],
                "properties": {
                    "field": like("Which one.", "retries.attempts"),
                    "value": {"oneOf": [{"type": ["string", "number", "boolean", "null"]}, {"type": "array", "items": {"type": ["string", "number", "object"]}}], "description": "The value in force, as it would be written; null: none.", "examples": [2]},
                    "from": {
                        "type": "object",
                        "description": "Who set it.",
                        "required": ["level"],
                        "properties": {
                            "level": one_of("The level that won.", &["built_in", "mesh", "profile", "service", "route", "upstream"]),
                            "kind": like("The kind of the object that says so.", "service"),
                            "name": like("The name of that object.", "payments"),
                            "revision": {"type": "integer", "minimum": 0, "description": "The revision of the mesh that wrote that object.", "examples": [42]},
                        },
                    },
                },
            }),
        ),
        (
            "ManagedBy",
            serde_json::to_value(
                <heddle_model::manager::ManagedBy as utoipa::PartialSchema>::schema(),
            )
            .unwrap_or_default(),
        ),
        (
            "Status",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle observes of an object.",
                "properties": {
                    "findings": {"type": "array", "description": "What somebody should look at.", "items": {"$ref": "#/components/schemas/Violation"}},
                },
            }),
        ),
    ]
}
