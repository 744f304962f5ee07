//! The schemas of why a call is let through or refused.

use serde_json::{Value, json};

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn number(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

fn time(about: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": about})
}

fn reference(about: &str, to: &str) -> Value {
    json!({"description": about, "allOf": [{"$ref": format!("#/components/schemas/{to}")}]})
}

fn example() -> Value {
    json!({
        "allowed": false,
        "because": "rule",
        "detail": "This rule denied it.",
        "revision": 14,
        "at": "2026-11-26T12:00:00.123Z",
        "rule": {
            "uid": "ar_01kxqh3v5xe1tbs7b2a8m4c9dz",
            "name": "no-admin",
            "service": "payments",
            "path": "services/payments/access-rules/no-admin",
            "action": "deny",
            "report_only": false,
            "spec": {"action": "deny", "to": [{"paths": [{"prefix": "/admin"}]}]},
            "state": "deleted",
            "written": {
                "revision": 9,
                "author": {"actor": "ada@example.com", "token": null},
                "message": "PAY-1123",
                "at": "2026-11-25T09:30:00.000Z",
            },
            "changed": {
                "revision": 14,
                "author": {"actor": "bea@example.com", "token": null},
                "message": null,
                "at": "2026-11-26T12:04:00.000Z",
            },
        },
    })
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (
            "AccessChecked",
            json!({
                "type": "object",
                "description": "Whether access rules let a call through, and what decided.",
                "required": ["allowed", "because", "detail", "revision"],
                "properties": {
                    "allowed": {"type": "boolean", "description": "Whether it reaches the application, or did, as far as access rules go."},
                    "because": {"type": "string", "enum": ["rule", "default", "malformed", "disguised_path", "revoked", "no_token", "unfit_token", "forged_claims", "passed"], "description": "What decided. `rule`: the rule in `rule`. `default`: no rule, and so the mesh's `access_default`. `malformed`: no proxy takes such a request. `disguised_path`: some servers take its path for another one. `revoked`: the identity of the service that calls is revoked. `no_token`: the service wants a token of an end user. `unfit_token`: a proxy wrote that the token does not hold. `forged_claims`: it says itself what only a token can say. `passed`: a proxy wrote that it went on to the application; it does not write by which rule."},
                    "detail": text("The same in a sentence."),
                    "revision": number("The revision of the mesh that this is told as of."),
                    "at": time("When the call came, by the clock of the proxy that wrote about it. Rules are told as they were then, give or take the moment that a change takes to arrive."),
                    "rule": reference("The rule that decided.", "AccessCheckRule"),
                    "would_deny": reference("A rule that only reports and would deny it.", "AccessCheckRule"),
                    "would_allow": reference("A rule that only reports and would allow it.", "AccessCheckRule"),
                },
                "examples": [example()],
            }),
        ),
        (
            "AccessCheckRule",
            json!({
                "type": "object",
                "description": "An access rule as it was when it decided, who wrote it, and what has become of it.",
                "required": ["uid", "name", "service", "path", "action", "report_only", "spec", "state", "written"],
                "properties": {
                    "uid": text("Its identifier."),
                    "name": text("Its name."),
                    "service": text("The service that it protects."),
                    "path": text("Where it is, or was, below the mesh."),
                    "action": text("`allow` or `deny`."),
                    "report_only": {"type": "boolean", "description": "Whether it decided nothing and only reported."},
                    "spec": {"type": "object", "description": "What its author wrote."},
                    "state": {"type": "string", "enum": ["current", "changed", "deleted"], "description": "What has become of this version. `changed`: the rule reads otherwise now. `deleted`: there is no such rule any more."},
                    "written": reference("The revision that wrote it like this.", "AccessCheckChange"),
                    "changed": reference("The newest revision that changed or deleted it since; absent while it is `current`.", "AccessCheckChange"),
                },
                "examples": [example()["rule"].clone()],
            }),
        ),
        (
            "AccessCheckChange",
            json!({
                "type": "object",
                "description": "A revision, and who made it.",
                "required": ["revision", "author", "message", "at"],
                "properties": {
                    "revision": number("Its number."),
                    "author": {
                        "type": "object",
                        "description": "Who made it.",
                        "required": ["actor", "token"],
                        "properties": {
                            "actor": text("Who it was."),
                            "token": {"type": ["string", "null"], "description": "The API token that was used, if one was."},
                        },
                    },
                    "message": {"type": ["string", "null"], "description": "Why, in the author's words."},
                    "at": time("When it was made."),
                },
                "examples": [example()["rule"]["written"].clone()],
            }),
        ),
    ]
}
