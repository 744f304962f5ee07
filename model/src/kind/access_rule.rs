//! An access rule: who may call a service, or may not. Deny always wins.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::labels::{self, Labels};
use super::route::{Method, PathMatch, validate_methods};
use super::{Kind, Spec};
use crate::code::Code;
use crate::guardrails::{Forbidden, Guardrails};
use crate::name::Name;
use crate::violation::{Pointer, Violations};

/// A rule about the callers of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessRuleSpec)]
pub struct AccessRule {
    /// A name for people; changes freely.
    #[schema(max_length = 120)]
    pub display_name: Option<String>,
    /// Pairs for filters and selectors, at most 64.
    pub labels: Option<Labels>,
    /// Free text for people and programs, at most 16 KiB in all.
    pub annotations: Option<Annotations>,
    /// What happens to a call that matches. Deny wins over every allow.
    pub action: Effect,
    /// Any of these callers; absent: everybody who can call at all, which is every workload of the mesh.
    #[schema(min_items = 1, max_items = 64)]
    pub from: Option<Vec<Caller>>,
    /// Any of these requests; absent: every request.
    #[schema(min_items = 1, max_items = 64)]
    pub to: Option<Vec<Target>>,
    /// Why the rule exists, for whoever reads it later.
    #[schema(max_length = 500, example = "PAY-1123")]
    pub reason: Option<String>,
}

/// What happens to a call that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AccessEffect)]
pub enum Effect {
    /// It passes, unless a deny rule matches too.
    Allow,
    /// It is answered with 403.
    Deny,
}

/// A caller: exactly one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessCaller)]
pub struct Caller {
    /// A service of this mesh, by name.
    pub service: Option<Name>,
    /// One exact SPIFFE id.
    #[schema(
        pattern = "^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$",
        max_length = 2048,
        example = "spiffe://partner.example/app"
    )]
    pub spiffe: Option<String>,
}

/// What is called: everything that is present must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessTarget)]
pub struct Target {
    /// Any of these methods.
    #[schema(min_items = 1, max_items = 9)]
    pub methods: Option<Vec<Method>>,
    /// Any of these paths.
    #[schema(min_items = 1, max_items = 64)]
    pub paths: Option<Vec<PathMatch>>,
}

/// What a [`Caller`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// The workloads of a service of this mesh.
    Service(&'a Name),
    /// One whole SPIFFE id.
    Spiffe(&'a str),
}

impl Caller {
    /// What it names; `None` when that is nothing, or more than one thing.
    #[must_use]
    pub fn who(&self) -> Option<Who<'_>> {
        let Self { service, spiffe } = self;
        match (service, spiffe) {
            (Some(service), None) => Some(Who::Service(service)),
            (None, Some(id)) => Some(Who::Spiffe(id)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

impl Spec for AccessRule {
    const KIND: Kind = Kind::AccessRule;

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        labels::validate(self.labels.as_ref(), &at.field("labels"), violations);
        annotations::validate(
            self.annotations.as_ref(),
            &at.field("annotations"),
            violations,
        );
        let from = at.field("from");
        for (i, caller) in self.from.iter().flatten().enumerate() {
            if caller.who().is_none() {
                violations.add(
                    &from.index(i),
                    Code::ExactlyOne,
                    "exactly one of `service` and `spiffe`",
                );
            }
            let dotted = |id: &String| {
                id.split('/')
                    .skip(3)
                    .any(|segment| segment == "." || segment == "..")
            };
            if caller.spiffe.as_ref().is_some_and(dotted) {
                violations.add(
                    &from.index(i).field("spiffe"),
                    Code::BadFormat,
                    "a SPIFFE id has no `.` or `..` segments",
                );
            }
        }
        let to = at.field("to");
        for (i, target) in self.to.iter().flatten().enumerate() {
            let at = to.index(i);
            if target.methods.is_none() && target.paths.is_none() {
                violations.add(
                    &at,
                    Code::ExactlyOne,
                    "an empty entry would match everything; leave `to` out to say so",
                );
            }
            validate_methods(target.methods.as_ref(), &at.field("methods"), violations);
            let paths = at.field("paths");
            for (j, path) in target.paths.iter().flatten().enumerate() {
                path.validate(&paths.index(j), violations);
            }
        }
    }

    fn service_references(&self) -> Vec<(String, Name)> {
        let named = |(i, caller): (usize, &Caller)| {
            caller
                .service
                .clone()
                .map(|name| (format!("/from/{i}/service"), name))
        };
        self.from
            .iter()
            .flatten()
            .enumerate()
            .filter_map(named)
            .collect()
    }

    fn guard(&self, guardrails: &Guardrails, at: &Pointer<'_>, violations: &mut Violations) {
        if self.action == Effect::Allow
            && self.from.is_none()
            && guardrails.forbids(Forbidden::WildcardAllow)
        {
            violations.add(
                &at.field("from"),
                Code::Guardrail,
                "the mesh's guardrails forbid `wildcard_allow`: name the callers",
            );
        }
    }

    fn sample() -> serde_json::Value {
        serde_json::json!({
            "display_name": "Checkout may charge",
            "labels": {"team": "pay"},
            "action": "allow",
            "from": [{"service": "checkout"}, {"spiffe": "spiffe://partner.example/app"}],
            "to": [{"methods": ["POST"], "paths": [{"prefix": "/v1/charges"}]}],
            "reason": "PAY-1123",
        })
    }
}
