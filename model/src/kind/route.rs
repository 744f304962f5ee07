//! A route: which of a service's requests it takes, and where they go.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::labels::{self, Labels};
use super::{Kind, Spec};
use crate::code::Code;
use crate::guardrails::Guardrails;
use crate::name::Name;
use crate::settings::{RouteSettings, Settings};
use crate::violation::{Pointer, Violations};

/// A route of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RouteSpec)]
pub struct Route {
    /// A name for people; changes freely.
    #[schema(max_length = 120)]
    pub display_name: Option<String>,
    /// Pairs for filters and selectors, at most 64.
    pub labels: Option<Labels>,
    /// Free text for people and programs, at most 16 KiB in all.
    pub annotations: Option<Annotations>,
    /// Lower is tried first; unique within the service.
    #[schema(minimum = 0, maximum = 1_000_000, example = 100)]
    pub priority: u32,
    /// A request that any of these matches takes this route; absent: every request.
    #[serde(rename = "match")]
    #[schema(min_items = 1, max_items = 32)]
    pub matches: Option<Vec<Match>>,
    /// Where requests go: in equal shares, unless the route has a split.
    #[schema(min_items = 1, max_items = 32)]
    pub backends: Vec<Backend>,
    /// Settings of requests on this route.
    #[schema(value_type = Option<crate::settings::RouteSettings>)]
    pub settings: Option<Settings>,
}

/// What a request must look like: everything that is present must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RouteMatch)]
pub struct Match {
    /// The path, without the query.
    pub path: Option<PathMatch>,
    /// Any of these methods.
    #[schema(min_items = 1, max_items = 9)]
    pub methods: Option<Vec<Method>>,
    /// All of these headers.
    #[schema(min_items = 1, max_items = 16)]
    pub headers: Option<Vec<HeaderMatch>>,
}

/// How a path is compared: exactly one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PathMatch {
    /// The whole path.
    #[schema(
        pattern = r"^/[!-\[\]-~]*$",
        max_length = 1024,
        example = "/v1/charges"
    )]
    pub exact: Option<String>,
    /// The beginning of the path, at segment boundaries: `/v1` matches `/v1` and `/v1/x`, not `/v10`.
    #[schema(pattern = r"^/[!-\[\]-~]*$", max_length = 1024, example = "/v1")]
    pub prefix: Option<String>,
}

/// How a header is compared: exactly one of `exact`, `prefix` and `present`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    /// The header's name, in lower case.
    #[schema(
        pattern = "^[a-z0-9!#$%&'*+.^`|~-]+$",
        max_length = 128,
        example = "x-beta"
    )]
    pub name: String,
    /// The whole value.
    #[schema(pattern = r"^[ -~]*$", max_length = 1024)]
    pub exact: Option<String>,
    /// The beginning of the value.
    #[schema(pattern = r"^[ -~]+$", min_length = 1, max_length = 1024)]
    pub prefix: Option<String>,
    /// Whether the header is there at all.
    pub present: Option<bool>,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
#[schema(as = HttpMethod)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Connect,
}

impl Method {
    /// As it stands in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
        }
    }
}

/// Where requests go: exactly one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RouteBackend)]
pub struct Backend {
    /// Only the workloads of this service that have this version.
    pub version: Option<Name>,
    /// Another service of the mesh, by name; the service itself means all of its workloads.
    pub service: Option<Name>,
}

impl PathMatch {
    /// Adds the rules that this breaks.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        if self.exact.is_some() == self.prefix.is_some() {
            violations.add(at, Code::ExactlyOne, "exactly one of `exact` and `prefix`");
        }
        for (field, path) in [("exact", &self.exact), ("prefix", &self.prefix)] {
            if let Some(path) = path
                && (path.contains('?') || path.contains('#'))
            {
                violations.add(
                    &at.field(field),
                    Code::BadFormat,
                    "a path has no query and no fragment",
                );
            }
        }
    }
}

