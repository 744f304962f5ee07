//! What the document says of what proxies have told: its operations and schemas.

use heddle_model::mtls::MtlsMode;
use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::Get;
use utoipa::openapi::path::Parameter;

use crate::openapi::{Op, history};
use crate::readiness::{State, Watch};
use crate::table::Table;
use crate::v1::observations;

fn since() -> Parameter {
    let schema = json!({"type": "string", "format": "date-time"});
    let about = "From which moment on callers count: seven days ago when absent, thirty at most. Requests are counted by the day, so those of the first day count whole.";
    history::in_query("since", about, schema, json!("2026-11-25T00:00:00Z"))
}

/// The operations.
pub(crate) fn operations(table: Table) -> Table {
    let named = |name: &str| Some(name.to_owned());
    table
        .op(
            Get,
            observations::OF_SERVICE,
            Op::new("get_service_mtls_readiness", "See who would be turned away if a service went strict", "Services")
                .parameter(since())
                .about("Who calls its ports in plain text, by the word of its proxies: every proxy of a port that is not `strict` reports each such request. Counts are \"at least\": proxies drop what they cannot send, and do not wait. `unknown` when nobody was seen, and not every proxy would have said so. At most a hundred callers of a port are told apart a day; the others are one without an address. Needs the permission `config:read` as well.")
                .answer(200, "Port by port.", named("MtlsReadiness")),
            observations::of_service,
        )
        .op(
            Get,
            observations::OF_MESH,
            Op::new("get_mesh_mtls_readiness", "See who would be turned away if a mesh went strict", "Meshes")
                .parameter(since())
                .about("The same for all services of a mesh; those that are `strict` already are only counted. Needs the permission `config:read` as well.")
                .answer(200, "Service by service.", named("MeshMtlsReadiness")),
            observations::of_mesh,
        )
        .op(
            Get,
            observations::WOULD_DENY,
            Op::new("get_service_would_deny", "See what rules that only report would have refused", "Access rules")
                .parameter(since())
                .about("For each access rule of the service that denies and is `report_only`: the requests that it would have refused, by caller. Counts are \"at least\". Needs the permission `config:read` as well.")
                .answer(200, "Rule by rule.", named("WouldDeny")),
            observations::would_deny,
        )
}

fn text(about: &str, example: &str) -> Value {
    json!({"type": "string", "description": about, "examples": [example]})
}

fn maybe(about: &str, example: &str) -> Value {
    json!({"type": ["string", "null"], "description": about, "examples": [example]})
}

fn time(about: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": about})
}

fn maybe_time(about: &str) -> Value {
    json!({"type": ["string", "null"], "format": "date-time", "description": about})
}

fn number(about: &str, example: u64) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about, "examples": [example]})
}

fn state() -> Value {
    json!({
        "type": "string",
        "enum": State::ALL.map(State::as_str),
        "description": "`strict`: takes mutual TLS alone already. `ready`: nobody was seen whose calls would fail, and every proxy would have said so. `callers_left`: somebody was. `unknown`: nobody was seen, and that need not mean anything.",
    })
}

fn list(about: &str, of: &str) -> Value {
    json!({"type": "array", "description": about, "items": {"$ref": format!("#/components/schemas/{of}")}})
}

fn names(about: &str) -> Value {
    json!({"type": "array", "description": about, "items": {"type": "string"}, "examples": [["checkout"]]})
}

