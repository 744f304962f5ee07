//! What the token of an end user says, as the rules of a service see it.

use serde_json::{Map, Value};

use super::Token;
use crate::kind::access_rule::{ClaimMatch, LISTS_OF_WORDS, Otherwise, UserToken, otherwise};
use crate::settings::authentication::ResolvedAuthentication;

/// Whether a call has the token that a rule asks for; `lost` says what becomes of what cannot be compared.
pub(super) fn fit(
    authentication: &ResolvedAuthentication<'_>,
    token: Option<Token<'_>>,
    wanted: &UserToken,
    lost: bool,
) -> bool {
    let known = authentication.provider(wanted.provider.as_str()).is_some();
    let token = token.filter(|token| known && token.provider == wanted.provider.as_str());
    match (wanted.claims.as_deref(), token) {
        (None, token) => token.is_some(),
        (Some(claims), _) if !claims.iter().all(is_whole) || claims.is_empty() => lost,
        // Who leaves the token out does not get around a rule that denies.
        (Some(_), None) => lost,
        (Some(claims), Some(token)) => claims.iter().all(|one| says(token.claims, one)),
    }
}

const fn is_whole(claim: &ClaimMatch) -> bool {
    !claim.claim.is_empty() && !claim.values.is_empty()
}

fn says(claims: &Map<String, Value>, wanted: &ClaimMatch) -> bool {
    let Some((first, further)) = wanted.claim.split_first() else {
        return false;
    };
    let value = further
        .iter()
        .fold(claims.get(first), |value, name| value?.get(name));
    let Some(value) = value else {
        return false;
    };
    let words = LISTS_OF_WORDS.contains(&first.as_str()) && further.is_empty();
    wanted.values.iter().any(|wanted| match value {
        Value::String(text) if words => text
            .split(' ')
            .any(|word| !word.is_empty() && word == wanted),
        Value::Array(list) => list.iter().any(|one| is(one, wanted)),
        one => is(one, wanted),
    })
}

/// Whether a claim, or one of a list, is what a rule names.
fn is(value: &Value, wanted: &str) -> bool {
    match (value, otherwise(wanted)) {
        (Value::String(text), _) => text == wanted,
        (Value::Bool(given), Some(Otherwise::Truth(truth))) => *given == truth,
        (Value::Number(given), Some(Otherwise::Number(number))) => given.as_f64() == Some(number),
        _ => false,
    }
}

/// The headers of a call once its token was checked: what a caller says in place of a claim is gone, and what the token says is
/// there. `None` when a claim would break out of its header: no proxy lets that through.
pub(super) fn headers(
    authentication: &ResolvedAuthentication<'_>,
    sent: &[(String, String)],
    token: Option<Token<'_>>,
) -> Option<Vec<(String, String)>> {
    let claimed = |name: &str| authentication.claim_headers().any(|header| header == name);
    let mut headers: Vec<(String, String)> = sent
        .iter()
        .filter(|(name, _)| !claimed(name))
        .cloned()
        .collect();
    let Some(token) = token else {
        return Some(headers);
    };
    let provider = authentication.provider(token.provider);
    let filled = provider.and_then(|provider| provider.claims_to_headers.as_deref());
    for one in filled.into_iter().flatten() {
        let mut names = one.claim.iter();
        let first = names.next().and_then(|name| token.claims.get(name));
        let value = names.fold(first, |value, name| value?.get(name));
        let text = match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(truth)) => truth.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => continue,
        };
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return None;
        }
        headers.push((one.header.clone(), text));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::{Authentication, Levels, Settings};

    fn fits(claims: Option<Value>, wanted: Value, lost: bool) -> bool {
        let settings: Settings =
            serde_json::from_value(json!({"authentication": Authentication::sample()})).unwrap();
        let levels = Levels {
            mesh: Some(&settings),
            ..Levels::default()
        };
        let authentication = Authentication::resolve(&levels);
        let claims = claims.map(|claims| claims.as_object().unwrap().clone());
        let token = claims.as_ref().map(|claims| Token {
            provider: "accounts",
            claims,
        });
        let wanted: UserToken = serde_json::from_value(wanted).unwrap();
        fit(&authentication, token, &wanted, lost)
    }

    #[test]
    fn sec_z04_a_missing_token_never_allows_and_is_no_way_around_a_denial() {
        let any = json!({"provider": "accounts"});
        let admin =
            json!({"provider": "accounts", "claims": [{"claim": ["role"], "values": ["admin"]}]});
        for (wanted, allow, deny) in [(any, false, false), (admin, false, true)] {
            assert_eq!(fits(None, wanted.clone(), false), allow);
            assert_eq!(fits(None, wanted, true), deny);
        }
        // Nor is a provider that the service does not have any more.
        let gone = json!({"provider": "gone", "claims": [{"claim": ["role"], "values": ["x"]}]});
        assert!(!fits(Some(json!({"role": "x"})), gone.clone(), false));
        assert!(fits(Some(json!({"role": "y"})), gone, true));
    }

    #[test]
    fn claims_are_text_numbers_truth_values_and_lists_of_them() {
        let has = |claims: Value, path: &[&str], value: &str| {
            let wanted = json!({"provider": "accounts", "claims": [{"claim": path, "values": [value, "-"]}]});
            fits(Some(claims.clone()), wanted.clone(), false) && fits(Some(claims), wanted, true)
        };
        assert!(has(json!({"a": "x"}), &["a"], "x"));
        assert!(has(json!({"a": ["y", "x"]}), &["a"], "x"));
        assert!(has(json!({"a": true}), &["a"], "true"));
        assert!(has(json!({"a": [3, false]}), &["a"], "3"));
        assert!(has(json!({"a": {"b": "x"}}), &["a", "b"], "x"));
        assert!(has(json!({"scope": "read write"}), &["scope"], "write"));
        for (claims, value) in [
            (json!({"a": "X"}), "x"),
            (json!({"a": "read x"}), "x"),
            (json!({"a": {"x": "x"}}), "x"),
            (json!({"a": 3.5}), "3"),
            (json!({"a": 3}), "03"),
            (json!({}), "x"),
        ] {
            assert!(!has(claims.clone(), &["a"], value), "{claims} {value}");
        }
    }
}
