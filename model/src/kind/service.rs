//! A service: an identity, the hosts it answers for, the ports its workloads listen on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::labels::{self, Labels};
use super::{Kind, Spec};
use crate::code::Code;
use crate::guardrails::Guardrails;
use crate::name::Name;
use crate::net::Host;
use crate::settings::Settings;
use crate::settings::health_check::Check;
use crate::violation::{Pointer, Violations};

/// A service as its owner describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServiceSpec)]
pub struct Service {
    /// A name for people; changes freely.
    #[schema(max_length = 120, example = "Payments")]
    pub display_name: Option<String>,
    /// Pairs for filters and selectors, at most 64.
    pub labels: Option<Labels>,
    /// Free text for people and programs, at most 16 KiB in all.
    pub annotations: Option<Annotations>,
    /// Further hosts that callers use, beside `<service>` and `<service>.<mesh>.mesh`.
    #[schema(max_items = 32)]
    pub hostnames: Option<Vec<Host>>,
    /// Where the application listens. The first port also answers for hosts without a port.
    #[schema(min_items = 1, max_items = 16)]
    pub ports: Vec<Port>,
    /// A profile of the mesh, by name: settings above those of the mesh and below `defaults`.
    pub profile: Option<Name>,
    /// Settings of every caller of this service.
    pub defaults: Option<Settings>,
    /// The services that this one calls. Its proxies then know those and no others: a host of another service is answered as
    /// one that the mesh does not have. As long as none is listed, they know every service of the mesh.
    #[schema(max_items = 256)]
    pub upstreams: Option<Vec<Upstream>>,
}

/// A service that this one calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServiceUpstream)]
pub struct Upstream {
    /// A service of this mesh, by name.
    pub service: Name,
    /// Settings of this service's calls alone: above everything that the other service and its routes say.
    #[serde(rename = "override")]
    #[schema(value_type = Option<crate::settings::OverrideSettings>)]
    pub exception: Option<Settings>,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServicePort)]
pub struct Port {
    /// Unique within the service; part of Envoy's names, so it does not change lightly.
    pub name: Name,
    /// Where the application listens, on each host that runs it.
    #[schema(minimum = 1, maximum = 65535, example = 8080)]
    pub port: u16,
    /// What the application speaks.
    pub protocol: Protocol,
}

/// What an application speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PortProtocol)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS ("prior knowledge").
    Http2,
    /// gRPC: HTTP/2 with trailers.
    Grpc,
}

impl Protocol {
    /// Whether the application is spoken to in HTTP/2.
    #[must_use]
    pub const fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc)
    }
}

impl Spec for Service {
    const KIND: Kind = Kind::Service;

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        labels::validate(self.labels.as_ref(), &at.field("labels"), violations);
        annotations::validate(
            self.annotations.as_ref(),
            &at.field("annotations"),
            violations,
        );
        let mut names = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        let ports = at.field("ports");
        for (i, port) in self.ports.iter().enumerate() {
            let at = ports.index(i);
            if !names.insert(&port.name) {
                violations.add(
                    &at.field("name"),
                    Code::Duplicate,
                    format!("port {} is listed twice", port.name),
                );
            }
            if !numbers.insert(port.port) {
                violations.add(
                    &at.field("port"),
                    Code::Duplicate,
                    format!("port number {} is listed twice", port.port),
                );
            }
        }
        let mut hosts = BTreeSet::new();
        let hostnames = at.field("hostnames");
        for (i, host) in self.hostnames.iter().flatten().enumerate() {
            if host.as_str() == "mesh" || host.as_str().ends_with(".mesh") {
                violations.add(
                    &hostnames.index(i),
                    Code::BadFormat,
                    "hosts under `mesh` are given out by Heddle: every service has `<service>.<mesh>.mesh`",
                );
            }
            if !hosts.insert(host) {
                violations.add(
                    &hostnames.index(i),
                    Code::Duplicate,
                    format!("host {host} is listed twice"),
                );
            }
        }
        if let Some(defaults) = &self.defaults {
            let at = at.field("defaults");
            defaults.validate(&at, violations);
            let check = defaults.health_check.as_ref().and_then(|h| h.check);
            let first = self.ports.first().map(|port| port.protocol);
            if check == Some(Check::Grpc) && first == Some(Protocol::Http) {
                violations.add(
                    &at.field("health_check").field("check"),
                    Code::Mismatch,
                    "gRPC is checked over HTTP/2, and the first port speaks HTTP/1.1",
                );
            }
        }
        let upstreams = at.field("upstreams");
        let mut called = BTreeSet::new();
        for (i, upstream) in self.upstreams.iter().flatten().enumerate() {
            let at = upstreams.index(i);
            if !called.insert(&upstream.service) {
                violations.add(
                    &at.field("service"),
                    Code::Duplicate,
                    format!("service {} is listed twice", upstream.service),
                );
            }
            if let Some(exception) = &upstream.exception {
                exception.validate(&at.field("override"), violations);
            }
        }
    }

    fn service_references(&self) -> Vec<(String, Name)> {
        let named = |(i, upstream): (usize, &Upstream)| {
            (format!("/upstreams/{i}/service"), upstream.service.clone())
        };
        self.upstreams
            .iter()
            .flatten()
            .enumerate()
            .map(named)
            .collect()
    }

    fn profile_reference(&self) -> Option<(String, Name)> {
        let name = self.profile.clone()?;
        Some((String::from("/profile"), name))
    }

    fn guard(&self, guardrails: &Guardrails, at: &Pointer<'_>, violations: &mut Violations) {
        if let Some(defaults) = &self.defaults {
            guardrails.check(defaults, &at.field("defaults"), violations);
        }
        let upstreams = at.field("upstreams");
        for (i, upstream) in self.upstreams.iter().flatten().enumerate() {
            if let Some(exception) = &upstream.exception {
                let at = upstreams.index(i);
                guardrails.check(exception, &at.field("override"), violations);
            }
        }
    }

    // Without `profile` and `upstreams`: an example names nothing that a mesh must have first.
    fn sample() -> serde_json::Value {
        serde_json::json!({
            "display_name": "Payments",
            "labels": {"team": "pay"},
            "hostnames": ["payments.internal"],
            "ports": [
                {"name": "http", "port": 8080, "protocol": "http"},
                {"name": "grpc", "port": 9090, "protocol": "grpc"},
            ],
            "defaults": Settings::sample(),
        })
    }
}
