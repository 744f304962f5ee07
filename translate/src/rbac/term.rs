//! What policies are made of: whom they are about (principals), what they are about (permissions), and how these combine.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::rbac::v3::{Permission, Principal, permission, principal};
use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3 as mtls_authenticated;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;

use crate::envoy::matcher;
use crate::envoy::route::HeaderMatcher;
use crate::resource::any;

/// Whoever has such a SPIFFE id. By the type of the name: Envoy's plain `authenticated` takes a DNS name, and even a subject,
/// for a SPIFFE id that reads the same.
pub(super) fn whoever(id: matcher::StringMatcher) -> Principal {
    let name = SubjectAltNameMatcher {
        san_type: SanType::Uri.into(),
        matcher: Some(id),
        ..SubjectAltNameMatcher::default()
    };
    let authenticated = mtls_authenticated::Config {
        san_matcher: Some(name),
        ..mtls_authenticated::Config::default()
    };
    identified(principal::Identifier::Custom(TypedExtensionConfig {
        name: "envoy.rbac.principals.mtls_authenticated".to_owned(),
        typed_config: Some(any(&authenticated)),
    }))
}

pub(super) const fn identified(identifier: principal::Identifier) -> Principal {
    Principal {
        identifier: Some(identifier),
    }
}

pub(super) fn all_of(mut ids: Vec<Principal>) -> Principal {
    if ids.len() == 1 {
        return ids.remove(0);
    }
    identified(principal::Identifier::AndIds(principal::Set { ids }))
}

/// Everybody whom that does not fit.
pub(super) fn anybody_but(principal: Principal) -> Principal {
    identified(principal::Identifier::NotId(Box::new(principal)))
}

pub(super) fn any_of(mut ids: Vec<Principal>) -> Principal {
    if ids.len() == 1 {
        return ids.remove(0);
    }
    identified(principal::Identifier::OrIds(principal::Set { ids }))
}

pub(super) const fn anybody() -> Principal {
    identified(principal::Identifier::Any(true))
}

const fn of_kind(rule: permission::Rule) -> Permission {
    Permission { rule: Some(rule) }
}

pub(super) const fn anything() -> Permission {
    of_kind(permission::Rule::Any(true))
}

pub(super) fn header(matcher: HeaderMatcher) -> Permission {
    of_kind(permission::Rule::Header(matcher))
}

pub(super) fn path(pattern: matcher::StringMatcher) -> Permission {
    of_kind(permission::Rule::UrlPath(matcher::PathMatcher {
        rule: Some(matcher::path_matcher::Rule::Path(pattern)),
    }))
}

pub(super) fn not(permission: Permission) -> Permission {
    of_kind(permission::Rule::NotRule(Box::new(permission)))
}

/// Any of them; `None` of none.
pub(super) fn or(mut rules: Vec<Permission>) -> Option<Permission> {
    match rules.len() {
        0 | 1 => rules.pop(),
        _ => Some(of_kind(permission::Rule::OrRules(permission::Set {
            rules,
        }))),
    }
}

/// All of them; `None` of none.
pub(super) fn and(mut rules: Vec<Permission>) -> Option<Permission> {
    match rules.len() {
        0 | 1 => rules.pop(),
        _ => Some(of_kind(permission::Rule::AndRules(permission::Set {
            rules,
        }))),
    }
}
