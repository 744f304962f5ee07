//! What the document says of authorities: their operations and schemas.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::Get;

use crate::openapi::{Op, list_of};
use crate::table::Table;
use crate::v1::authorities;

/// The operations.
pub(crate) fn operations(table: Table) -> Table {
    let table = table.op(
        Get,
        authorities::COLLECTION,
        Op::new("list_authorities", "List the authorities of a mesh, newest first", "Proxies")
            .about("Roots, and what they signed that signs certificates: which are in force, when they end, and by when somebody has to act. Heddle follows its own intermediates by others in time; a root is followed by a rotation, and what is under a root of your own by an authority request. Those that nobody trusts any more stay in the list. None before the first proxy of the mesh has connected.")
            .paged()
            .answer(200, "One page.", Some(String::from("AuthorityList"))),
        authorities::list,
    );
    table.op(
        Get,
        authorities::ITEM,
        Op::new("get_authority", "Read an authority", "Proxies").answer(
            200,
            "The authority.",
            Some(String::from("Authority")),
        ),
        authorities::get,
    )
}

fn like(about: &str, example: &str) -> Value {
    json!({"type": "string", "description": about, "examples": [example]})
}

/// The schemas.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Authority",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What signs certificates of a mesh, or signed some.",
                "required": ["authority", "state", "signs_leaves", "key_of", "root", "serial", "not_before", "not_after", "act_by", "attention", "certificate", "meta"],
                "properties": {
                    "authority": {"type": "string", "description": "What it signs: a root intermediates, an issuing one the certificates of workloads.", "enum": ["root", "issuing"]},
                    "state": {"type": "string", "description": "What it is good for: `prepared` is known to nobody, `published` is trusted and signs nothing yet, `active` signs, `retiring` signs no more and is trusted, `removed` is trusted by nobody.", "enum": ["prepared", "published", "active", "retiring", "removed"]},
                    "signs_leaves": {"type": "boolean", "description": "Whether the next certificate is signed by it."},
                    "key_of": {"type": "string", "description": "Who has its key. `owner`: a root of your own.", "enum": ["heddle", "owner"]},
                    "root": {"type": ["string", "null"], "description": "The root that signed it; null for a root.", "examples": ["ca_01jdbg8ehwfdftt7h57xet4v7y"]},
                    "serial": like("The serial number, in hex.", "5f2a0c91d3b84e6ba1f0c2d4e6f80a1b"),
                    "not_before": {"type": "string", "format": "date-time", "description": "Since when it is valid."},
                    "not_after": {"type": "string", "format": "date-time", "description": "When it ends."},
                    "act_by": {"type": ["string", "null"], "format": "date-time", "description": "By when somebody should rotate or have another one signed, 30 days before it ends; null where nobody has to, since it is not in force or Heddle follows it by itself."},
                    "attention": {"type": "boolean", "description": "Whether `act_by` has passed."},
                    "certificate": like("The certificate, in PEM.", "-----BEGIN CERTIFICATE-----\n…"),
                    "meta": {
                        "type": "object",
                        "description": "What Heddle keeps about it.",
                        "required": ["uid", "kind"],
                        "properties": {
                            "uid": like("The identifier.", "ca_01jdbg8ehwfdftt7h57xet4v7y"),
                            "kind": {"type": "string", "description": "The kind.", "enum": ["authority"]},
                        },
                    },
                },
            }),
        ),
        ("AuthorityList", list_of("Authority")),
    ]
}
