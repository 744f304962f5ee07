//! The file that a stock Envoy starts with: who it is, where the control plane is, how it proves itself.
//!
//! What it says about time decides how fast a proxy is back after the control plane was away, and how long it
//! waits for it at its own start; the figures are measured, not guessed.

mod control_plane;
mod overlay;

use std::collections::BTreeMap;
use std::net::IpAddr;

use heddle_model::name::Name;
use serde_json::{Value, json};

pub use control_plane::{ControlPlane, Credential};
pub use overlay::Overlay;

use control_plane::by_ads;

/// Connections that clients may hold open at once, over all listeners.
const MAX_DOWNSTREAM_CONNECTIONS: u32 = 50_000;

/// Everything that a bootstrap says.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The organisation's name; a label of the proxy's statistics.
    pub org: String,
    /// The mesh's name; a label of the proxy's statistics.
    pub mesh: Name,
    /// The service, which becomes `node.cluster`.
    pub service: Name,
    /// The proxy's name within the service, which becomes `node.id`.
    pub node_id: String,
    /// The version of the service that the application is, if it says so.
    pub version: Option<Name>,
    /// Where the proxy's listeners bind.
    pub bind_address: IpAddr,
    /// Where other proxies reach it.
    pub advertise_address: IpAddr,
    /// Where the application listens.
    pub app_address: IpAddr,
    /// The port of the inbound listener of each port of the service.
    pub inbound_ports: BTreeMap<Name, u16>,
    /// The port of the outbound listener.
    pub outbound_port: u16,
    /// Where Envoy's admin interface listens.
    pub admin_address: IpAddr,
    /// The port of it.
    pub admin_port: u16,
    /// Where it gets everything else from.
    pub control_plane: ControlPlane,
}

/// The bootstrap as JSON, which Envoy reads as it reads YAML. It contains the token if that is inlined.
#[must_use]
pub fn render(bootstrap: &Bootstrap) -> Value {
    let mut document = json!({
        "node": node(bootstrap),
        "admin": {"address": socket(&bootstrap.admin_address.to_string(), bootstrap.admin_port)},
        "dynamic_resources": {"cds_config": by_ads(), "lds_config": by_ads()},
        "stats_config": {"stats_tags": [
            {"tag_name": "heddle_org", "fixed_value": bootstrap.org},
            {"tag_name": "heddle_mesh", "fixed_value": bootstrap.mesh},
            {"tag_name": "heddle_service", "fixed_value": bootstrap.service},
        ]},
        "overload_manager": overload_manager(),
    });
    bootstrap.control_plane.write(&mut document);
    document
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn node(bootstrap: &Bootstrap) -> Value {
    let mut heddle = json!({
        "bind_address": bootstrap.bind_address,
        "advertise_address": bootstrap.advertise_address,
        "app_address": bootstrap.app_address,
        "outbound_port": bootstrap.outbound_port,
        "inbound_ports": bootstrap.inbound_ports,
    });
    if let Some(version) = &bootstrap.version {
        heddle["version"] = json!(version);
    }
    json!({
        "id": bootstrap.node_id,
        "cluster": bootstrap.service,
        "metadata": {"heddle": heddle},
    })
}

fn overload_manager() -> Value {
    json!({"resource_monitors": [{
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.\
                      downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": MAX_DOWNSTREAM_CONNECTIONS,
        },
    }]})
}
