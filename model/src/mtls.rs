//! How callers and a port speak with each other: in mutual TLS alone, in either, or in plain text. The mesh says it, a service
//! may say otherwise, and a port of it again; the nearest one holds.

mod steps;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::kind::service::Port;
use crate::kind::{Mesh, Service};

pub use steps::{Closed, Objection, Side, closed, judge};

/// How callers and a port speak with each other. `strict`: in mutual TLS alone. `permissive`: callers of the mesh use mutual TLS, and
/// plain text is taken, too, from callers that have no proxy yet; these are nobody to the access rules. `off`: callers of the mesh
/// use plain text, and nobody knows who they are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MtlsMode {
    /// Mutual TLS alone: who has no certificate of the mesh is turned away before a request of theirs is read.
    Strict,
    /// Callers of the mesh use mutual TLS. Plain text is taken, too: from callers that have no proxy yet. Who calls in plain text
    /// is nobody to the access rules.
    Permissive,
    /// Callers of the mesh use plain text, and nobody knows who they are. Mutual TLS is still taken, so that no call fails while
    /// one caller hears of a change before another.
    Off,
}

impl MtlsMode {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Permissive => "permissive",
            Self::Off => "off",
        }
    }

    /// Whether a port takes calls in plain text.
    #[must_use]
    pub const fn takes_plain_text(self) -> bool {
        !matches!(self, Self::Strict)
    }

    /// Whether callers of the mesh call in mutual TLS.
    #[must_use]
    pub const fn is_called_in_tls(self) -> bool {
        !matches!(self, Self::Off)
    }
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Nobody: `strict`.
    BuiltIn,
    /// The mesh's `mtls`.
    Mesh,
    /// The service's `mtls`.
    Service,
    /// The port's own.
    Port,
    /// The port speaks `tcp`. Its connections are carried between proxies alone, so that nobody else could call in plain text.
    Protocol,
}

/// The mode of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// What holds.
    pub mode: MtlsMode,
    /// Who said it.
    pub said: Said,
}

/// The mode of a port of a service in a mesh.
#[must_use]
pub fn in_force(mesh: &Mesh, service: &Service, port: &Port) -> InForce {
    if port.protocol.is_tcp() {
        return InForce {
            mode: MtlsMode::Strict,
            said: Said::Protocol,
        };
    }
    let levels = [
        (port.mtls, Said::Port),
        (service.mtls, Said::Service),
        (mesh.mtls, Said::Mesh),
    ];
    let nearest = levels
        .into_iter()
        .find_map(|(mode, said)| mode.map(|mode| InForce { mode, said }));
    nearest.unwrap_or(InForce {
        mode: MtlsMode::Strict,
        said: Said::BuiltIn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_one_holds() {
        let mode = |mesh: &str, service: &str, port: &str, protocol: &str| {
            let field = |mode: &str| match mode {
                "" => String::new(),
                mode => format!(r#", "mtls": "{mode}""#),
            };
            let mesh: Mesh =
                serde_json::from_str(&format!(r#"{{"display_name": "x"{}}}"#, field(mesh)))
                    .unwrap();
            let service = format!(
                r#"{{"ports": [{{"name": "a", "port": 1, "protocol": "{protocol}"{}}}]{}}}"#,
                field(port),
                field(service)
            );
            let service: Service = serde_json::from_str(&service).unwrap();
            let found = in_force(&mesh, &service, &service.ports[0]);
            (found.mode.as_str(), found.said)
        };
        assert_eq!(mode("", "", "", "http"), ("strict", Said::BuiltIn));
        assert_eq!(mode("off", "", "", "grpc"), ("off", Said::Mesh));
        let service = ("permissive", Said::Service);
        assert_eq!(mode("off", "permissive", "", "http2"), service);
        let port = ("strict", Said::Port);
        assert_eq!(mode("off", "permissive", "strict", "http"), port);
        let tcp = ("strict", Said::Protocol);
        assert_eq!(mode("off", "permissive", "", "tcp"), tcp);
    }
}
