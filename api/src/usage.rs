//! What the document says of quotas and usage.

use heddle_model::quota::Quota;
use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::Get;

use crate::openapi::{Op, history};
use crate::table::Table;
use crate::v1::usage;

/// The operations.
pub(crate) fn operations(table: Table) -> Table {
    let days = json!({"type": "integer", "minimum": 1, "maximum": usage::MOST_DAYS, "default": usage::USUAL_DAYS});
    let about = "Of how many days, today among them.";
    table.op(
        Get,
        usage::ITEM,
        Op::new("get_usage", "Read how much there is, and how much there may be", "Usage")
            .parameter(history::in_query("days", about, days, json!(7)))
            .about("Of everything that is limited how much the organisation has and may have: who would have more gets 429 with `HED-2029`, and what is there already stays, also where a limit was lowered. And what was used on each day, in UTC; servers add to it every few seconds, and one that dies may have counted a few seconds less.")
            .answer(200, "Usage.", Some(String::from("Usage"))),
        usage::get,
    )
}

fn number(about: &str, example: u64) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about, "examples": [example]})
}

/// The schemas.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let names: Vec<&str> = Quota::ALL.iter().map(|quota| quota.as_str()).collect();
    let of = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    vec![
        (
            "Usage",
            json!({
                "type": "object",
                "description": "How much an organisation has and uses, and how much it may.",
                "required": ["quotas", "days"],
                "properties": {
                    "quotas": {"type": "array", "description": "Everything that is limited.", "items": of("QuotaUse")},
                    "days": {"type": "array", "description": "What was used, day by day; today comes last.", "items": of("UsageDay")},
                },
            }),
        ),
        (
            "QuotaUse",
            json!({
                "type": "object",
                "description": "How much there is of something, and how much there may be.",
                "required": ["quota", "used", "limit", "own_limit"],
                "properties": {
                    "quota": {"type": "string", "description": format!("What is limited: {}. More may be added.", names.join(", ")), "examples": ["services"]},
                    "used": number("How many there are.", 12),
                    "limit": {"type": ["integer", "null"], "minimum": 0, "description": "How many there may be; null: as many as you like.", "examples": [20_000]},
                    "own_limit": {"type": "boolean", "description": "Whether the limit is for this organisation, and not for all.", "examples": [false]},
                },
            }),
        ),
        (
            "UsageDay",
            json!({
                "type": "object",
                "description": "What was used on one day.",
                "required": ["day", "requests", "pushes", "certificates", "requested_certificates", "proxy_seconds"],
                "properties": {
                    "day": {"type": "string", "format": "date", "description": "The day, in UTC.", "examples": ["2026-11-28"]},
                    "requests": number("Requests to the API that were let through.", 5120),
                    "pushes": number("Responses sent to proxies.", 812),
                    "certificates": number("Certificates issued, to proxies and by the API.", 48),
                    "requested_certificates": number("Those of them that the API was asked for.", 3),
                    "proxy_seconds": number("For how many seconds proxies were connected, added up: 3600 are a proxy hour.", 172_800),
                },
            }),
        ),
        (
            "LimitReached",
            json!({
                "type": "object",
                "description": "A limit that was met.",
                "required": ["quota", "limit", "used", "wanted"],
                "properties": {
                    "quota": {"type": "string", "description": "What is limited.", "examples": ["services"]},
                    "limit": number("How many there may be.", 20_000),
                    "used": number("How many there are.", 19_998),
                    "wanted": number("How many more were wanted.", 5),
                },
            }),
        ),
    ]
}
