//! Every name that Envoy sees. Stable and versionless: a name never says which revision it is, so a change
//! replaces a resource in place. Names are a promise: customers' dashboards and their own static configuration
//! refer to them.
//!
//! | what | name |
//! | --- | --- |
//! | cluster and its endpoints | `heddle/<service>/<port>` |
//! | the same, one version of the service | `heddle/<service>/<port>/<version>` |
//! | cluster of the application behind a proxy | `heddle-local/<port>` |
//! | outbound listener and its routes | `heddle/outbound` |
//! | outbound listener of a `tcp` port | `heddle/outbound/<service>/<port>` |
//! | inbound listener | `heddle/inbound/<port>` |
//! | routes of an inbound listener | `heddle/inbound/<service>/<port>` |
//! | virtual host | `<service>/<port>` |
//! | route within it | `<service>/<route>`; `<service>` for the one that takes what no other takes |
//! | the proxy's own certificate | `heddle/identity` |
//! | the mesh's roots | `heddle/trust` |
//! | the control plane, in the bootstrap | `heddle/xds` |
//! | the control plane, as proxies report to it | `heddle/reports` |
//! | cluster of a collector of access logs | `heddle-otlp/<host>:<port>` |
//! | cluster that keys of tokens are fetched from | `heddle-jwks/<provider>` |
//! | policy of an access rule | the rule's id, `ar_...` |
//! | policy that refuses paths with disguised dot segments | `heddle/dot-segments` |
//! | policy that refuses calls without the token that they need | `heddle/no-token` |
//! | policy that refuses tokens with claims that no header can carry | `heddle/unfit-claims` |
//! | policy that refuses headers in which a caller claims what a token says | `heddle/forged-claims` |
//!
//! The application's cluster is not `heddle/local/<port>`: that is the cluster of a service called `local`.

use heddle_model::name::Name;
use heddle_model::settings::access_log::Otlp;

/// The outbound listener and its route configuration.
pub const OUTBOUND: &str = "heddle/outbound";
/// The proxy's own certificate and key.
pub const IDENTITY: &str = "heddle/identity";
/// The roots of the mesh.
pub const TRUST: &str = "heddle/trust";
/// The cluster of the control plane, in the bootstrap.
pub const XDS: &str = "heddle/xds";
/// The cluster of the control plane, as proxies report to it.
pub const REPORTS: &str = "heddle/reports";
/// The metadata of a report that names its mesh.
pub const REPORTS_MESH: &str = "heddle-mesh";
/// The virtual host, and the route in it, that answers for hosts that the mesh does not know.
pub const UNKNOWN_HOST: &str = "heddle/unknown-host";
/// The HTTP filter that refuses what a deny rule matches.
pub const RBAC_DENY: &str = "heddle.rbac.deny";
/// The HTTP filter that refuses what no allow rule matches.
pub const RBAC_ALLOW: &str = "heddle.rbac.allow";
/// Where both leave what they found.
pub const RBAC_METADATA: &str = "envoy.filters.http.rbac";
/// What stands before the statistics, and what the access log knows, of rules that would deny.
pub const WOULD_DENY: &str = "heddle_would_deny_";
/// The same of rules that would allow.
pub const WOULD_ALLOW: &str = "heddle_would_allow_";
/// The policy that refuses paths with a dot segment that parameters disguise (`/public/..;/admin`), wherever some rule is about
/// paths: the rule and the application would not see the same path.
pub const DOT_SEGMENTS: &str = "heddle/dot-segments";
/// The policy that refuses calls without a token of an end user where one is needed. The filter that checks tokens answers first, with
/// 401; this one refuses what reached an older one.
pub const NO_TOKEN: &str = "heddle/no-token";
/// The policy that refuses headers that only a checked token may fill when there is none.
pub const FORGED_CLAIMS: &str = "heddle/forged-claims";
/// The policy that refuses tokens whose claims would break out of the headers that they are written into.
pub const UNFIT_CLAIMS: &str = "heddle/unfit-claims";
/// The policy that refuses services whose identity is revoked.
pub const REVOKED: &str = "heddle/revoked";
/// The HTTP filter that checks tokens of end users.
pub const JWT: &str = "heddle.jwt";
/// The HTTP filter that takes away what only a checked token may say.
pub const STRIP_CLAIMS: &str = "heddle.strip-claims";
/// Where the filter that checks tokens leaves what they say, by provider.
pub const CLAIMS: &str = "envoy.filters.http.jwt_authn";
/// What a route asks of a request: a token that holds.
pub const REQUIRED: &str = "required";
/// What a route asks of a request: that a token holds if there is one.
pub const OPTIONAL: &str = "optional";
/// The HTTP filter that answers health checks of callers.
pub const HEALTH: &str = "heddle.health";
/// The path that callers ask it at. No application is called there.
pub const HEALTH_PATH: &str = "/.well-known/heddle/health";
/// The statistics prefix of the outbound listener.
pub const OUTBOUND_STATS: &str = "heddle_outbound";

