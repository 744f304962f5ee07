//! What the document says of certificates that are asked for by a request: their operation and schemas.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::Post;

use crate::openapi::Op;
use crate::table::Table;
use crate::v1::certificates;

/// The operation.
pub(crate) fn operations(table: Table) -> Table {
    table.op(
        Post,
        certificates::COLLECTION,
        Op::new("create_certificate", "Get a certificate of a service for a key of your own", "Proxies")
            .about("For a program that is no proxy and has no agent: a job, a batch, another proxy. The certificate has one name, the SPIFFE id of the service in the address; names, extensions and lifetimes in the request are not read. It lives as long as those of proxies: ask again at `renew_at`, with a new key. A role that was given for one service reaches that one alone. 403 (`HED-3006`) while the service is revoked. Rotations cannot know whether its holder follows, so a planned one waits until it ends. In a dry run everything is checked and nothing signed.")
            .body("CreateCertificate", certificates::sample())
            .tries()
            .once()
            .answer(201, "Issued, or in a dry run what would be.", Some(String::from("Certificate"))),
        certificates::create,
    )
}

/// The schemas.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let text = |about: &str, example: &str| json!({"type": "string", "description": about, "examples": [example]});
    let maybe = |about: &str, example: &str| json!({"type": ["string", "null"], "description": about, "examples": [example]});
    let time = |about: &str| json!({"type": ["string", "null"], "format": "date-time", "description": about});
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    vec![(
        "Certificate",
        json!({
            "type": "object",
            "readOnly": true,
            "description": "A certificate of a service, for whoever has its key. All but the names is null in a dry run.",
            "required": ["spiffe_id", "trust_domain", "serial", "certificate_pem", "chain_pem", "bundle_pem", "not_before", "not_after", "renew_at"],
            "properties": {
                "spiffe_id": text("The only name in it.", "spiffe://prod-5f3a9c1e.heddle.internal/service/payments"),
                "trust_domain": text("The trust domain of the mesh.", "prod-5f3a9c1e.heddle.internal"),
                "serial": maybe("Its serial number, in hexadecimal digits: the audit log names it.", "7a1d0c2be5f84b6f9d3e2a4c6b8f0e15"),
                "certificate_pem": maybe("The certificate alone, in PEM.", pem),
                "chain_pem": maybe("It, and then the certificate that signed it: what a program shows to the other end.", pem),
                "bundle_pem": maybe("Whom to trust: the roots of the mesh, in PEM. During a rotation both of them.", pem),
                "not_before": time("Start of validity, a few minutes ago: clocks differ."),
                "not_after": time("End of validity."),
                "renew_at": time("When to ask for the next one: at half of its life, give or take a tenth."),
            },
        }),
    )]
}