/// What a [`HeaderMatch`] wants of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderIs<'a> {
    /// That it has this value.
    Exactly(&'a str),
    /// That its value begins like this.
    Beginning(&'a str),
    /// That it is there.
    Present,
    /// That it is not.
    Absent,
}

impl HeaderMatch {
    /// What it wants; `None` when that is nothing, or more than one thing.
    #[must_use]
    pub fn wants(&self) -> Option<HeaderIs<'_>> {
        let Self {
            name: _,
            exact,
            prefix,
            present,
        } = self;
        match (exact, prefix, present) {
            (Some(value), None, None) => Some(HeaderIs::Exactly(value)),
            (None, Some(value), None) => Some(HeaderIs::Beginning(value)),
            (None, None, Some(true)) => Some(HeaderIs::Present),
            (None, None, Some(false)) => Some(HeaderIs::Absent),
            (None, None, None) | (Some(_), Some(_), _) | (Some(_), _, Some(_)) => None,
            (None, Some(_), Some(_)) => None,
        }
    }

    /// Adds the rules that this breaks.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        let given = [
            self.exact.is_some(),
            self.prefix.is_some(),
            self.present.is_some(),
        ];
        if given.iter().filter(|g| **g).count() != 1 {
            violations.add(
                at,
                Code::ExactlyOne,
                "exactly one of `exact`, `prefix` and `present`",
            );
        }
        if self.name == "host" {
            violations.add(
                &at.field("name"),
                Code::BadFormat,
                "a route is matched after its host; use the service's `hostnames`",
            );
        }
    }
}

/// Adds a violation for each method that is listed twice.
pub fn validate_methods(
    methods: Option<&Vec<Method>>,
    at: &Pointer<'_>,
    violations: &mut Violations,
) {
    let mut seen = std::collections::BTreeSet::new();
    for (i, method) in methods.into_iter().flatten().enumerate() {
        if !seen.insert(*method) {
            violations.add(
                &at.index(i),
                Code::Duplicate,
                format!("{} is listed twice", method.as_str()),
            );
        }
    }
}

impl Spec for Route {
    const KIND: Kind = Kind::Route;

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        labels::validate(self.labels.as_ref(), &at.field("labels"), violations);
        annotations::validate(
            self.annotations.as_ref(),
            &at.field("annotations"),
            violations,
        );
        let matches = at.field("match");
        for (i, one) in self.matches.iter().flatten().enumerate() {
            let at = matches.index(i);
            if let Some(path) = &one.path {
                path.validate(&at.field("path"), violations);
            }
            validate_methods(one.methods.as_ref(), &at.field("methods"), violations);
            let headers = at.field("headers");
            for (j, header) in one.headers.iter().flatten().enumerate() {
                header.validate(&headers.index(j), violations);
            }
        }
        let backends = at.field("backends");
        let mut seen = Vec::new();
        for (i, backend) in self.backends.iter().enumerate() {
            if backend.version.is_some() == backend.service.is_some() {
                violations.add(
                    &backends.index(i),
                    Code::ExactlyOne,
                    "exactly one of `version` and `service`",
                );
            } else if seen.contains(&backend) {
                violations.add(
                    &backends.index(i),
                    Code::Duplicate,
                    "this backend is listed twice",
                );
            }
            seen.push(backend);
        }
        if let Some(settings) = &self.settings {
            settings.validate(&at.field("settings"), violations);
        }
    }

    fn service_references(&self) -> Vec<(String, Name)> {
        let named = |(i, backend): (usize, &Backend)| {
            backend
                .service
                .clone()
                .map(|name| (format!("/backends/{i}/service"), name))
        };
        self.backends.iter().enumerate().filter_map(named).collect()
    }

    fn guard(&self, guardrails: &Guardrails, at: &Pointer<'_>, violations: &mut Violations) {
        if let Some(settings) = &self.settings {
            guardrails.check(settings, &at.field("settings"), violations);
        }
    }

    fn sample() -> serde_json::Value {
        serde_json::json!({
            "display_name": "Charges",
            "labels": {"api": "v1"},
            "priority": 100,
            "match": [{
                "path": {"prefix": "/v1/charges"},
                "methods": ["POST"],
                "headers": [{"name": "x-beta", "exact": "1"}],
            }],
            "backends": [{"version": "v2"}],
            "settings": RouteSettings::sample(),
        })
    }
}
