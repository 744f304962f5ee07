//! What each parameter looks like, by its name: the same name means the same thing everywhere.

use serde_json::{Value, json};

/// A name that a person chose, or an identifier of ours.
const HANDLE: &str = "^([a-z]([a-z0-9-]{0,61}[a-z0-9])?|[a-z]{2,6}_[0-7][0-9a-hjkmnp-tv-z]{25})$";

/// Replaces the schema of a parameter of which the table says no more than that it is text.
pub(super) fn refine(parameter: &mut Value) {
    if parameter["schema"] != json!({"type": "string"}) {
        return;
    }
    let name = parameter["name"].as_str().unwrap_or_default();
    let place = parameter["in"].as_str().unwrap_or_default();
    // Those in a query that cannot be left out.
    let needed = matches!((place, name), ("query", "proxy" | "org"));
    if let Some((schema, example)) = known(place, name) {
        parameter["schema"] = schema;
        if !example.is_null() {
            parameter["example"] = example;
        }
        if needed {
            parameter["required"] = json!(true);
        }
    }
}

fn known(place: &str, name: &str) -> Option<(Value, Value)> {
    let handle = || json!({"type": "string", "pattern": HANDLE});
    let dns_label = || json!({"type": "string", "pattern": heddle_model::name::NAME_PATTERN});
    let address = || json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]});
    let port = || json!({"type": "integer", "minimum": 1, "maximum": 65535});
    Some(match (place, name) {
        ("path", "org") => (
            json!({"type": "string", "pattern": HANDLE.replace("^(", "^(-|")}),
            json!("-"),
        ),
        ("path", "mesh") => (handle(), json!("prod")),
        // `-` in a list stands for every service.
        ("path", "service") => (
            json!({"type": "string", "pattern": HANDLE.replace("^(", "^(-|")}),
            json!("payments"),
        ),
        ("path", "route") => (handle(), json!("charges")),
        ("path", "profile") => (handle(), json!("std-backend")),
        ("path", "rule") => (handle(), json!("checkout-may-charge")),
        ("path", "token") => (handle(), json!("payments-host-1")),
        ("path", "proxy") => (
            json!({"type": "string", "minLength": 1}),
            json!("payments-1"),
        ),
        ("path", "member") | ("query", "member") => (
            json!({"type": "string", "pattern": "^[!-~]{1,254}$"}),
            json!("ada@example.com"),
        ),
        ("path", "service_account") | ("query", "service_account") => (handle(), json!("deployer")),
        ("path", "api_token") => (handle(), json!("deploy-2027")),
        ("path", "rotation") => (handle(), json!("rot_01hzx000000000000000000000")),
        ("path", "role_binding") => (handle(), json!("rb_01hzx000000000000000000000")),
        ("path", "revocation") => (handle(), json!("rvk_01hzx000000000000000000000")),
        ("path", "session") => (handle(), json!("current")),
        ("path", "sso_connection") => (handle(), json!("workforce")),
        ("path", "identity") => (handle(), json!("idn_01hzx000000000000000000000")),
        ("path", "webhook") => (handle(), json!("deployments")),
        ("path", "delivery") => (
            json!({"type": "string", "pattern": "^msg_[0-7][0-9a-hjkmnp-tv-z]{25}$"}),
            json!("msg_01kxqh3v5xe1tbs7b2a8m4c9dz"),
        ),
        ("query", "state") => (
            json!({"type": "string", "enum": ["pending", "delivered", "failed"]}),
            json!("failed"),
        ),
        ("query", "org") => (dns_label(), json!("acme")),
        ("query", "mesh") => (handle(), json!("prod")),
        ("path", "code") => (
            json!({"type": "string", "pattern": "^HED-[0-9]{4}$"}),
            json!("HED-1002"),
        ),
        ("path", "revision") => (json!({"type": "integer", "minimum": 1}), json!(12)),
        ("path", "uid") => (
            json!({"type": "string", "pattern": "^[a-z]{2,6}_[0-7][0-9a-hjkmnp-tv-z]{25}$"}),
            json!("svc_01kxqh3v5xe1tbs7b2a8m4c9dz"),
        ),
        ("query", "limit") => (
            json!({"type": "integer", "minimum": 1, "default": 50}),
            json!(50),
        ),
        ("query", "cursor") => (
            json!({"type": "string", "pattern": "^a_([2-7][0-9a-f])*$"}),
            json!("a_70726f64"),
        ),
        ("query", "proxy") => (
            json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"}),
            json!("payments-1"),
        ),
        ("query", "service") => (dns_label(), json!("payments")),
        ("query", "caller") => (dns_label(), json!("checkout")),
        ("query", "version") => (dns_label(), json!("v1")),
        ("query", "mode") => (
            json!({"type": "string", "enum": ["managed", "augment"]}),
            json!("managed"),
        ),
        ("query", "keep_node") => (json!({"type": "boolean", "default": false}), json!(false)),
        ("query", "bind_address") => (address(), json!("0.0.0.0")),
        ("query", "advertise_address") => (address(), json!("10.0.3.17")),
        ("query", "app_address" | "admin_address") => (address(), json!("127.0.0.1")),
        ("query", "inbound_port") => (port(), json!(15006)),
        ("query", "outbound_port") => (port(), json!(15001)),
        ("query", "admin_port") => (port(), json!(15000)),
        ("query", "inbound_ports") => (
            json!({"type": "string", "pattern": "^[a-z0-9-]+:[1-9][0-9]{0,4}(,[a-z0-9-]+:[1-9][0-9]{0,4})*$"}),
            Value::Null,
        ),
        ("query", "token_file") => (
            json!({"type": "string", "pattern": "^/[ -~]*$", "maxLength": 1024}),
            json!("/etc/heddle/token"),
        ),
        ("header", "Heddle-Manager") => (
            json!({"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,62}; ?ref=\"[ !#-:<-~]{1,500}\"(; ?url=\"https?://[ !#-:<-~]{0,1990}\")?$"}),
            json!("terraform; ref=\"app.terraform.io/acme/payments\""),
        ),
        ("header", "Idempotency-Key") => (
            json!({"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"}),
            json!("4f6cf35f-8f3c-4c5e-a9d0-2f7e0f1f6d11"),
        ),
        ("header", "If-Match") => (json!({"type": "string"}), json!("\"r42-5c1e9b07\"")),
        _ => return None,
    })
}
