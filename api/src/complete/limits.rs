//! What every operation with a credential says about how often it may be called.

use serde_json::{Map, Value, json};

use super::errors;

/// The headers of an answer, as the document names them.
const HEADERS: [&str; 2] = ["RateLimit-Policy", "RateLimit"];

/// References to the headers of an answer.
pub(super) fn headers() -> Map<String, Value> {
    let reference = |name: &&str| {
        let reference = json!({"$ref": format!("#/components/headers/{name}")});
        ((*name).to_owned(), reference)
    };
    HEADERS.iter().map(reference).collect()
}

/// Adds them to whatever answers with something of its own, and the refusal to whatever can be called too often.
pub(super) fn add(document: &mut Value) {
    for (_, operation) in super::operations(document) {
        let open = operation.get("security").and_then(Value::as_array);
        if open.is_none_or(Vec::is_empty) {
            continue;
        }
        let answers = operation
            .get_mut("responses")
            .and_then(Value::as_object_mut);
        let Some(answers) = answers else { continue };
        let refused = json!({"$ref": format!("#/components/responses/{}", errors::name(429))});
        answers.entry("429").or_insert(refused);
        answers.sort_keys();
        for (_, answer) in answers.iter_mut() {
            if let Some(answer) = answer.as_object_mut()
                && !answer.contains_key("$ref")
            {
                let all = answer.entry("headers").or_insert_with(|| json!({}));
                if let Some(all) = all.as_object_mut() {
                    all.extend(headers());
                }
            }
        }
    }
    let header = |about: &str, example: &str| json!({"description": about, "schema": {"type": "string"}, "example": example});
    document["components"]["headers"] = json!({
        "RateLimit-Policy": header(
            "The limits that this request comes under, as draft-ietf-httpapi-ratelimit-headers writes them: for the credential and for its whole organisation, reads and writes apart. `q` at once, and `q` in every `w` seconds. A limit that is off is not named.",
            "\"token-reads\";q=10000;w=10, \"organisation-reads\";q=50000;w=10",
        ),
        "RateLimit": header(
            "What is left of each: `r` now, and all of it again after `t` seconds.",
            "\"token-reads\";r=9999;t=1, \"organisation-reads\";r=49998;t=1",
        ),
    });
}
