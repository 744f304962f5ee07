//! What the file says that an Envoy starts with.

use secrecy::SecretString;
use serde_json::Value;

/// What of it concerns others than the Envoy.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) node_id: Option<String>,
    pub(crate) service: Option<String>,
    /// Where the server is.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    /// What its certificate is checked against, as PEM.
    pub(crate) ca_pem: Option<String>,
    pub(crate) token: Option<Token>,
    /// Where Envoy's admin interface is.
    pub(crate) admin: Option<String>,
}

/// Where the join token is.
#[derive(Debug)]
pub(crate) enum Token {
    File(String),
    Inline(SecretString),
}

fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned)
}

/// A `DataSource` as text; a file is read.
fn data(source: &Value) -> Option<String> {
    let file = || {
        source["filename"]
            .as_str()
            .and_then(|path| std::fs::read_to_string(path).ok())
    };
    text(&source["inline_string"]).or_else(file)
}

fn authority(text: &str) -> Option<(String, u16)> {
    let text = text.rsplit_once("///").map_or(text, |(_, rest)| rest);
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

/// Reads both forms: with the join token in a file, and with the token itself.
pub(crate) fn facts(document: &Value) -> Facts {
    let mut facts = Facts {
        node_id: text(&document["node"]["id"]),
        service: text(&document["node"]["cluster"]),
        ..Facts::default()
    };
    let socket = |of: &Value| {
        let socket = &of["socket_address"];
        let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
        Some((text(&socket["address"])?, port))
    };
    if let Some((host, port)) = socket(&document["admin"]["address"]) {
        let host = match host.as_str() {
            "0.0.0.0" => String::from("127.0.0.1"),
            "::" => String::from("[::1]"),
            v6 if v6.contains(':') => format!("[{v6}]"),
            _ => host,
        };
        facts.admin = Some(format!("http://{host}:{port}"));
    }
    let ads = &document["dynamic_resources"]["ads_config"];
    let service = &ads["grpc_services"][0];
    let google = &service["google_grpc"];
    if google.is_object() {
        if let Some((host, port)) = google["target_uri"].as_str().and_then(authority) {
            (facts.host, facts.port) = (Some(host), Some(port));
        }
        facts.ca_pem = data(&google["channel_credentials"]["ssl_credentials"]["root_certs"]);
        let plugin = &google["call_credentials"][0]["from_plugin"]["typed_config"]["secret_data"];
        facts.token = text(&plugin["filename"]).map(Token::File);
        return facts;
    }
    let name = service["envoy_grpc"]["cluster_name"]
        .as_str()
        .unwrap_or_default();
    let clusters = document["static_resources"]["clusters"].as_array();
    let cluster = clusters
        .into_iter()
        .flatten()
        .find(|one| one["name"] == *name);
    if let Some(cluster) = cluster {
        let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
        if let Some((host, port)) = socket(&endpoint["address"]) {
            (facts.host, facts.port) = (Some(host), Some(port));
        }
        let context = &cluster["transport_socket"]["typed_config"]["common_tls_context"];
        facts.ca_pem = data(&context["validation_context"]["trusted_ca"]);
    }
    let metadata = service["initial_metadata"].as_array().into_iter().flatten();
    let header = metadata
        .into_iter()
        .find(|one| one["key"] == "authorization");
    let token = header.and_then(|one| one["value"].as_str()?.strip_prefix("Bearer "));
    facts.token = token.map(|token| Token::Inline(SecretString::from(token)));
    facts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_a_bootstrap_are_read() {
        let file = facts(&json!({
            "node": {"id": "p", "cluster": "s"},
            "admin": {"address": {"socket_address": {"address": "0.0.0.0", "port_value": 15000}}},
            "dynamic_resources": {"ads_config": {"grpc_services": [{"google_grpc": {
                "target_uri": "[::1]:18000",
                "channel_credentials": {"ssl_credentials": {"root_certs": {"inline_string": "PEM"}}},
                "call_credentials": [{"from_plugin": {"typed_config": {"secret_data": {"filename": "/t"}}}}],
            }}]}},
        }));
        assert_eq!(
            (file.host.as_deref(), file.port),
            (Some("::1"), Some(18000))
        );
        assert_eq!(file.admin.as_deref(), Some("http://127.0.0.1:15000"));
        assert_eq!(file.ca_pem.as_deref(), Some("PEM"));
        assert!(matches!(file.token, Some(Token::File(path)) if path == "/t"));
        let inline = facts(&json!({
            "dynamic_resources": {"ads_config": {"grpc_services": [{
                "envoy_grpc": {"cluster_name": "x"},
                "initial_metadata": [{"key": "authorization", "value": "Bearer abc"}],
            }]}},
            "static_resources": {"clusters": [{
                "name": "x",
                "load_assignment": {"endpoints": [{"lb_endpoints": [{"endpoint": {"address":
                    {"socket_address": {"address": "h", "port_value": 1}}}}]}]},
                "transport_socket": {"typed_config": {"common_tls_context": {"validation_context":
                    {"trusted_ca": {"inline_string": "PEM"}}}}},
            }]},
        }));
        assert_eq!((inline.host.as_deref(), inline.port), (Some("h"), Some(1)));
        assert!(matches!(inline.token, Some(Token::Inline(_))));
        assert!(!format!("{inline:?}").contains("abc"));
        assert!(facts(&json!({"node": 7})).host.is_none());
    }
}