/// The cluster of all workloads of a service, by port; also the name of its endpoints.
#[must_use]
pub fn cluster(service: &Name, port: &Name) -> String {
    format!("heddle/{service}/{port}")
}

/// The cluster of the workloads that have one version; also the name of its endpoints.
#[must_use]
pub fn subset(service: &Name, port: &Name, version: &Name) -> String {
    format!("heddle/{service}/{port}/{version}")
}

/// The cluster of the application behind a proxy.
#[must_use]
pub fn local(port: &Name) -> String {
    format!("heddle-local/{port}")
}

/// The cluster of a collector of access logs.
#[must_use]
pub fn collector(otlp: &Otlp) -> String {
    format!("heddle-otlp/{}:{}", otlp.host, otlp.port)
}

/// The cluster that the keys of a provider of tokens are fetched from.
#[must_use]
pub fn jwks(provider: &Name) -> String {
    format!("heddle-jwks/{provider}")
}

/// The listener for connections to a `tcp` port of another service.
#[must_use]
pub fn outbound_listener(service: &Name, port: &Name) -> String {
    format!("{OUTBOUND}/{service}/{port}")
}

/// The statistics prefix of such a listener.
#[must_use]
pub fn outbound_stats(service: &Name, port: &Name) -> String {
    format!("heddle_outbound_{service}_{port}")
}

/// An inbound listener.
#[must_use]
pub fn inbound_listener(port: &Name) -> String {
    format!("heddle/inbound/{port}")
}

/// The route configuration of an inbound listener.
#[must_use]
pub fn inbound_routes(service: &Name, port: &Name) -> String {
    format!("heddle/inbound/{service}/{port}")
}

/// The statistics prefix of an inbound listener.
#[must_use]
pub fn inbound_stats(port: &Name) -> String {
    format!("heddle_inbound_{port}")
}

/// The same of what comes in plain text, where the port takes that: how much is left to be moved to mutual TLS.
#[must_use]
pub fn plain_text_stats(port: &Name) -> String {
    format!("heddle_plain_text_{port}")
}

/// The virtual host of a service's port.
#[must_use]
pub fn virtual_host(service: &Name, port: &Name) -> String {
    format!("{service}/{port}")
}

/// A route of a service.
#[must_use]
pub fn route(service: &Name, route: &Name) -> String {
    format!("{service}/{route}")
}

/// The server name that a caller sends.
#[must_use]
pub fn server_name(service: &Name, mesh: &Name) -> String {
    format!("{service}.{mesh}.mesh")
}

/// The SPIFFE id of a service's workloads.
#[must_use]
pub fn spiffe_id(trust_domain: &str, service: &Name) -> String {
    format!("spiffe://{trust_domain}/service/{service}")
}

/// What every SPIFFE id of a trust domain begins with; it ends at a segment boundary.
#[must_use]
pub fn spiffe_prefix(trust_domain: &str) -> String {
    format!("spiffe://{trust_domain}/")
}
