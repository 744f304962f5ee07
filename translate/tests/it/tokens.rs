//! Tokens of end users on connections that are older than the setting: their listener has other filters, or none, while the routes
//! are those of now.

use serde_json::Value;

use crate::envoy::binaries;
use crate::sidecar::{mesh_with, send};

const AUTHENTICATION: &str = r#"{authentication: {required: true, open_paths: [{exact: /login}], providers: [{
    name: accounts, issuer: "https://accounts.example.com", audiences: [payments],
    jwks: {inline: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'},
    claims_to_headers: [{claim: [sub], header: x-user}]}]}}"#;

/// Takes the filters that look at tokens out of every listener.
fn take_out_filters(value: &mut Value) {
    let looks_at_tokens = |filter: &Value| {
        let kind = filter["typed_config"]["@type"].as_str().unwrap();
        kind.ends_with(".JwtAuthentication") || kind.ends_with(".HeaderMutation")
    };
    match value {
        Value::Array(values) => values.iter_mut().for_each(take_out_filters),
        Value::Object(object) => {
            if let Some(Value::Array(filters)) = object.get_mut("http_filters") {
                filters.retain(|filter| !looks_at_tokens(filter));
            }
            object.values_mut().for_each(take_out_filters);
        }
        _ => {}
    }
}

#[test]
fn sec_z04_no_connection_is_open_because_it_is_older_than_the_setting() {
    let mut mesh = mesh_with(AUTHENTICATION, "{all: {action: allow}}");
    take_out_filters(&mut mesh.bootstrap);
    for binary in binaries() {
        let envoy = mesh.run(&binary);
        let cases = [
            ("none", "/", "", Some("no-token")),
            (
                "unchecked",
                "/",
                "authorization: Bearer a.b.c\r\n",
                Some("no-token"),
            ),
            ("open", "/login", "", None),
            (
                "forged",
                "/login",
                "x-user: root\r\n",
                Some("forged-claims"),
            ),
        ];
        for (id, path, header, because) in cases {
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: payments\r\nx-request-id: {id}\r\n{header}\r\n"
            );
            let status = send(mesh.inside(), request).unwrap().status;
            let expected = if because.is_some() { 403 } else { 200 };
            assert_eq!(status, expected, "{id} by {}", binary.display());
            if let Some(because) = because {
                let details = envoy.logged(id)["response_code_details"].to_string();
                let policy = format!("heddle/{because}");
                assert!(details.contains(&policy), "{id}: {details}");
            }
        }
    }
}
