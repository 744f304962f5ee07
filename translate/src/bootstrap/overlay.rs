//! What an Envoy that keeps its own file is given beside it: `envoy -c own.yaml --config-yaml "$(cat overlay.yaml)"`.
//!
//! Envoy merges the two as protobuf messages: a single value of the overlay replaces the file's, lists are appended, messages
//! and maps are merged. So the overlay says nothing that is not needed: no listeners, no admin interface, no statistics, no
//! limits of the process. What it does say, and what becomes of the same field in a file, is in
//! `docs/guides/connect-an-existing-envoy.md`.

use heddle_model::name::Name;
use serde_json::{Value, json};

use super::control_plane::{ControlPlane, by_ads};

/// Everything that an overlay says.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// The service, from the join token.
    pub service: Name,
    /// The proxy's name within the service.
    pub proxy: String,
    /// `node.id` and `node.cluster` stay what the file says: other things than Heddle may go by them. Envoy does not start
    /// when the file does not say them either.
    pub keep_node: bool,
    /// Where it gets clusters from.
    pub control_plane: ControlPlane,
}

impl Overlay {
    /// The overlay as JSON, which Envoy reads as it reads YAML. It contains the token if that is inlined.
    #[must_use]
    pub fn render(&self) -> Value {
        // The names stand in the metadata in any case: flags of Envoy's command line replace those of the node.
        let heddle = json!({"mode": "augment", "service": self.service, "proxy": self.proxy});
        let mut node = json!({});
        if !self.keep_node {
            node["id"] = json!(self.proxy);
            node["cluster"] = json!(self.service);
        }
        node["metadata"] = json!({"heddle": heddle});
        let mut document = json!({
            "node": node,
            "dynamic_resources": {"cds_config": by_ads()},
        });
        self.control_plane.write(&mut document);
        document
    }
}
