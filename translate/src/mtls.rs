//! Which mode of mutual TLS a port has: where it comes from, and what somebody should know about it. What it does stands with the
//! listener and the cluster.

use heddle_model::kind::access_rule::Effect;
use heddle_model::kind::mesh::AccessDefault;
use heddle_model::kind::service::Port;
use heddle_model::mtls::{MtlsMode, Said};
use heddle_model::snapshot::{MeshSnapshot, ServiceNode};

use crate::origin::Source;
use crate::resource::{Diagnostic, Origin};

/// The object and field that say the mode of a port.
pub(crate) fn mode(
    snapshot: &MeshSnapshot,
    node: &ServiceNode,
    port: &Port,
    said: Said,
    within: &str,
) -> Option<Origin> {
    let (source, pointer) = match said {
        Said::BuiltIn | Said::Protocol => return None,
        Said::Mesh => (Source::Mesh(snapshot), String::from("/mtls")),
        Said::Service => (Source::Service(node), String::from("/mtls")),
        Said::Port => {
            let mut ports = node.service.spec.ports.iter();
            let index = ports.position(|one| one.name == port.name)?;
            (Source::Service(node), format!("/ports/{index}/mtls"))
        }
    };
    Some(source.at(pointer, within))
}

/// Ports that take plain text while nobody who speaks it is let in.
pub(crate) fn diagnostics(snapshot: &MeshSnapshot, node: &ServiceNode) -> Vec<Diagnostic> {
    if snapshot.mesh.spec.access_default() == AccessDefault::Allow {
        return Vec::new();
    }
    let ports = node.service.spec.ports.iter().enumerate();
    let closed = ports.filter_map(|(index, port)| {
        let mtls = snapshot.mtls(node, port);
        let mut rules = node.access_rules.iter().map(|rule| &rule.spec);
        let lets_in = rules.any(|rule| {
            let decides = rule.action == Effect::Allow && !rule.is_report_only();
            decides && rule.is_about(&port.name) && rule.takes_in_the_unnamed()
        });
        if !mtls.mode.takes_plain_text() || lets_in {
            return None;
        }
        let who = match mtls.mode {
            MtlsMode::Off => "nobody can call it",
            MtlsMode::Strict | MtlsMode::Permissive => "who calls in plain text is refused",
        };
        let message = format!(
            "port {} takes plain text, and {who}: no access rule allows by `networks` or `token`",
            port.name
        );
        Some(Source::Service(node).diagnose(format!("/ports/{index}"), message))
    });
    closed.collect()
}
