//! The schemas and parameters of a proxy's effective configuration.

use serde_json::{Value, json};
use utoipa::openapi::path::Parameter;

use super::history::in_query;
use crate::v1::proxy_config::TYPES;

/// Which resources.
pub(crate) fn of_type() -> Parameter {
    in_query(
        "type",
        "Only resources of this type.",
        json!({"type": "string", "enum": TYPES}),
        json!("listener"),
    )
}

const STATES: [&str; 4] = ["acked", "sent", "rejected", "computed"];

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn number(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

fn example_item() -> Value {
    json!({
        "type": "route",
        "name": "heddle/inbound/payments/http",
        "version": "0f3c1a9be2d47c5586aa01b7c2d9e4f3",
        "state": "acked",
        "origins": [{
            "kind": "service",
            "uid": "svc_01kxqh3v5xe1tbs7b2a8m4c9dz",
            "name": "payments",
            "pointer": "/ports/0",
            "revision": 12,
            "within": "",
        }],
        "config": {
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": "heddle/inbound/payments/http",
            "virtual_hosts": [{"name": "payments/http", "domains": ["*"]}],
        },
    })
}

fn example() -> Value {
    json!({
        "proxy": "payments-1",
        "uid": "px_01kxqh3v5xe1tbs7b2a8m4c9dz",
        "service": "payments",
        "connected": true,
        "listeners_known": true,
        "revision": {"computed": 14, "acked": 14, "pending_types": []},
        "counts": {"acked": 17},
        "diagnostics": [],
        "items": [
            example_item(),
            {
                "type": "secret",
                "name": "heddle/identity",
                "version": "1f2e3d4c5b6a79880123456789abcdef",
                "state": "acked",
                "origins": [],
                "certificates": [{
                    "use": "identity",
                    "spiffe_id": "spiffe://prod-7k2m.heddle.example/payments",
                    "serial": "1f2e3d4c5b6a79880123456789abcdef",
                    "not_before": "2026-11-25T14:00:00.000Z",
                    "not_after": "2026-11-26T14:00:00.000Z",
                }],
            },
        ],
        "self": "/v1/orgs/-/meshes/prod/proxies/payments-1/config",
    })
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let time = |about: &str| json!({"type": "string", "format": "date-time", "description": about});
    let list = |about: &str, of: &str| json!({"type": "array", "description": about, "items": {"$ref": format!("#/components/schemas/{of}")}});
    vec![
        (
            "ProxyConfig",
            json!({
                "type": "object",
                "description": "One page of what a proxy is told.",
                "required": ["proxy", "uid", "service", "connected", "listeners_known", "revision", "counts", "diagnostics", "items", "self"],
                "properties": {
                    "proxy": text("The Envoy's node id."),
                    "uid": text("The identifier of the proxy."),
                    "service": text("The service that it serves."),
                    "connected": {"type": "boolean", "description": "Whether a server sends it this. If not, it is what it would get if it came back as it was, and nothing is known of what it has: every `state` is `computed`."},
                    "listeners_known": {"type": "boolean", "description": "Whether the proxy ever said how it is set up. If not, its listeners and what these lead to are missing here."},
                    "revision": {
                        "type": "object",
                        "description": "Which revision this is of.",
                        "required": ["computed", "pending_types"],
                        "properties": {
                            "computed": number("The mesh's revision, of which this was worked out."),
                            "acked": {"type": ["integer", "null"], "minimum": 0, "description": "The newest revision of which the proxy has everything."},
                            "pending_types": {"type": "array", "description": "Types with something that it has not acknowledged.", "items": {"type": "string"}},
                        },
                    },
                    "counts": {"type": "object", "description": "How many resources are in which state, whatever the page or the filter.", "additionalProperties": {"type": "integer", "minimum": 0}},
                    "diagnostics": list("What a user should know about objects that could not be used as they are.", "ProxyConfigDiagnostic"),
                    "items": list("The page: clusters, then endpoints, listeners, routes and secrets, each by name.", "ProxyConfigResource"),
                    "next_cursor": text("The cursor of the next page; absent on the last one."),
                    "self": text("The address of this page."),
                },
                "examples": [example()],
            }),
        ),
        (
            "ProxyConfigResource",
            json!({
                "type": "object",
                "description": "One Envoy resource.",
                "required": ["type", "name", "version", "state", "origins"],
                "properties": {
                    "type": {"type": "string", "enum": TYPES, "description": "The type."},
                    "name": text("Its name; unique within the type."),
                    "version": text("Changes exactly when the content does; the same on every server. Of the proxy's own certificate its serial number."),
                    "state": {"type": "string", "enum": STATES, "description": "`acked`: the proxy has acknowledged this version. `sent`: it is on its way, and not acknowledged. `rejected`: the proxy refuses it, and keeps what it had. `computed`: the proxy is not connected; this is what it would get."},
                    "origins": list("What it was made from; empty for secrets, which no object of a user made.", "ProxyConfigOrigin"),
                    "nack": {"type": "object", "description": "What the proxy refuses of it, as the proxy's own address shows it; also while a later version is on its way."},
                    "config": {"type": "object", "description": "The resource in Envoy's own JSON, with `@type`. What may be a secret is hidden. Absent for secrets."},
                    "certificates": list("Of a secret: what is public of the certificates in it.", "ProxyConfigCertificate"),
                },
                "examples": [example_item()],
            }),
        ),
        (
            "ProxyConfigOrigin",
            json!({
                "type": "object",
                "description": "An object, and a place in it, that a resource came from.",
                "required": ["kind", "uid", "name", "pointer", "revision", "within"],
                "properties": {
                    "kind": text("The kind of the object."),
                    "uid": text("Its identifier."),
                    "name": text("Its path below the mesh, such as `payments/all`."),
                    "pointer": text("A JSON pointer into it; empty for the whole of it."),
                    "revision": number("The revision that wrote it last."),
                    "within": text("The part of the resource that this explains: a name in it; empty for the whole."),
                },
            }),
        ),
        (
            "ProxyConfigCertificate",
            json!({
                "type": "object",
                "description": "What is public of a certificate.",
                "required": ["use", "serial", "not_before", "not_after"],
                "properties": {
                    "use": {"type": "string", "enum": ["identity", "trust"], "description": "`identity`: it is the proxy's own. `trust`: a root of the mesh."},
                    "spiffe_id": text("Of the proxy's own: the only name in it."),
                    "serial": text("The serial number, in hex."),
                    "not_before": time("Start of validity."),
                    "not_after": time("End of validity."),
                },
            }),
        ),
        (
            "ProxyConfigDiagnostic",
            json!({
                "type": "object",
                "description": "Something that could not be used as it is.",
                "required": ["origin", "message"],
                "properties": {
                    "origin": {"$ref": "#/components/schemas/ProxyConfigOrigin"},
                    "message": text("What is wrong, and what happens instead."),
                },
            }),
        ),
    ]
}
