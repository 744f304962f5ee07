//! `authentication`: which tokens (JWT) the callers of a service's users bring, and whether a call may do without one.
//!
//! It acts where the service is called, by its own proxies; a caller's routes know nothing of it. Each field is resolved by
//! itself, and a list replaces the whole list.

mod header;
mod jwks;
mod provider;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use jwks::{CaBundle, Jwks, RemoteJwks, Uri};
pub(crate) use provider::is_claim;
pub use provider::{Audience, ClaimToHeader, Provider, TokenLocation};

use super::{Effective, Levels, Resolved};
use crate::code::Code;
use crate::kind::access_rule::PathRule;
use crate::violation::{Pointer, Violations};

/// Which tokens of end users (JWT) the proxies of a service check, and whether a call may do without one. What a checked token
/// says can be a condition of access rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Authentication {
    /// Whose tokens count. A request with a token of somebody else, or with one that does not hold, is answered with 401; with
    /// 403 when the token is for another audience. An empty list: nobody's, and no token is looked at.
    #[schema(max_items = 8)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<Provider>>,
    /// Whether a call without a token is answered with 401. False when absent: it goes on to the access rules, and none that asks
    /// for a token lets it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Where no token is needed and none is looked at, such as a login page: a rule that asks for a token lets nobody in there.
    #[schema(max_items = 64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_paths: Option<Vec<PathRule>>,
}

/// The values in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedAuthentication<'a> {
    /// See [`Authentication::providers`].
    pub providers: Resolved<&'a [Provider]>,
    /// See [`Authentication::required`].
    pub required: Resolved<bool>,
    /// See [`Authentication::open_paths`].
    pub open_paths: Resolved<&'a [PathRule]>,
}

impl<'a> ResolvedAuthentication<'a> {
    /// Whether anything is asked of callers at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.required.value || !self.providers.value.is_empty()
    }

    /// The provider of this name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&'a Provider> {
        let mut all = self.providers.value.iter();
        all.find(|provider| provider.name.as_str() == name)
    }

    /// The headers that only a checked token may fill, in lower case.
    pub fn claim_headers(&self) -> impl Iterator<Item = &'a str> {
        let providers = self.providers.value.iter();
        let filled = providers.flat_map(|provider| provider.claims_to_headers.iter().flatten());
        filled.map(|one| one.header.as_str())
    }
}

impl Authentication {
    /// The values in force.
    #[must_use]
    pub fn resolve<'a>(levels: &Levels<'a>) -> ResolvedAuthentication<'a> {
        ResolvedAuthentication {
            providers: levels.resolve(|s| s.authentication.as_ref()?.providers.as_deref(), &[]),
            required: levels.resolve(|s| s.authentication.as_ref()?.required, false),
            open_paths: levels.resolve(|s| s.authentication.as_ref()?.open_paths.as_deref(), &[]),
        }
    }

    /// Its lines in the table of resolutions.
    pub(super) fn effective(levels: &Levels<'_>) -> [Effective; 3] {
        let resolved = Self::resolve(levels);
        [
            Effective::of("authentication.providers", &resolved.providers),
            Effective::of("authentication.required", &resolved.required),
            Effective::of("authentication.open_paths", &resolved.open_paths),
        ]
    }

    /// Adds the rules that this breaks.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        let at_providers = at.field("providers");
        let providers = self.providers.as_deref().unwrap_or_default();
        for (i, provider) in providers.iter().enumerate() {
            let at = at_providers.index(i);
            provider.validate(&at, violations);
            let before = providers.get(..i).unwrap_or_default();
            if before.iter().any(|other| other.name == provider.name) {
                let detail = format!("{} is listed twice", provider.name);
                violations.add(&at.field("name"), Code::Duplicate, detail);
            }
            // Envoy finds the provider of a token by its issuer.
            if before.iter().any(|other| other.issuer == provider.issuer) {
                let detail = "another provider has this issuer";
                violations.add(&at.field("issuer"), Code::Duplicate, detail);
            }
        }
        let headers = providers.iter().map(Provider::header);
        let headers: Vec<&str> = headers.collect();
        for (i, provider) in providers.iter().enumerate() {
            let at = at_providers.index(i);
            let at = at.field("claims_to_headers");
            for (j, one) in provider.claims_to_headers.iter().flatten().enumerate() {
                if headers.contains(&one.header.as_str()) {
                    let detail = "tokens are read from this header";
                    violations.add(&at.index(j).field("header"), Code::Duplicate, detail);
                }
            }
        }
        let open_paths = at.field("open_paths");
        for (i, path) in self.open_paths.iter().flatten().enumerate() {
            path.validate(&open_paths.index(i), violations);
        }
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({
            "providers": [Provider::sample()],
            "required": true,
            "open_paths": [{"exact": "/login"}],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn broken(value: Value) -> Vec<(String, &'static str)> {
        let value: Authentication = serde_json::from_value(value).unwrap();
        let mut violations = Violations::new();
        value.validate(&Pointer::Root, &mut violations);
        let all = violations.into_sorted().into_iter();
        all.map(|one| (one.pointer, one.code.as_str())).collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let mut twice = Provider::sample();
        twice["token"]["header"] = json!("x-user");
        let value = json!({
            "providers": [Provider::sample(), twice],
            "open_paths": [{}, {"exact": "/a/../b"}, {"prefix": "/"}],
        });
        let expected = [
            ("/open_paths/0", "HED-1008"),
            ("/open_paths/1/exact", "HED-1006"),
            ("/providers/0/claims_to_headers/0/header", "HED-1009"),
            ("/providers/1/claims_to_headers/0/header", "HED-1009"),
            ("/providers/1/issuer", "HED-1009"),
            ("/providers/1/name", "HED-1009"),
        ];
        assert_eq!(
            broken(value),
            expected.map(|(at, code)| (at.to_owned(), code))
        );
        assert_eq!(broken(Authentication::sample()), []);
        assert_eq!(broken(json!({"providers": [], "open_paths": []})), []);
    }

    #[test]
    fn each_field_is_resolved_by_itself() {
        let settings = |value: Value| -> super::super::Settings {
            serde_json::from_value(json!({"authentication": value})).unwrap()
        };
        let mesh = settings(Authentication::sample());
        let profile = settings(json!({"open_paths": []}));
        let service = settings(json!({"required": false}));
        let levels = Levels {
            mesh: Some(&mesh),
            profile: Some(&profile),
            service: Some(&service),
            ..Levels::default()
        };
        let resolved = Authentication::resolve(&levels);
        assert!(resolved.is_on() && !resolved.required.value);
        assert!(resolved.open_paths.value.is_empty());
        assert_eq!(resolved.claim_headers().collect::<Vec<_>>(), ["x-user"]);
        assert!(!Authentication::resolve(&Levels::default()).is_on());
    }
}
