//! What the document says of trust bundles: their operation and schema.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::Get;

use crate::openapi::Op;
use crate::table::Table;
use crate::v1::trust_bundle;

/// The operation.
pub(crate) fn operations(table: Table) -> Table {
    table.op(
        Get,
        trust_bundle::PATH,
        Op::new("get_trust_bundle", "Read the roots of a mesh as a SPIFFE bundle", "Proxies")
            .about("For whoever verifies certificates of the mesh without being one of its proxies: a gateway, a database, another mesh. The document is that of the SPIFFE Trust Domain and Bundle standard, so its libraries read it as it is. During a rotation it holds the old root and the new one. No `keys` before the first proxy of the mesh has connected.")
            .answer(200, "The bundle.", Some(String::from("TrustBundle"))),
        trust_bundle::get,
    )
}

/// The schemas.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let text = |about: &str| json!({"type": "string", "description": about});
    vec![
        (
            "TrustBundle",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "The roots that certificates of the mesh's trust domain are verified by: a JWK Set (RFC 7517).",
                "required": ["keys", "spiffe_sequence", "spiffe_refresh_hint"],
                "properties": {
                    "keys": {"type": "array", "description": "One for each root.", "items": {"$ref": "#/components/schemas/TrustBundleKey"}},
                    "spiffe_sequence": {"type": "integer", "minimum": 0, "description": "Grows whenever the roots change."},
                    "spiffe_refresh_hint": {"type": "integer", "minimum": 1, "description": "After how many seconds to read it again."},
                },
            }),
        ),
        (
            "TrustBundleKey",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "A root.",
                "required": ["use", "kty", "x5c"],
                "properties": {
                    "use": {"type": "string", "enum": ["x509-svid"], "description": "What is verified by it: X.509 certificates."},
                    "kty": {"type": "string", "enum": ["EC", "RSA"], "description": "The type of its key. Roots of Heddle are `EC`."},
                    "crv": text("The curve of its key, for `EC`."),
                    "x": text("A coordinate, base64url, for `EC`."),
                    "y": text("The other coordinate, base64url, for `EC`."),
                    "n": text("The modulus, base64url, for `RSA`."),
                    "e": text("The exponent, base64url, for `RSA`."),
                    "x5c": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "string"}, "description": "The root's certificate: DER, base64."},
                },
            }),
        ),
    ]
}
