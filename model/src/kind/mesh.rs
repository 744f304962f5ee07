//! A mesh: one trust domain, one namespace of services, one sequence of revisions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::changes::Changes;
use super::labels::{self, Labels};
use super::{Kind, Spec};
use crate::code::Code;
use crate::guardrails::{Forbidden, Guardrails};
use crate::mtls::MtlsMode;
use crate::settings::Settings;
use crate::violation::{Pointer, Violations};

/// A mesh as its owner describes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MeshSpec)]
pub struct Mesh {
    /// A name for people; changes freely.
    #[schema(max_length = 120, example = "Production")]
    pub display_name: Option<String>,
    /// Pairs for filters and selectors, at most 64.
    pub labels: Option<Labels>,
    /// Free text for people and programs, at most 16 KiB in all.
    pub annotations: Option<Annotations>,
    /// Settings of every service of this mesh that does not say otherwise.
    pub defaults: Option<Settings>,
    /// Bounds of what may be written in this mesh.
    pub guardrails: Option<Guardrails>,
    /// How the services of this mesh are called, unless they say otherwise. `strict` when absent: in mutual TLS.
    pub mtls: Option<MtlsMode>,
    /// What happens to a call that no access rule matches. `deny` when absent.
    pub access_default: Option<AccessDefault>,
    /// What a proxy answers for a host that the mesh does not know. `not_found` when absent.
    pub unknown_hosts: Option<UnknownHosts>,
    /// While true, DELETE is refused. True when absent.
    pub deletion_protection: Option<bool>,
    /// How the objects of this mesh may be changed.
    pub changes: Option<Changes>,
}

/// What happens to a call that no access rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessDefault {
    /// It is answered with 403.
    Deny,
    /// It passes, unless a deny rule matches.
    Allow,
}

/// What a proxy answers for a host that the mesh does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownHosts {
    /// Status 404.
    NotFound,
    /// Status 502.
    BadGateway,
}

impl Mesh {
    /// The access default in force.
    #[must_use]
    pub fn access_default(&self) -> AccessDefault {
        self.access_default.unwrap_or(AccessDefault::Deny)
    }

    /// The answer in force for unknown hosts, as an HTTP status.
    #[must_use]
    pub fn unknown_host_status(&self) -> u16 {
        match self.unknown_hosts {
            None | Some(UnknownHosts::NotFound) => 404,
            Some(UnknownHosts::BadGateway) => 502,
        }
    }

    /// Whether DELETE is refused.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.deletion_protection.unwrap_or(true)
    }
}

impl Spec for Mesh {
    const KIND: Kind = Kind::Mesh;

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        labels::validate(self.labels.as_ref(), &at.field("labels"), violations);
        annotations::validate(
            self.annotations.as_ref(),
            &at.field("annotations"),
            violations,
        );
        if let Some(defaults) = &self.defaults {
            defaults.validate(&at.field("defaults"), violations);
        }
        if let Some(guardrails) = &self.guardrails {
            guardrails.validate(&at.field("guardrails"), violations);
            let at_defaults = at.field("defaults");
            guardrails.check_defaults(self.defaults.as_ref(), &at_defaults, violations);
            guardrails.check_mtls(self.mtls, &at.field("mtls"), violations);
            if guardrails.forbids(Forbidden::WildcardAllow)
                && self.access_default() == AccessDefault::Allow
            {
                violations.add(
                    &at.field("access_default"),
                    Code::Guardrail,
                    "the mesh's guardrails forbid `wildcard_allow`: to let everybody in",
                );
            }
        }
    }

    fn sample() -> serde_json::Value {
        serde_json::json!({
            "display_name": "Production",
            "labels": {"tier": "1"},
            "defaults": Settings::sample(),
            "guardrails": Guardrails::sample(),
            "mtls": "strict",
            "access_default": "deny",
            "unknown_hosts": "not_found",
            "deletion_protection": false,
        })
    }
}
