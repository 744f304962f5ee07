//! `authentication` in three places: two filters of the inbound listeners that check tokens, what each route asks of them, and a
//! policy of the filter that refuses.
//!
//! Whether a token is needed, where, and what it must say comes with the routes and is in force for the next request. Whose tokens
//! count stands in the listener, and a listener that changes drains: connections that exist keep the old one for a while, or
//! none. The policy closes that gap. It refuses whatever no provider *of now* has vouched for, also what an old filter, or none,
//! let through.

use std::collections::{BTreeSet, HashMap};

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use heddle_model::kind::access_rule::PathRule;
use heddle_model::settings::authentication::ResolvedAuthentication;
use heddle_model::settings::{Authentication, Level};
use heddle_model::snapshot::{MeshSnapshot, ServiceNode};

use super::{Applied, Scope};
use crate::envoy::jwt::{self, Asked};
use crate::envoy::route::Route;
use crate::resource::{Diagnostic, Resource};
use crate::{cluster, matching, naming};

pub(crate) fn resolve<'a>(
    snapshot: &'a MeshSnapshot,
    node: &'a ServiceNode,
) -> ResolvedAuthentication<'a> {
    Authentication::resolve(&snapshot.levels(node))
}

/// The filters of a listener: none when no tokens count.
pub(crate) fn filters(resolved: &ResolvedAuthentication<'_>) -> Vec<HttpFilter> {
    let providers = &resolved.providers.value;
    if providers.is_empty() {
        return Vec::new();
    }
    let headers: BTreeSet<&str> = resolved.claim_headers().collect();
    let strip = (!headers.is_empty()).then(|| jwt::strip(headers.into_iter()));
    strip.into_iter().chain([jwt::filter(providers)]).collect()
}

/// Which levels set what stands in a listener.
pub(crate) fn applied(resolved: &ResolvedAuthentication<'_>) -> Vec<Applied> {
    let providers = &resolved.providers;
    let each = providers.value.iter().enumerate().map(|(i, _)| Applied {
        from: providers.from,
        pointer: format!("/authentication/providers/{i}"),
        within: "JwtProviderValidationError",
    });
    each.collect()
}

/// Which levels set what stands in the routes.
pub(crate) fn applied_to_routes(resolved: &ResolvedAuthentication<'_>) -> Vec<Applied> {
    [
        (resolved.required.from, "required"),
        (resolved.open_paths.from, "open_paths"),
        (resolved.providers.from, "providers"),
    ]
    .map(|(from, field)| Applied {
        from,
        pointer: format!("/authentication/{field}"),
        within: "",
    })
    .into()
}

/// The routes of a listener: one for each way to write an open path, and the rest.
pub(crate) fn routes(resolved: &ResolvedAuthentication<'_>, rest: Route) -> Vec<Route> {
    if resolved.providers.value.is_empty() {
        return vec![rest];
    }
    let asking = |asked: Asked, route: &Route| Route {
        typed_per_filter_config: HashMap::from([(naming::JWT.to_owned(), jwt::per_route(asked))]),
        ..route.clone()
    };
    let paths = resolved.open_paths.value.iter().filter_map(PathRule::paths);
    let open = paths.flat_map(|paths| matching::paths(&paths));
    let open = open.map(|at| Route {
        r#match: Some(at),
        ..asking(Asked::Nothing, &rest)
    });
    let asked = match resolved.required.value {
        true => Asked::Required,
        false => Asked::Optional,
    };
    open.chain([asking(asked, &rest)]).collect()
}

/// Where proxies fetch keys: a cluster for each provider that has them elsewhere.
pub(crate) fn clusters(scope: &Scope<'_>, resolved: &ResolvedAuthentication<'_>) -> Vec<Resource> {
    let providers = &resolved.providers;
    let mut found = Vec::new();
    for (i, provider) in providers.value.iter().enumerate() {
        let Some(remote) = &provider.jwks.remote else {
            continue;
        };
        // An address that cannot be read leads nowhere: without a cluster there are no keys, and no token holds.
        let Some(uri) = remote.read() else { continue };
        let name = naming::jwks(&provider.name);
        let applied = |field: &str, within| Applied {
            from: providers.from,
            pointer: format!("/authentication/providers/{i}/jwks/remote{field}"),
            within,
        };
        let ca = match remote.ca_file() {
            Some(_) => applied("/ca", "Invalid path"),
            None => applied("/ca", "Failed to load trusted CA"),
        };
        let origins = [applied("", ""), ca];
        let origins = origins.iter().filter_map(|one| scope.origin(one, &name));
        let origins = origins.collect();
        found.push(cluster::jwks(&name, remote, &uri, origins));
    }
    found
}

/// What somebody should know: nobody can come, or nobody to some port.
pub(crate) fn problem(
    scope: &Scope<'_>,
    resolved: &ResolvedAuthentication<'_>,
) -> Option<Diagnostic> {
    let name = &scope.callee.service.name;
    let ports = &scope.callee.service.spec.ports;
    let tcp = ports.iter().find(|port| port.protocol.is_tcp());
    let message = match (resolved.providers.value.is_empty(), tcp) {
        (true, _) => {
            format!("calls of {name} need a token, and it has no `providers`: all are refused")
        }
        (false, Some(port)) => format!(
            "calls of {name} need a token, and no connection to a tcp port has one: all to port {} are refused",
            port.name
        ),
        (false, None) => return None,
    };
    let wrong = Applied {
        from: resolved.required.from,
        pointer: "/authentication/required".to_owned(),
        within: "",
    };
    let origin = scope
        .origin(&wrong, "")
        .filter(|_| resolved.required.value)?;
    debug_assert_ne!(resolved.required.from, Level::BuiltIn);
    Some(Diagnostic { origin, message })
}
