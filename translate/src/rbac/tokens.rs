//! Checked tokens of end users as principals: what the filter before this one left of them.

use envoy_types::pb::envoy::config::rbac::v3::{
    MetadataSource, Policy, Principal, SourcedMetadata, principal,
};
use heddle_model::kind::access_rule::{
    ClaimMatch, Effect, Otherwise, PathRule, UserToken, otherwise,
};
use heddle_model::settings::authentication::{Provider, ResolvedAuthentication};

use super::policy::at;
use super::term::{and, any_of, anybody, anybody_but, anything, header, identified, not, or};
use crate::envoy::matcher::metadata_matcher::{PathSegment, path_segment::Segment};
use crate::envoy::matcher::value_matcher::MatchPattern;
use crate::envoy::matcher::{
    DoubleMatcher, ListMatcher, MetadataMatcher, ValueMatcher, double_matcher, list_matcher,
};
use crate::envoy::route::HeaderMatcher;
use crate::envoy::route::header_matcher::HeaderMatchSpecifier;
use crate::envoy::{exact, regex};
use crate::naming;

/// Whoever has a token that says this.
fn whoever<'a>(path: impl Iterator<Item = &'a str>, value: MatchPattern) -> Principal {
    let key = |key: &str| PathSegment {
        segment: Some(Segment::Key(key.to_owned())),
    };
    identified(principal::Identifier::SourcedMetadata(SourcedMetadata {
        metadata_matcher: Some(MetadataMatcher {
            filter: naming::CLAIMS.to_owned(),
            path: path.map(key).collect(),
            value: Some(one(value)),
            ..MetadataMatcher::default()
        }),
        metadata_source: MetadataSource::Dynamic.into(),
    }))
}

const fn one(pattern: MatchPattern) -> ValueMatcher {
    ValueMatcher {
        match_pattern: Some(pattern),
    }
}

/// Whoever has a token of a provider. By its issuer, too: what an older filter knew under the same name does not count.
pub(super) fn has(provider: &Provider) -> Principal {
    let path = [provider.name.as_str(), "iss"];
    let issuer = MatchPattern::StringMatch(exact(&provider.issuer));
    whoever(path.into_iter(), issuer)
}

/// Whoever has a token in which a claim is one of the values, or a list with one of them; `None`: of none.
pub(super) fn says(token: &UserToken, claim: &ClaimMatch) -> Option<Principal> {
    if claim.claim.is_empty() || claim.values.is_empty() {
        return None;
    }
    let path = || {
        let claim = claim.claim.iter().map(String::as_str);
        std::iter::once(token.provider.as_str()).chain(claim)
    };
    let mut ids = Vec::new();
    for value in &claim.values {
        let also = match otherwise(value) {
            None => None,
            Some(Otherwise::Truth(truth)) => Some(MatchPattern::BoolMatch(truth)),
            Some(Otherwise::Number(number)) => Some(MatchPattern::DoubleMatch(DoubleMatcher {
                match_pattern: Some(double_matcher::MatchPattern::Exact(number)),
            })),
        };
        let text = MatchPattern::StringMatch(exact(value));
        for pattern in std::iter::once(text).chain(also) {
            let listed = MatchPattern::ListMatch(Box::new(ListMatcher {
                match_pattern: Some(list_matcher::MatchPattern::OneOf(Box::new(one(
                    pattern.clone()
                )))),
            }));
            ids.push(whoever(path(), pattern));
            ids.push(whoever(path(), listed));
        }
    }
    Some(any_of(ids))
}

/// What is refused whatever the rules say: calls without the token that they need, claims without a token, and claims that no header
/// can carry.
pub(super) fn refused(
    authentication: &ResolvedAuthentication<'_>,
) -> impl Iterator<Item = (&'static str, Policy)> {
    let holders: Vec<Principal> = authentication.providers.value.iter().map(has).collect();
    let without = || match holders.is_empty() {
        true => anybody(),
        false => anybody_but(any_of(holders.clone())),
    };
    let policy = |permission| Policy {
        permissions: vec![permission],
        principals: vec![without()],
        ..Policy::default()
    };
    let open = authentication.open_paths.value.iter();
    let open = open.filter_map(PathRule::paths);
    let open = or(open.flat_map(|paths| at(Effect::Allow, &paths)).collect());
    let closed = open.map_or_else(anything, not);
    let no_token = authentication.required.value.then(|| policy(closed));
    let is = |name: &str, how| {
        header(HeaderMatcher {
            name: name.to_owned(),
            header_match_specifier: Some(how),
            ..HeaderMatcher::default()
        })
    };
    let claimed = |name: &str| is(name, HeaderMatchSpecifier::PresentMatch(true));
    let forged = or(authentication.claim_headers().map(claimed).collect()).map(policy);
    // Envoy writes a claim as it is, and an application that speaks HTTP/1.1 would read a line break as the next header.
    let whole = HeaderMatchSpecifier::StringMatch(regex(r"[^\x00-\x1f\x7f]*"));
    let broken = |name: &str| and(vec![claimed(name), not(is(name, whole.clone()))]);
    let broken = or(authentication.claim_headers().filter_map(broken).collect());
    let unfit = broken.map(|permission| Policy {
        permissions: vec![permission],
        principals: vec![anybody()],
        ..Policy::default()
    });
    let all = [
        (naming::UNFIT_CLAIMS, unfit),
        (naming::NO_TOKEN, no_token),
        (naming::FORGED_CLAIMS, forged),
    ];
    all.into_iter()
        .filter_map(|(name, policy)| Some((name, policy?)))
}
