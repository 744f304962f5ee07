//! The filter that checks tokens of end users, and the one before it that takes away what only a checked token may say.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::common::mutation_rules::v3::{
    HeaderMutation, header_mutation::Action,
};
use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3 as strip;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::{
    JwksAsyncFetch, JwtAuthentication, JwtClaimToHeader, JwtHeader, JwtProvider, JwtRequirement,
    JwtRequirementOrList, PerRouteConfig, RemoteJwks, jwt_provider, jwt_requirement::RequiresType,
    per_route_config::RequirementSpecifier,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::google::protobuf::Empty;
use heddle_model::kind::access_rule::LISTS_OF_WORDS;
use heddle_model::settings::authentication::{Jwks, Provider};
use prost::{Message as _, Name as _};

use super::core::{HttpUri, http_uri};
use super::{Any, duration, http, inline_string};
use crate::naming;
use crate::resource::any;

/// `JwtAuthentication` with ordered maps: the generated type has hash maps, whose bytes differ from run to run.
#[derive(Clone, PartialEq, prost::Message)]
struct OrderedAuthentication {
    #[prost(btree_map = "string, message", tag = "1")]
    providers: BTreeMap<String, JwtProvider>,
    #[prost(btree_map = "string, message", tag = "5")]
    requirement_map: BTreeMap<String, JwtRequirement>,
}

/// What is asked of the requests of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A token that holds.
    Required,
    /// That a token holds if there is one.
    Optional,
    /// Nothing: no token is looked at.
    Nothing,
}

const fn requirement(kind: RequiresType) -> JwtRequirement {
    JwtRequirement {
        requires_type: Some(kind),
    }
}

fn jwks(provider: &Provider, jwks: &Jwks) -> jwt_provider::JwksSourceSpecifier {
    if let Some(remote) = &jwks.remote {
        return jwt_provider::JwksSourceSpecifier::RemoteJwks(RemoteJwks {
            http_uri: Some(HttpUri {
                uri: remote.uri.clone(),
                timeout: Some(duration(remote.timeout())),
                http_upstream_type: Some(http_uri::HttpUpstreamType::Cluster(naming::jwks(
                    &provider.name,
                ))),
            }),
            cache_duration: Some(duration(remote.cache())),
            // Fetched before the first request, and again before the keys are too old; a server that is down holds no listener up,
            // and the keys that are there stay.
            async_fetch: Some(JwksAsyncFetch {
                fast_listener: true,
                ..JwksAsyncFetch::default()
            }),
            ..RemoteJwks::default()
        });
    }
    // Without keys no token holds.
    let keys = jwks.inline.as_deref().unwrap_or(r#"{"keys":[]}"#);
    jwt_provider::JwksSourceSpecifier::LocalJwks(inline_string(keys))
}

fn provider(of: &Provider) -> JwtProvider {
    let claims = of.claims_to_headers.iter().flatten();
    let claims = claims.map(|one| JwtClaimToHeader {
        header_name: one.header.clone(),
        claim_name: one.claim.join("."),
        ..JwtClaimToHeader::default()
    });
    let seconds = u32::try_from(of.clock_skew().as_secs()).unwrap_or(u32::MAX);
    JwtProvider {
        issuer: of.issuer.clone(),
        audiences: of.audiences.iter().map(|one| one.0.clone()).collect(),
        require_expiration: true,
        forward: of.forward.unwrap_or(true),
        // Said in any case: without it Envoy reads tokens from queries, too.
        from_headers: vec![JwtHeader {
            name: of.header().to_owned(),
            value_prefix: of.prefix().to_owned(),
        }],
        payload_in_metadata: of.name.to_string(),
        normalize_payload_in_metadata: Some(jwt_provider::NormalizePayload {
            space_delimited_claims: LISTS_OF_WORDS.map(String::from).to_vec(),
        }),
        // Zero is Envoy's default to it.
        clock_skew_seconds: seconds.max(1),
        claim_to_headers: claims.collect(),
        jwks_source_specifier: Some(jwks(of, &of.jwks)),
        ..JwtProvider::default()
    }
}

/// Any of these providers, or also no token. Nowhere `allow_missing_or_failed`: with keys that are fetched and two tokens in a
/// request it ends an Envoy before 1.36.3 (CVE-2025-64527).
fn any_of(providers: &[Provider], optional: bool) -> JwtRequirement {
    let named = |one: &Provider| requirement(RequiresType::ProviderName(one.name.to_string()));
    let mut requirements: Vec<_> = providers.iter().map(named).collect();
    if optional {
        requirements.push(requirement(RequiresType::AllowMissing(Empty::default())));
    }
    match requirements.len() {
        1 => requirements.remove(0),
        _ => requirement(RequiresType::RequiresAny(JwtRequirementOrList {
            requirements,
        })),
    }
}

/// Checks tokens; what is asked for comes with the routes, so that it changes for the next request.
pub(crate) fn filter(providers: &[Provider]) -> HttpFilter {
    let named = |one: &Provider| (one.name.to_string(), provider(one));
    let requirements = [(naming::REQUIRED, false), (naming::OPTIONAL, true)];
    let config = OrderedAuthentication {
        providers: providers.iter().map(named).collect(),
        requirement_map: requirements
            .map(|(name, optional)| (name.to_owned(), any_of(providers, optional)))
            .into(),
    };
    let config = Any {
        type_url: JwtAuthentication::type_url(),
        value: config.encode_to_vec(),
    };
    http::http_filter(naming::JWT, config)
}

/// What a route asks for.
pub(crate) fn per_route(asked: Asked) -> Any {
    let named = |name: &str| RequirementSpecifier::RequirementName(name.to_owned());
    any(&PerRouteConfig {
        requirement_specifier: Some(match asked {
            Asked::Required => named(naming::REQUIRED),
            Asked::Optional => named(naming::OPTIONAL),
            Asked::Nothing => RequirementSpecifier::Disabled(true),
        }),
    })
}

/// Takes these headers from every request.
pub(crate) fn strip<'a>(headers: impl Iterator<Item = &'a str>) -> HttpFilter {
    let remove = |name: &str| HeaderMutation {
        action: Some(Action::Remove(name.to_owned())),
    };
    let mutations = strip::Mutations {
        request_mutations: headers.map(remove).collect(),
        ..strip::Mutations::default()
    };
    let config = strip::HeaderMutation {
        mutations: Some(mutations),
        ..strip::HeaderMutation::default()
    };
    http::http_filter(naming::STRIP_CLAIMS, any(&config))
}