/// The schemas.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let modes = [MtlsMode::Strict, MtlsMode::Permissive, MtlsMode::Off].map(MtlsMode::as_str);
    let window = || time("From which moment on callers count.");
    let object = |about: &str, required: Vec<&str>, properties: Value| {
        json!({
            "type": "object",
            "readOnly": true,
            "description": about,
            "required": required,
            "properties": properties,
        })
    };
    vec![
        (
            "MtlsReadiness",
            object(
                "Whether the ports of a service could take mutual TLS alone.",
                vec!["service", "state", "since", "ports", "proxies"],
                json!({
                    "service": text("The service.", "payments"),
                    "state": state(),
                    "since": window(),
                    "ports": list("Its ports.", "PortReadiness"),
                    "proxies": list("Its proxies, as those who would tell; none when all ports are `strict`.", "Watcher"),
                }),
            ),
        ),
        (
            "MeshMtlsReadiness",
            object(
                "Whether the services of a mesh could take mutual TLS alone.",
                vec!["state", "since", "strict", "services"],
                json!({
                    "state": state(),
                    "since": window(),
                    "strict": number("How many services are `strict` already.", 12),
                    "services": list("The others.", "MtlsReadiness"),
                }),
            ),
        ),
        (
            "PortReadiness",
            object(
                "Whether a port could take mutual TLS alone.",
                vec!["port", "mode", "state", "reason", "callers"],
                json!({
                    "port": text("The port.", "http"),
                    "mode": {"type": "string", "enum": modes, "description": "Its mode now."},
                    "state": state(),
                    "reason": text("Why, in plain words.", "still called in plain text by 10.0.0.7 (probably checkout, at least 12 requests, last at 2026-11-25T14:00:00.000Z)"),
                    "callers": list("Who called it in plain text, most requests first.", "PlainCaller"),
                }),
            ),
        ),
        (
            "PlainCaller",
            object(
                "Somebody who called in plain text.",
                vec![
                    "address",
                    "probably",
                    "requests",
                    "refused",
                    "first_seen",
                    "last_seen",
                    "would_fail",
                ],
                json!({
                    "address": maybe("The other end of its connections; null for all that came after a hundred others in a day.", "10.0.0.7"),
                    "probably": names("Services that have a proxy at this address."),
                    "requests": number("How many requests it made at least.", 12),
                    "refused": number("How many of them were refused, by access rules or for want of a token.", 0),
                    "first_seen": time("When it was seen first on the days that count."),
                    "last_seen": time("When it was seen last."),
                    "would_fail": {"type": "boolean", "description": "Whether its calls would fail if the port were `strict`. Not when all of them are refused anyway; nor when the port is `off` and a proxy of the mesh is at its address, which changes over when it is told to."},
                }),
            ),
        ),
        (
            "Watcher",
            object(
                "A proxy, and whether it would tell of callers.",
                vec!["name", "uid", "state", "since", "heard_at"],
                json!({
                    "name": text("Its name.", "payments-1"),
                    "uid": text("Its identifier.", "px_01jdbg8ehwfdftt7h57xet4v7y"),
                    "state": {
                        "type": "string",
                        "enum": Watch::ALL,
                        "description": "`reporting`: it tells. `not_connected`: it has no connection to Heddle. `silent`: it is connected, and has not said in the last ten minutes that it could report. `own_listeners`: it has listeners of its own, which no mode is about.",
                    },
                    "since": maybe_time("Since when it has been reporting without a gap."),
                    "heard_at": maybe_time("When it was heard last."),
                }),
            ),
        ),
        (
            "WouldDeny",
            object(
                "What rules that only report would have refused.",
                vec!["service", "since", "rules", "doubt", "proxies"],
                json!({
                    "service": text("The service.", "payments"),
                    "since": window(),
                    "rules": list("Its rules that deny and only report.", "WouldDenyRule"),
                    "doubt": maybe("Why there may have been more that nobody told of; null when there is no reason to think so.", "connected, but not heard as reporting yet: payments-2"),
                    "proxies": list("Its proxies, as those who would tell.", "Watcher"),
                }),
            ),
        ),
        (
            "WouldDenyRule",
            object(
                "What one rule would have refused.",
                vec!["rule", "uid", "requests", "callers"],
                json!({
                    "rule": text("The rule.", "no-legacy"),
                    "uid": text("Its identifier.", "ar_01jdbg8ehwfdftt7h57xet4v7y"),
                    "requests": number("How many requests at least.", 12),
                    "callers": list("Whose, most requests first.", "WouldDenyCaller"),
                }),
            ),
        ),
        (
            "WouldDenyCaller",
            object(
                "Somebody whose requests a rule would have refused.",
                vec![
                    "spiffe",
                    "service",
                    "address",
                    "probably",
                    "port",
                    "requests",
                    "refused",
                    "first_seen",
                    "last_seen",
                ],
                json!({
                    "spiffe": maybe("Who it is; null in plain text.", "spiffe://prod-7k2m.heddle.example/service/checkout"),
                    "service": maybe("The service of this mesh that it is.", "checkout"),
                    "address": maybe("Where it calls from; null in mutual TLS, and for all that came after a hundred others in a day.", "10.0.0.7"),
                    "probably": names("Services that have a proxy at this address."),
                    "port": text("The port that it called.", "http"),
                    "requests": number("How many requests at least.", 12),
                    "refused": number("How many of them were refused by another rule.", 0),
                    "first_seen": time("When it was seen first on the days that count."),
                    "last_seen": time("When it was seen last."),
                }),
            ),
        ),
    ]
}
