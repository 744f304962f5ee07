//! What the document says of authority requests: their operations and schemas.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Delete, Get, Post};

use crate::openapi::{Op, list_of};
use crate::table::Table;
use crate::v1::authority_requests;

/// The operations.
pub(crate) fn operations(table: Table) -> Table {
    let view = || Some(String::from("AuthorityRequest"));
    table
        .op(
            Get,
            authority_requests::COLLECTION,
            Op::new("list_authority_requests", "List the authority requests of a mesh, newest first", "Proxies")
                .paged()
                .answer(200, "One page.", Some(String::from("AuthorityRequestList"))),
            authority_requests::list,
        )
        .op(
            Post,
            authority_requests::COLLECTION,
            Op::new("create_authority_request", "Ask the owner of a root to sign an authority of a mesh", "Proxies")
                .about("For a mesh under a root of your own. Heddle makes a key, which never leaves it, and a certificate signing request (PKCS#10) for an issuing authority: sign it, with its names, constraints and key usage as they are, and start a rotation with `request` and `certificates`. At most ten wait.")
                .body("CreateAuthorityRequest", json!({}))
                .tries()
                .once()
                .errors(&[429])
                .answer(201, "It waits.", view()),
            authority_requests::create,
        )
        .op(
            Get,
            authority_requests::ITEM,
            Op::new("get_authority_request", "Read an authority request", "Proxies")
                .answer(200, "The request.", view()),
            authority_requests::get,
        )
        .op(
            Delete,
            authority_requests::ITEM,
            Op::new("delete_authority_request", "Forget an authority request", "Proxies")
                .about("Its key is gone with it: what was signed for it is of no use any more.")
                .tries()
                .answer(204, "Forgotten.", None),
            authority_requests::delete,
        )
}

/// The schemas.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let text = |about: &str, example: &str| json!({"type": "string", "description": about, "examples": [example]});
    let maybe = |about: &str, example: &str| json!({"type": ["string", "null"], "description": about, "examples": [example]});
    vec![
        ("AuthorityRequestList", list_of("AuthorityRequest")),
        (
            "AuthorityRequest",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What the owner of a root is asked to sign.",
                "required": ["csr", "meta"],
                "properties": {
                    "csr": maybe("The certificate signing request: PKCS#10, PEM. Null in a dry run.", "-----BEGIN CERTIFICATE REQUEST-----\nMIIBZTCCAQsCAQAwPzEP\n-----END CERTIFICATE REQUEST-----\n"),
                    "meta": {"$ref": "#/components/schemas/AuthorityRequestMeta"},
                },
            }),
        ),
        (
            "AuthorityRequestMeta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about an authority request.",
                "required": ["uid", "kind", "created_at", "created_by"],
                "properties": {
                    "uid": text("The identifier: that of the authority that it is to become.", "ca_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": {"type": "string", "description": "The kind.", "enum": ["authority_request"]},
                    "created_at": {"type": "string", "format": "date-time", "description": "Since when it waits."},
                    "created_by": text("Who asked, as the audit log names them.", "mbr_01jdbg8ehwfdftt7h57xet4v7y"),
                },
            }),
        ),
    ]
}
