//! The schemas of revocations.

use serde_json::{Value, json};

use super::list_of;

fn like(about: &str, example: &str) -> Value {
    json!({"type": "string", "description": about, "examples": [example]})
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (
            "CreateRevocation",
            serde_json::to_value(
                <crate::v1::revocations::CreateRevocation as utoipa::PartialSchema>::schema(),
            )
            .unwrap_or_default(),
        ),
        (
            "Revocation",
            json!({
                "type": "object",
                "description": "A proxy, or a service with all of its proxies, that is not trusted any more.",
                "required": ["proxy", "service", "reason", "state", "meta"],
                "properties": {
                    "proxy": {
                        "type": ["object", "null"],
                        "description": "The proxy; null when it is the service. Whoever joins the service under its name is refused, also after it was forgotten.",
                        "required": ["name", "uid"],
                        "properties": {
                            "name": like("Its name.", "payments-1"),
                            "uid": like("Its identifier when it was revoked.", "px_01jdbg8ehwfdftt7h57xet4v7y"),
                        },
                    },
                    "service": like("The service, or the one that the proxy is of.", "payments"),
                    "reason": like("Why.", "The host was broken into: SEC-77."),
                    "state": {"type": "string", "description": "Whether it holds.", "enum": ["in_force", "lifted"]},
                    "meta": {"$ref": "#/components/schemas/RevocationMeta"},
                },
            }),
        ),
        (
            "RevocationMeta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about a revocation.",
                "required": ["uid", "kind", "created_at", "created_by"],
                "properties": {
                    "uid": like("The identifier.", "rvk_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": {"type": "string", "description": "The kind.", "enum": ["revocation"]},
                    "created_at": {"type": "string", "format": "date-time", "description": "Since when it holds."},
                    "created_by": like("Who revoked, as the audit log names them.", "mbr_01jdbg8ehwfdftt7h57xet4v7y"),
                    "lifted_at": {"type": ["string", "null"], "format": "date-time", "description": "When it was lifted."},
                    "lifted_by": {"type": ["string", "null"], "description": "Who lifted it.", "examples": ["mbr_01jdbg8ehwfdftt7h57xet4v7y"]},
                },
            }),
        ),
        ("RevocationList", list_of("Revocation")),
    ]
}
