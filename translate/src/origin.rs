//! Where things came from, written down while they are made.

use heddle_model::kind::{AccessRule, Kind, Profile, Route, Service, Split};
use heddle_model::snapshot::{MeshSnapshot, Object, ServiceNode};

use crate::resource::{Diagnostic, Origin};

/// An object that configuration comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Mesh(&'a MeshSnapshot),
    Profile(&'a Object<heddle_model::id::ProfileId, Profile>),
    Service(&'a ServiceNode),
    Route(
        &'a ServiceNode,
        &'a Object<heddle_model::id::RouteId, Route>,
    ),
    Split(
        &'a ServiceNode,
        &'a Object<heddle_model::id::RouteId, Route>,
        &'a Object<heddle_model::id::SplitId, Split>,
    ),
    AccessRule(
        &'a ServiceNode,
        &'a Object<heddle_model::id::AccessRuleId, AccessRule>,
    ),
}

impl Source<'_> {
    /// The object, a place in it, and the part of the Envoy resource that this explains.
    pub(crate) fn at(self, pointer: impl Into<String>, within: impl Into<String>) -> Origin {
        let (kind, id, name, revision) = match self {
            Self::Mesh(snapshot) => {
                let mesh = &snapshot.mesh;
                let name = mesh.name.to_string();
                (Kind::Mesh, mesh.id.to_string(), name, mesh.revision)
            }
            Self::Profile(profile) => {
                let name = profile.name.to_string();
                (
                    Kind::Profile,
                    profile.id.to_string(),
                    name,
                    profile.revision,
                )
            }
            Self::Service(node) => {
                let service: &Object<_, Service> = &node.service;
                let name = service.name.to_string();
                (
                    Kind::Service,
                    service.id.to_string(),
                    name,
                    service.revision,
                )
            }
            Self::Route(node, route) => {
                let name = format!("{}/{}", node.service.name, route.name);
                (Kind::Route, route.id.to_string(), name, route.revision)
            }
            Self::Split(node, route, split) => {
                let name = format!("{}/{}/split", node.service.name, route.name);
                (Kind::Split, split.id.to_string(), name, split.revision)
            }
            Self::AccessRule(node, rule) => {
                let name = format!("{}/{}", node.service.name, rule.name);
                (Kind::AccessRule, rule.id.to_string(), name, rule.revision)
            }
        };
        Origin {
            kind,
            id,
            name,
            pointer: pointer.into(),
            revision,
            within: within.into(),
        }
    }

    /// Something that a user should know about a place in this object.
    pub(crate) fn diagnose(
        self,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            origin: self.at(pointer, ""),
            message: message.into(),
        }
    }
}
