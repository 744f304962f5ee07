//! How requests are compared: the conditions of routes and access rules as Envoy's matchers.

use heddle_model::kind::access_rule::Paths;
use heddle_model::kind::route::{HeaderMatch, Match, Method, PathMatch};

use crate::envoy::matcher::string_matcher::MatchPattern;
use crate::envoy::route::header_matcher::HeaderMatchSpecifier;
use crate::envoy::route::route_match::PathSpecifier;
use crate::envoy::route::{HeaderMatcher, RouteMatch};
use crate::envoy::{exact, prefix, regex};
use crate::rbac::pattern;

/// A path prefix without the slashes at its end; empty when it takes every path.
pub(crate) fn trimmed(prefix: &str) -> &str {
    prefix.trim_end_matches('/')
}

fn path(path: Option<&PathMatch>) -> PathSpecifier {
    match path {
        Some(PathMatch {
            exact: Some(exact), ..
        }) => PathSpecifier::Path(exact.clone()),
        Some(PathMatch {
            prefix: Some(prefix),
            ..
        }) if !trimmed(prefix).is_empty() => {
            PathSpecifier::PathSeparatedPrefix(trimmed(prefix).to_owned())
        }
        _ => PathSpecifier::Prefix("/".to_owned()),
    }
}

fn header(one: &HeaderMatch) -> HeaderMatcher {
    let (specifier, invert_match) = if let Some(value) = &one.exact {
        (HeaderMatchSpecifier::StringMatch(exact(value)), false)
    } else if let Some(value) = &one.prefix {
        (HeaderMatchSpecifier::StringMatch(prefix(value)), false)
    } else {
        let absent = one.present == Some(false);
        (HeaderMatchSpecifier::PresentMatch(true), absent)
    };
    HeaderMatcher {
        name: one.name.clone(),
        invert_match,
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}

/// Any of these methods.
pub(crate) fn methods(methods: &[Method]) -> HeaderMatcher {
    let pattern = match methods {
        [one] => exact(one.as_str()),
        several => {
            let words: Vec<&str> = several.iter().map(|method| method.as_str()).collect();
            regex(words.join("|"))
        }
    };
    HeaderMatcher {
        name: ":method".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(pattern)),
        ..HeaderMatcher::default()
    }
}

/// One entry of a route's `match`.
pub(crate) fn request(one: &Match) -> RouteMatch {
    let mut headers: Vec<HeaderMatcher> = Vec::new();
    headers.extend(one.methods.as_deref().map(methods));
    headers.extend(one.headers.iter().flatten().map(header));
    RouteMatch {
        path_specifier: Some(path(one.path.as_ref())),
        headers,
        ..RouteMatch::default()
    }
}

/// Exactly these paths, as an access rule that allows compares them.
pub(crate) fn paths(paths: &Paths<'_>) -> Vec<RouteMatch> {
    if pattern::is_every(paths) {
        return vec![everything()];
    }
    let specifier = |pattern| match pattern {
        MatchPattern::Exact(path) => Some(PathSpecifier::Path(path)),
        MatchPattern::Prefix(path) => Some(PathSpecifier::Prefix(path)),
        MatchPattern::SafeRegex(pattern) => Some(PathSpecifier::SafeRegex(pattern)),
        _ => None,
    };
    let patterns = pattern::narrow(paths).into_iter();
    let specifiers = patterns.filter_map(|pattern| specifier(pattern.match_pattern?));
    let at = |path_specifier| RouteMatch {
        path_specifier: Some(path_specifier),
        ..RouteMatch::default()
    };
    specifiers.map(at).collect()
}

/// Every request.
pub(crate) fn everything() -> RouteMatch {
    request(&Match::default())
}
