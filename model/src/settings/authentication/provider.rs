//! Who issues tokens, and what is made of them.

use std::time::Duration as Time;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::header::{may_carry_claim, may_carry_token};
use super::jwks::Jwks;
use crate::code::Code;
use crate::duration::HumanDuration;
use crate::name::Name;
use crate::settings::within;
use crate::violation::{Pointer, Violations};

/// An issuer of tokens. A token counts when its signature, issuer, audience and time are right; one without an end (`exp`) never
/// does, nor one that is not signed or is signed with a shared secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenProvider)]
pub struct Provider {
    /// What access rules call it.
    pub name: Name,
    /// The `iss` of its tokens, letter by letter.
    #[schema(
        pattern = "^[!-~]+$",
        max_length = 512,
        example = "https://accounts.example.com/"
    )]
    pub issuer: String,
    /// A token counts when its `aud` has any of these.
    #[schema(min_items = 1, max_items = 16)]
    pub audiences: Vec<Audience>,
    /// The keys that its tokens are signed with.
    pub jwks: Jwks,
    /// Where a request carries the token; absent: `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenLocation>,
    /// Claims that the application gets as headers. What a caller sends under these names is removed from every request.
    #[schema(min_items = 1, max_items = 16)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims_to_headers: Option<Vec<ClaimToHeader>>,
    /// Whether the application gets the token, too. True when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<bool>,
    /// How far clocks may be apart: 1 s to 5 min, 60 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew: Option<HumanDuration>,
}

/// Whom a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(
    as = TokenAudience,
    value_type = String,
    pattern = "^[!-~]+$",
    max_length = 255,
    example = "payments"
)]
pub struct Audience(pub String);

/// Where a request carries a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenLocation {
    /// The header's name, in lower case.
    #[schema(
        pattern = "^[a-z0-9!#$%&'*+.^`|~-]+$",
        max_length = 128,
        example = "x-id-token"
    )]
    pub header: String,
    /// What stands before the token, with the space at its end; absent: nothing.
    #[schema(pattern = "^[A-Za-z0-9=:_-]+ ?$", max_length = 64, example = "Bearer ")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A claim that becomes a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The claim: names from the outermost inwards, none with a dot. Text, numbers and truth values arrive as they are.
    #[schema(min_items = 1, max_items = 4, example = json!(["sub"]))]
    pub claim: Vec<String>,
    /// The header's name, in lower case.
    #[schema(
        pattern = "^[a-z0-9!#$%&'*+.^`|~-]+$",
        max_length = 128,
        example = "x-user"
    )]
    pub header: String,
}

const SKEW: (Time, Time) = (Time::from_secs(1), Time::from_secs(300));
/// How far clocks may be apart when nobody says anything.
const DEFAULT_SKEW: Time = Time::from_secs(60);
/// The longest name of a claim, in bytes.
const LONGEST_CLAIM: usize = 128;

impl Provider {
    /// The header that its tokens are read from, in lower case.
    #[must_use]
    pub fn header(&self) -> &str {
        let token = self.token.as_ref();
        token.map_or("authorization", |token| token.header.as_str())
    }

