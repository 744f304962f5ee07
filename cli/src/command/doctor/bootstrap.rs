//! What the bootstrap says.

use std::path::Path;

use serde_json::Value;

use super::Report;
use crate::host::bootstrap::{Facts, facts};

/// `None`: there is nothing to read.
pub(super) fn read(report: &mut Report, path: &Path) -> Option<Facts> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            report.bad(
                "the file",
                format!("{shown} cannot be read: {error}"),
                "name the file that Envoy starts with: heddle doctor FILE; `heddle bootstrap` or `heddle connect` make one",
            );
            return None;
        }
    };
    let document: Value = match serde_yaml_ng::from_str(&text) {
        Ok(document) => document,
        Err(error) => {
            // Where, and not what: it may hold a token.
            let place = error.location();
            let place = place.map_or_else(String::new, |at| format!(", line {}", at.line()));
            report.bad(
                "the file",
                format!("{shown} is neither YAML nor JSON{place}"),
                "write it anew with `heddle bootstrap`",
            );
            return None;
        }
    };
    report.good("the file", shown.to_string());
    let facts = facts(&document);
    match (&facts.node_id, &facts.service) {
        (Some(id), Some(service)) => report.good("node", format!("{id} of the service {service}")),
        _ => report.bad(
            "node",
            "node.id or node.cluster is missing: the server does not let such a proxy in",
            "write the bootstrap anew with `heddle bootstrap SERVICE PROXY`",
        ),
    }
    let heddle = &document["node"]["metadata"]["heddle"];
    let missing: Vec<&str> = [
        "bind_address",
        "advertise_address",
        "app_address",
        "outbound_port",
        "inbound_ports",
    ]
    .into_iter()
    .filter(|field| heddle[*field].is_null())
    .collect();
    match missing.as_slice() {
        [] => report.good(
            "addresses",
            format!(
                "others reach it at {}",
                heddle["advertise_address"].as_str().unwrap_or("?")
            ),
        ),
        missing => report.bad(
            "addresses",
            format!("node.metadata.heddle lacks {}", missing.join(", ")),
            "write the bootstrap anew with `heddle bootstrap SERVICE PROXY`",
        ),
    }
    match (&facts.host, facts.port) {
        (Some(host), Some(port)) => report.good("server", format!("{host}, port {port}")),
        _ => report.bad(
            "server",
            "dynamic_resources.ads_config names no server",
            "write the bootstrap anew with `heddle bootstrap SERVICE PROXY`",
        ),
    }
    Some(facts)
}
