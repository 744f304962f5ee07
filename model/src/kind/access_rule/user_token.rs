//! What the token of an end user must say, as an access rule asks for it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;
use crate::name::Name;
use crate::settings::authentication::is_claim;
use crate::violation::{Pointer, Violations};

/// A checked token of an end user. A call without one is never let in by it. A rule that denies by claims takes in calls without a
/// token of the provider, too: nobody gets around it by leaving the token out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessToken)]
pub struct UserToken {
    /// Who issued it: one of the `providers` in the service's `authentication`.
    pub provider: Name,
    /// All of these claims; absent: whatever it says.
    #[schema(min_items = 1, max_items = 16)]
    pub claims: Option<Vec<ClaimMatch>>,
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessClaim)]
pub struct ClaimMatch {
    /// The claim: names from the outermost inwards.
    #[schema(min_items = 1, max_items = 4, example = json!(["realm_access", "roles"]))]
    pub claim: Vec<String>,
    /// It is any of these, or a list that has any of them. Text is compared letter by letter; `true`, `false` and whole numbers
    /// also fit claims that are truth values and numbers. The words in `scope` and `scp` are a list.
    #[schema(min_items = 1, max_items = 32, example = json!(["admin"]))]
    pub values: Vec<String>,
}

/// Claims whose words, parted by spaces, are a list (RFC 8693, RFC 9068).
pub const LISTS_OF_WORDS: [&str; 2] = ["scope", "scp"];
/// The longest value that a rule compares with, in bytes.
const LONGEST: usize = 256;
/// The largest whole number that every program reads alike.
const LARGEST: i64 = 9_007_199_254_740_991;

/// A value as a claim may also have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Otherwise {
    /// A truth value.
    Truth(bool),
    /// A whole number.
    Number(f64),
}

/// What else a text is, if it is written as JSON would.
#[must_use]
pub fn otherwise(text: &str) -> Option<Otherwise> {
    match text {
        "true" => Some(Otherwise::Truth(true)),
        "false" => Some(Otherwise::Truth(false)),
        _ => {
            let number: i64 = text.parse().ok()?;
            let plain = number.to_string() == text && number.abs() <= LARGEST;
            // Exact: see the bound.
            plain.then_some(Otherwise::Number(number as f64))
        }
    }
}

impl UserToken {
    pub(super) fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        let claims = at.field("claims");
        for (i, one) in self.claims.iter().flatten().enumerate() {
            let at = claims.index(i);
            let at_claim = at.field("claim");
            for (j, name) in one.claim.iter().enumerate() {
                if !is_claim(name) {
                    let detail = "the name of a claim has 1 to 128 visible characters";
                    violations.add(&at_claim.index(j), Code::BadFormat, detail);
                }
            }
            let at_values = at.field("values");
            for (j, value) in one.values.iter().enumerate() {
                if value.len() > LONGEST {
                    let detail = format!("at most {LONGEST} bytes allowed");
                    violations.add(&at_values.index(j), Code::OutOfRange, detail);
                }
                if one.values.iter().take(j).any(|other| other == value) {
                    violations.add(&at_values.index(j), Code::Duplicate, "this is listed twice");
                }
            }
        }
    }
}
