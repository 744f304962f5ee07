//! What is not for everybody's eyes who may look at a proxy: replaced, wherever it stands.

use serde_json::{Value, json};

/// What stands in its place.
const HIDDEN: &str = "(hidden)";

/// Fields whose whole value is one.
const SECRET: [&str; 9] = [
    "private_key",
    "private_key_provider",
    "password",
    "tls_certificate",
    "generic_secret",
    "session_ticket_keys",
    "hmac_secret",
    "token_secret",
    "credentials",
];

/// Data that stands in the configuration itself. It may be anything, so it is shown only below these, which are texts for logs
/// and answers.
const INLINE: [&str; 3] = ["inline_string", "inline_bytes", "environment_variable"];
const HARMLESS: [&str; 2] = ["text_format_source", "body"];

/// Whether a header or metadata of this name is a credential.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
        "credential",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Hides what may be a secret.
pub(super) fn redact(value: &mut Value) {
    within(value, "");
}

fn within(value: &mut Value, parent: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| within(item, parent)),
        Value::Object(map) => {
            let name = map.get("key").or_else(|| map.get("name"));
            let credential = name.and_then(Value::as_str).is_some_and(is_credential);
            for (key, value) in map.iter_mut() {
                let inline = INLINE.contains(&key.as_str()) && !HARMLESS.contains(&parent);
                let own = credential && matches!(key.as_str(), "value" | "raw_value");
                if inline || own || SECRET.contains(&key.as_str()) {
                    *value = json!(HIDDEN);
                } else {
                    within(value, key);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_hidden_and_the_rest_is_not() {
        let mut value = json!({
            "transport_socket": {"typed_config": {"common_tls_context": {
                "tls_certificates": [{"private_key": {"filename": "/k"}, "certificate_chain": {"inline_string": "PEM"}}],
                "validation_context": {"trusted_ca": {"inline_bytes": "PEM"}},
            }}},
            "request_headers_to_add": [
                {"header": {"key": "Authorization", "value": "Bearer abc"}},
                {"header": {"key": "x-api-key", "raw_value": "abc"}},
                {"header": {"key": "x-team", "value": "pay"}},
            ],
            "initial_metadata": [{"key": "x-auth-token", "value": "abc"}],
            "direct_response": {"status": 503, "body": {"inline_string": "no such host"}},
            "access_log": [{"log_format": {"text_format_source": {"inline_string": "%START_TIME%"}}}],
            "generic_secret": {"secret": {"inline_string": "abc"}},
        });
        redact(&mut value);
        assert!(!value.to_string().contains("abc"), "{value}");
        assert!(!value.to_string().contains("PEM"), "{value}");
        assert_eq!(
            value["direct_response"]["body"]["inline_string"],
            "no such host"
        );
        let log = &value["access_log"][0]["log_format"]["text_format_source"];
        assert_eq!(log["inline_string"], "%START_TIME%");
        assert_eq!(value["request_headers_to_add"][2]["header"]["value"], "pay");
        assert_eq!(
            value["request_headers_to_add"][0]["header"]["value"],
            HIDDEN
        );
    }
}