    /// What stands before its tokens in that header.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match &self.token {
            None => "Bearer ",
            Some(token) => token.prefix.as_deref().unwrap_or_default(),
        }
    }

    /// How far clocks may be apart.
    #[must_use]
    pub fn clock_skew(&self) -> Time {
        let skew = self.clock_skew.as_ref().map(HumanDuration::get);
        skew.unwrap_or(DEFAULT_SKEW)
    }

    pub(super) fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        self.jwks.validate(&at.field("jwks"), violations);
        let skew = self.clock_skew.as_ref();
        within(skew, SKEW, &at.field("clock_skew"), violations);
        let audiences = at.field("audiences");
        for (i, audience) in self.audiences.iter().enumerate() {
            if self.audiences.iter().take(i).any(|other| other == audience) {
                violations.add(&audiences.index(i), Code::Duplicate, "this is listed twice");
            }
        }
        if let Some(token) = &self.token
            && !may_carry_token(&token.header)
        {
            let detail = "this header has another meaning: no token is read from it";
            violations.add(&at.field("token").field("header"), Code::BadFormat, detail);
        }
        let claims = at.field("claims_to_headers");
        let filled = self.claims_to_headers.as_deref().unwrap_or_default();
        for (i, one) in filled.iter().enumerate() {
            let at = claims.index(i);
            if !may_carry_claim(&one.header) {
                let detail = "this header has another meaning: no claim is written into it";
                violations.add(&at.field("header"), Code::BadFormat, detail);
            }
            if filled
                .iter()
                .take(i)
                .any(|other| other.header == one.header)
            {
                let detail = "another claim is written into this header";
                violations.add(&at.field("header"), Code::Duplicate, detail);
            }
            let at = at.field("claim");
            for (j, name) in one.claim.iter().enumerate() {
                if !is_claim(name) || name.contains('.') {
                    let detail = format!(
                        "the name of a claim has 1 to {LONGEST_CLAIM} visible characters, and no dot when it becomes a header"
                    );
                    violations.add(&at.index(j), Code::BadFormat, detail);
                }
            }
        }
    }

    /// A complete, valid value.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({
            "name": "accounts",
            "issuer": "https://accounts.example.com/",
            "audiences": ["payments"],
            "jwks": {"remote": {
                "uri": "https://accounts.example.com/.well-known/jwks.json",
                "timeout": "2s",
                "cache": "10m",
                "ca": {"file": "/etc/ssl/certs/ca-certificates.crt"},
            }},
            "token": {"header": "authorization", "prefix": "Bearer "},
            "claims_to_headers": [{"claim": ["sub"], "header": "x-user"}],
            "forward": false,
            "clock_skew": "30s",
        })
    }
}

/// Whether a text can be the name of a claim.
pub(crate) fn is_claim(name: &str) -> bool {
    (1..=LONGEST_CLAIM).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn broken(change: &[(&str, Value)]) -> Vec<(String, &'static str)> {
        let mut value = Provider::sample();
        for (field, to) in change {
            value[*field] = to.clone();
        }
        let value: Provider = serde_json::from_value(value).unwrap();
        let mut violations = Violations::new();
        value.validate(&Pointer::Root, &mut violations);
        let all = violations.into_sorted().into_iter();
        all.map(|one| (one.pointer, one.code.as_str())).collect()
    }

    #[test]
    fn sec_z02_no_claim_goes_where_a_header_means_something_else() {
        for header in [
            "host",
            "x-envoy-a",
            "x-forwarded-for",
            "authorization",
            "te",
        ] {
            let claims = json!([{"claim": ["sub"], "header": header}]);
            let expected = [(String::from("/claims_to_headers/0/header"), "HED-1006")];
            assert_eq!(
                broken(&[("claims_to_headers", claims)]),
                expected,
                "{header}"
            );
        }
    }

    #[test]
    fn bounds() {
        let claims = json!([
            {"claim": ["a", "b"], "header": "x-a"},
            {"claim": ["a.b"], "header": "x-a"},
            {"claim": [""], "header": "x-b"},
        ]);
        let all = [
            ("claims_to_headers", claims),
            ("clock_skew", json!("301s")),
            ("audiences", json!(["a", "b", "a"])),
            ("token", json!({"header": "content-type"})),
        ];
        let expected = [
            ("/audiences/2", "HED-1009"),
            ("/claims_to_headers/1/claim/0", "HED-1006"),
            ("/claims_to_headers/1/header", "HED-1009"),
            ("/claims_to_headers/2/claim/0", "HED-1006"),
            ("/clock_skew", "HED-1005"),
            ("/token/header", "HED-1006"),
        ];
        assert_eq!(
            broken(&all),
            expected.map(|(at, code)| (at.to_owned(), code))
        );
        for ends in ["1s", "5m"] {
            assert_eq!(broken(&[("clock_skew", json!(ends))]), []);
        }
        assert_eq!(broken(&[("clock_skew", json!("999ms"))]).len(), 1);
    }
}
