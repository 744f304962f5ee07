//! A service: an identity, the hosts it answers for, the ports its workloads listen on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::labels::{self, Labels};
use super::{Kind, Spec};
use crate::code::Code;
use crate::guardrails::Guardrails;
use crate::mtls::MtlsMode;
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
    /// How this service is called, at every port that does not say otherwise and does not speak `tcp`. What the mesh's `mtls` says when
    /// absent.
    pub mtls: Option<MtlsMode>,
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
    /// For `tcp`: the port on the loopback address at which the proxies of its callers take connections to it. Unique in the mesh.
    /// When absent, one between 20000 and 29999 that follows from the names of the service and the port.
    #[schema(minimum = 1024, maximum = 65535, example = 15432)]
    pub local_port: Option<u16>,
    /// How this port is called. What the service's `mtls` says when absent. `tcp` is always `strict`: its connections are carried
    /// between proxies alone.
    pub mtls: Option<MtlsMode>,
}

/// The first of the local ports that follow from names, and how many there are. Below those that hosts give to outgoing
/// connections.
const LOCAL_PORTS: (u16, u64) = (20_000, 10_000);

impl Port {
    /// Where the proxies of callers take connections to it; `None` when calls are told apart by their hosts.
    #[must_use]
    pub fn local_port(&self, service: &Name) -> Option<u16> {
        if !self.protocol.is_tcp() {
            return None;
        }
        Some(
            self.local_port
                .unwrap_or_else(|| derived(service, &self.name)),
        )
    }
}

/// FNV-1a over both names, stirred: alone it leaves names that hardly differ close together. It is a promise: connection strings of applications have these numbers in them.
fn derived(service: &Name, port: &Name) -> u16 {
    let text = format!("{service}/{port}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = hash ^ (hash >> 33);
    let (first, count) = LOCAL_PORTS;
    // Less than the count, which fits.
    first + u16::try_from(hash % count).unwrap_or_default()
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
    /// Anything over TCP, also with TLS of its own: bytes are carried as they are.
    Tcp,
}

impl Protocol {
    /// Whether the application is spoken to in HTTP/2.
    #[must_use]
    pub const fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc)
    }

    /// Whether proxies see connections and no requests.
    #[must_use]
    pub const fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp)
    }

    /// Whether an application that speaks it can be checked like this.
    #[must_use]
    pub const fn can_be_checked(self, check: Check) -> bool {
        match check {
            Check::None | Check::Tcp => true,
            Check::Http => !self.is_tcp(),
            Check::Grpc => self.is_http2(),
        }
    }
}

impl Service {
    /// Its ports that take requests, each with its place: those that hosts and routes lead to.
    pub fn http_ports(&self) -> impl Iterator<Item = (usize, &Port)> {
        let all = self.ports.iter().enumerate();
        all.filter(|(_, port)| !port.protocol.is_tcp())
    }

    fn validate_local_ports(&self, ports: &Pointer<'_>, violations: &mut Violations) {
        let mut local = BTreeSet::new();
        for (i, port) in self.ports.iter().enumerate() {
            let Some(number) = port.local_port else {
                continue;
            };
            let at = ports.index(i);
            let at = at.field("local_port");
            if !port.protocol.is_tcp() {
                let detail =
                    "only `tcp` has a port for itself: other calls are told apart by their hosts";
                violations.add(&at, Code::Mismatch, detail);
            } else if !local.insert(number) {
                let detail = format!("local port {number} is listed twice");
                violations.add(&at, Code::Duplicate, detail);
            }
        }
    }

    /// Plain text has no meaning for `tcp`: what comes to the listener is HTTP/2 that carries a connection, and no caller but a proxy
    /// speaks that.
    fn validate_mtls(&self, at: &Pointer<'_>, violations: &mut Violations) {
        let plain = |mode: Option<MtlsMode>| mode.filter(|mode| mode.takes_plain_text());
        let ports = at.field("ports");
        for (i, port) in self.ports.iter().enumerate() {
            if let (true, Some(mode)) = (port.protocol.is_tcp(), plain(port.mtls)) {
                let detail = format!(
                    "a `tcp` port cannot be `{}`: its connections are carried between proxies, in mutual TLS; call the application \
                     itself where there is no proxy",
                    mode.as_str()
                );
                let at = ports.index(i);
                violations.add(&at.field("mtls"), Code::Mismatch, detail);
            }
        }
        let nowhere = !self.ports.is_empty() && self.http_ports().next().is_none();
        if let (true, Some(mode)) = (nowhere, plain(self.mtls)) {
            let detail = format!(
                "the service has nothing but `tcp` ports, and none of those can be `{}`: their connections are carried between \
                 proxies, in mutual TLS",
                mode.as_str()
            );
            violations.add(&at.field("mtls"), Code::Mismatch, detail);
        }
    }

