//! The schemas of what is not declared: problems, metadata, join tokens, proxies, the caller.

use serde_json::{Value, json};

use super::list_of;

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let text = |about: &str| json!({"type": "string", "description": about});
    let like = |about: &str, example: &str| json!({"type": "string", "description": about, "examples": [example]});
    let may_lack = |about: &str, example: &str| json!({"type": ["string", "null"], "description": about, "examples": [example]});
    let one_of = |about: &str, values: &[&str]| json!({"type": "string", "description": about, "enum": values});
    let time = |about: &str| json!({"type": "string", "format": "date-time", "description": about});
    let time_or_null = |about: &str| json!({"type": ["string", "null"], "format": "date-time", "description": about});
    let count = |about: &str| json!({"type": "integer", "minimum": 0, "description": about});
    let pairs = |about: &str| json!({"type": "object", "description": about, "additionalProperties": {"type": "string"}, "examples": [{"zone": "eu-1"}]});
    let flag = |about: &str| json!({"type": "boolean", "description": about});
    vec![
        (
            "Problem",
            json!({
                "type": "object",
                "description": "RFC 9457: what went wrong.",
                "required": ["type", "title", "status", "detail", "code", "request_id"],
                "properties": {
                    "type": like("Where the code is explained.", "/v1/codes/HED-2003"),
                    "title": like("The same for every occurrence of the code.", "Not found"),
                    "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status.", "examples": [404]},
                    "detail": like("What is wrong here.", "there is no such object"),
                    "instance": like("This occurrence.", "/requests/0193590c3a3c7b5f8d1e2f3a4b5c6d7e"),
                    "code": like("A stable code.", "HED-2003"),
                    "request_id": like("Names this request in our logs; also in the header `Heddle-Request-Id`.", "0193590c3a3c7b5f8d1e2f3a4b5c6d7e"),
                    "errors": {"type": "array", "description": "Everything that is wrong with the body, not only the first of it.", "items": {"$ref": "#/components/schemas/Violation"}},
                    "parameter": like("With 400: the parameter that is wrong.", "limit"),
                    "permission": like("With 403: the permission that the caller lacks.", "config:write"),
                    "error": like("For a device that asks for its session: the word of RFC 8628 for the code.", "authorization_pending"),
                    "interval": {"type": "integer", "minimum": 0, "description": "For a device that asks for its session: how many seconds to wait before asking again.", "examples": [5]},
                    "mfa_required": {"type": "boolean", "description": "For whoever signs in: whether a second factor is asked for.", "examples": [true]},
                    "challenge": like("For whoever signs in and has a second factor: what is sent with a code of it.", "heddle_mfa_"),
                    "expires_in": {"type": "integer", "minimum": 0, "description": "With `challenge`: for how many seconds it can be answered.", "examples": [300]},
                    "limits": {"type": "array", "description": "With `HED-2029`: the limits that were met.", "items": {"$ref": "#/components/schemas/LimitReached"}},
                    "current_etag": like("With 412: the ETag that the object has now.", "\"r42-5c1e9b07\""),
                },
            }),
        ),
        (
            "Violation",
            json!({
                "type": "object",
                "description": "One broken rule.",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": like("A JSON pointer (RFC 6901) into the body as it was sent.", "/ports/0/port"),
                    "code": like("A stable code.", "HED-1005"),
                    "detail": like("What is wrong.", "65536 is more than 65535"),
                    "hint": like("What would be right.", "1 to 65535"),
                },
            }),
        ),
        (
            "Meta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about an object.",
                "required": ["uid", "kind", "etag", "revision", "created_at", "updated_at"],
                "properties": {
                    "uid": like("The identifier. It stands wherever the name may stand, and outlives nothing: a new object of the same name has another one.", "svc_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": like("The kind.", "service"),
                    "etag": like("For `If-Match`.", "\"r42-5c1e9b07\""),
                    "revision": {"type": "integer", "minimum": 0, "description": "The mesh revision that wrote it last.", "examples": [42]},
                    "created_at": time("When it was created."),
                    "updated_at": time("When it was written last."),
                    "managed_by": {"$ref": "#/components/schemas/ManagedBy"},
                    "parent": {"type": "object", "description": "What it is below: kind to name.", "additionalProperties": {"type": "string"}},
                },
            }),
        ),
        (
            "MeshStatus",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle observes of a mesh.",
                "required": ["revision", "trust_domain"],
                "properties": {
                    "revision": {"type": "integer", "minimum": 0, "description": "The newest revision: it grows by one with each accepted change.", "examples": [42]},
                    "findings": {"type": "array", "description": "What somebody should look at.", "items": {"$ref": "#/components/schemas/Violation"}},
                    "trust_domain": like("The trust domain of its SPIFFE ids. It is never given out again.", "prod-01jdbg8ehw.heddle.internal"),
                },
            }),
        ),
        (
            "CreateJoinToken",
            serde_json::to_value(
                <crate::v1::join_tokens::CreateJoinToken as utoipa::PartialSchema>::schema(),
            )
            .unwrap_or_default(),
        ),
        (
            "JoinToken",
            json!({
                "type": "object",
                "description": "What Envoys present to become proxies of a service.",
                "required": ["name", "service", "reusable", "expires_at", "ephemeral", "labels", "state", "proxies", "meta"],
                "properties": {
                    "name": like("Unique in the mesh.", "payments-host-1"),
                    "service": like("The service that its proxies join.", "payments"),
                    "reusable": flag("Whether several proxies may join with it."),
                    "expires_at": time_or_null("After this no new proxy joins with it."),
                    "ephemeral": flag("Whether its proxies are forgotten once they have been away for a while."),
                    "networks": {"type": ["array", "null"], "description": "The networks that its proxies come from; null: from anywhere.", "items": like("A network.", "10.20.0.0/16")},
                    "labels": pairs("The labels of its proxies."),
                    "state": one_of("Whether it opens anything now.", &["active", "used", "expired", "revoked"]),
                    "proxies": count("How many proxies joined with it."),
                    "secret": like("The token itself: only in the answer that creates it.", "heddle_join_..."),
                    "meta": {"$ref": "#/components/schemas/JoinTokenMeta"},
                },
            }),
        ),
        (
            "JoinTokenMeta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about a join token.",
                "required": ["uid", "kind", "created_at"],
                "properties": {
                    "uid": like("The identifier.", "jt_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": one_of("The kind.", &["join_token"]),
                    "created_at": time("When it was created."),
                    "last_used_at": time_or_null("When a proxy joined with it last."),
                    "revoked_at": time_or_null("When it was revoked."),
                },
            }),
        ),
        ("JoinTokenList", list_of("JoinToken")),
        (
            "Proxy",
            json!({
                "type": "object",
                "description": "An Envoy that is or was connected.",
                "required": ["name", "service", "mode", "state", "revoked", "ephemeral", "labels", "revision", "meta"],
                "properties": {
                    "name": like("The Envoy's node id: unique within its service.", "payments-1"),
                    "service": like("The service that it serves.", "payments"),
                    "version": may_lack("The version of the service that it runs.", "v2"),
                    "mode": one_of("`managed`: its listeners come from Heddle, and it takes calls of the mesh. `augment`: it keeps listeners of its own, and gets clusters, endpoints and certificates beside them.", &["managed", "augment"]),
                    "state": one_of("`ready`: every type acknowledged the mesh's current revision.", &["connecting", "ready", "stale", "nacked", "offline"]),
                    "revoked": flag("Whether it, or its service, is revoked: it may not come back, and gets no certificate."),
                    "ephemeral": flag("Whether it is forgotten once it has been away for a while."),
                    "labels": pairs("The labels of its join token: what it says of itself sets none."),
                    "address": may_lack("Where other proxies reach it; null while it takes no calls of the mesh, and always in the mode `augment`.", "10.0.3.17"),
                    "ports": {"type": ["object", "null"], "description": "Its inbound port for each port of the service.", "additionalProperties": {"type": "integer"}, "examples": [{"http": 15006}]},
                    "envoy": {"type": "object", "description": "What it says of itself.", "properties": {"version": may_lack("The version of Envoy.", "1.40.0")}},
                    "advisories": {"type": "array", "description": "The known holes of this version of Envoy that concern what Heddle sends it, the newest first.", "items": {"$ref": "#/components/schemas/Advisory"}},
                    "revision": {"$ref": "#/components/schemas/ProxyRevision"},
                    "nacks": {"type": "array", "items": {"type": "object", "description": "One refusal."}, "description": "What the Envoy refuses right now, each with the object and field that caused it."},
                    "meta": {"$ref": "#/components/schemas/ProxyMeta"},
                },
            }),
        ),
        (
            "Advisory",
            json!({
                "type": "object",
                "description": "A known hole of a version of Envoy.",
                "required": ["id", "severity", "summary", "here", "fixed_in"],
                "properties": {
                    "id": like("Its number.", "CVE-2026-47774"),
                    "severity": one_of("How much it matters: CVSS 4.0 to 6.9, or above.", &["medium", "high"]),
                    "summary": like("What somebody can do with it.", "Cookies over HTTP/2 are not counted against the limits of headers, and use up memory."),
                    "here": like("What that means for an Envoy that Heddle configures.", "Every port that takes HTTP/2 is open to it."),
                    "fixed_in": like("The nearest release without it.", "1.36.7"),
                },
            }),
        ),
        (
            "ProxyRevision",
            json!({
                "type": "object",
                "description": "How far the proxy is.",
                "required": ["target"],
                "properties": {
                    "target": {"type": "integer", "minimum": 0, "description": "The mesh's revision.", "examples": [42]},
                    "acked": {"type": ["integer", "null"], "minimum": 0, "description": "What every type has acknowledged.", "examples": [42]},
                    "pending_types": {"type": "array", "description": "The types that are not acknowledged yet.", "items": text("A type, as in delta ADS."), "examples": [["RDS"]]},
                },
            }),
        ),
        (
            "ProxyMeta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about a proxy.",
                "required": ["uid", "kind", "join_token", "first_joined_at"],
                "properties": {
                    "uid": like("The identifier.", "px_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": one_of("The kind.", &["proxy"]),
                    "join_token": like("The identifier of the token that it joined with.", "jt_01jdbg8ehwfdftt7h57xet4v7y"),
                    "first_joined_at": time("When it joined."),
                    "last_seen_at": time_or_null("When it was connected last."),
                },
            }),
        ),
        ("ProxyList", list_of("Proxy")),
        (
            "WhoAmI",
            json!({
                "type": "object",
                "description": "The caller of this request.",
                "required": ["org", "actor", "permissions", "meshes"],
                "properties": {
                    "org": {"type": "object", "description": "The organisation.", "properties": {"name": text("Its name."), "uid": text("Its identifier.")}},
                    "actor": text("Who this is, as the audit log names it."),
                    "principal": {"type": ["object", "null"], "description": "The member or service account; null for a token that belongs to nobody.", "properties": {"kind": text("member or service_account."), "uid": text("The identifier."), "email": text("A member's e-mail address."), "name": text("A service account's name.")}},
                    "token": {"type": ["object", "null"], "description": "The API token of this request; null for a session.", "properties": {"uid": text("Its identifier.")}},
                    "session": {"type": ["object", "null"], "description": "The session of this request; null for an API token.", "properties": {"uid": text("Its identifier.")}},
                    "role": {"type": ["string", "null"], "description": "The strongest role in the whole organisation; null for who has roles at meshes only."},
                    "permissions": {"type": "array", "description": "What is permitted in the whole organisation.", "items": {"type": "string"}},
                    "must_sign_in_by_sso": {"type": "boolean", "description": "Whether there is nothing that the session may do but link an account at the organisation's identity provider, as it began with a password."},
                    "must_enrol_second_factor": {"type": "boolean", "description": "Whether there is nothing that the caller may do but set up the second factor that the organisation asks for."},
                    "meshes": {"type": "object", "description": "By the name of a mesh, what is permitted there beyond `permissions`.", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
                },
            }),
        ),
        (
            "ErrorCode",
            json!({
                "type": "object",
                "description": "A stable code and what to do about it.",
                "required": ["code", "status", "title", "cause", "fix"],
                "properties": {
                    "code": like("The code.", "HED-1002"),
                    "status": {"type": "integer", "description": "The HTTP status that carries it, alone or in `errors`.", "examples": [422]},
                    "title": like("The title.", "Unknown field"),
                    "cause": like("Why it happens.", "The object has no such field."),
                    "fix": like("What to do.", "Remove the field or correct its spelling."),
                },
            }),
        ),
        (
            "ErrorCodeList",
            json!({
                "type": "object",
                "description": "All codes.",
                "required": ["items", "self"],
                "properties": {
                    "items": {"type": "array", "description": "In ascending order.", "items": {"$ref": "#/components/schemas/ErrorCode"}},
                    "self": like("The address of this list.", "/v1/codes"),
                },
            }),
        ),
        (
            "Bootstrap",
            json!({"type": "object", "description": "An Envoy bootstrap: `envoy -c` takes it as it is. With `mode=augment` an overlay: `envoy --config-yaml` takes its text beside a file.", "examples": [{"node": {"id": "payments-1", "cluster": "payments"}}]}),
        ),
    ]
}