    /// What its own settings ask for that its ports cannot do.
    fn validate_against_ports(
        &self,
        defaults: &Settings,
        at: &Pointer<'_>,
        violations: &mut Violations,
    ) {
        let check = defaults.health_check.as_ref().and_then(|h| h.check);
        let first = self.ports.first().map(|port| port.protocol);
        if let (Some(check), Some(first)) = (check, first)
            && !first.can_be_checked(check)
        {
            let detail = match first.is_tcp() {
                true => {
                    "the first port speaks `tcp`, and takes no request that could be a check: check it by `tcp`"
                }
                false => "gRPC is checked over HTTP/2, and the first port speaks HTTP/1.1",
            };
            let at = at.field("health_check");
            violations.add(&at.field("check"), Code::Mismatch, detail);
        }
        let authentication = defaults.authentication.as_ref();
        let required = authentication.and_then(|a| a.required) == Some(true);
        if required && self.ports.iter().any(|port| port.protocol.is_tcp()) {
            let at = at.field("authentication");
            let detail = "no connection to a `tcp` port carries a token, so nobody could call it";
            violations.add(&at.field("required"), Code::Mismatch, detail);
        }
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
        self.validate_local_ports(&ports, violations);
        self.validate_mtls(at, violations);
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
            self.validate_against_ports(defaults, &at, violations);
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
        guardrails.check_mtls(self.mtls, &at.field("mtls"), violations);
        let ports = at.field("ports");
        for (i, port) in self.ports.iter().enumerate() {
            let at = ports.index(i);
            guardrails.check_mtls(port.mtls, &at.field("mtls"), violations);
        }
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
                {"name": "grpc", "port": 9090, "protocol": "grpc", "mtls": "permissive"},
            ],
            "mtls": "strict",
            "defaults": Settings::sample(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(service: &str) -> Vec<(String, &'static str)> {
        let service: Service = serde_json::from_str(service).unwrap();
        let mut violations = Violations::new();
        service.validate(&Pointer::Root, &mut violations);
        let all = violations.into_sorted().into_iter();
        all.map(|one| (one.pointer, one.code.as_str())).collect()
    }

    #[test]
    fn a_local_port_follows_from_names_and_stays() {
        let port = |protocol: &str, more: &str| -> Option<u16> {
            let text = format!(r#"{{"name": "pg", "port": 5432, "protocol": "{protocol}"{more}}}"#);
            let port: Port = serde_json::from_str(&text).unwrap();
            port.local_port(&"ledger".parse().unwrap())
        };
        // In connection strings of applications.
        assert_eq!(port("tcp", ""), Some(29_943));
        assert_eq!(port("tcp", r#", "local_port": 1024"#), Some(1024));
        assert_eq!(port("http", ""), None);
        let mut seen = BTreeSet::new();
        for i in 0..1000 {
            let number = derived(&format!("s{i}").parse().unwrap(), &"pg".parse().unwrap());
            assert!((20_000..30_000).contains(&number), "{number}");
            seen.insert(number);
        }
        assert!(seen.len() > 900, "{} of 1000 differ", seen.len());
    }

    #[test]
    fn plain_text_is_refused_where_only_proxies_could_speak_it() {
        let service = r#"{"mtls": "permissive", "ports": [
                {"name": "a", "port": 1, "protocol": "tcp", "mtls": "off"},
                {"name": "b", "port": 2, "protocol": "tcp", "mtls": "strict"},
                {"name": "c", "port": 3, "protocol": "tcp"}]}"#;
        let expected = [("/mtls", "HED-1012"), ("/ports/0/mtls", "HED-1012")];
        let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code));
        assert_eq!(violations(service), expected);
        let beside = r#"{"mtls": "permissive", "ports": [
                {"name": "a", "port": 1, "protocol": "tcp"},
                {"name": "b", "port": 2, "protocol": "http", "mtls": "off"}]}"#;
        assert_eq!(violations(beside), []);
    }

    #[test]
    fn what_a_tcp_port_cannot_do_is_said_where_it_is_asked_for() {
        let service = r#"{"ports": [
                {"name": "pg", "port": 5432, "protocol": "tcp", "local_port": 15432},
                {"name": "http", "port": 80, "protocol": "http", "local_port": 15433},
                {"name": "two", "port": 5433, "protocol": "tcp", "local_port": 15432}],
            "defaults": {"health_check": {"check": "http"}, "authentication": {"required": true}}}"#;
        let expected = [
            ("/defaults/authentication/required", "HED-1012"),
            ("/defaults/health_check/check", "HED-1012"),
            ("/ports/1/local_port", "HED-1012"),
            ("/ports/2/local_port", "HED-1009"),
        ];
        let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code));
        assert_eq!(violations(service), expected);
        for (protocol, check, fits) in [
            ("tcp", "tcp", true),
            ("tcp", "grpc", false),
            ("http", "grpc", false),
            ("http2", "grpc", true),
            ("http", "http", true),
        ] {
            let service = format!(
                r#"{{"ports": [{{"name": "a", "port": 1, "protocol": "{protocol}"}}],
                    "defaults": {{"health_check": {{"check": "{check}"}}}}}}"#
            );
            assert_eq!(violations(&service).is_empty(), fits, "{protocol} {check}");
        }
    }
}
