//! The split of a route: how its requests are shared between versions. A sub-resource of its own, so that a
//! canary can be turned without touching (or owning) the route.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::labels::{self, Labels};
use super::{Kind, Spec};
use crate::code::Code;
use crate::name::Name;
use crate::violation::{Pointer, Violations};

/// How the requests of a route are shared; replaces the route's backends while it exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SplitSpec)]
pub struct Split {
    /// Pairs for filters and selectors, at most 64.
    pub labels: Option<Labels>,
    /// Free text for people and programs, at most 16 KiB in all.
    pub annotations: Option<Annotations>,
    /// The shares: each version gets its weight divided by the sum of all weights.
    #[schema(min_items = 1, max_items = 32)]
    pub weights: Vec<Weight>,
}

/// The share of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SplitWeight)]
pub struct Weight {
    /// A version of the route's service.
    pub version: Name,
    /// Its share; 0 sends nothing.
    #[schema(minimum = 0, maximum = 10_000, example = 90)]
    pub weight: u32,
}

impl Spec for Split {
    const KIND: Kind = Kind::Split;

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        labels::validate(self.labels.as_ref(), &at.field("labels"), violations);
        annotations::validate(
            self.annotations.as_ref(),
            &at.field("annotations"),
            violations,
        );
        let weights = at.field("weights");
        let mut versions = BTreeSet::new();
        for (i, weight) in self.weights.iter().enumerate() {
            if !versions.insert(&weight.version) {
                violations.add(
                    &weights.index(i).field("version"),
                    Code::Duplicate,
                    format!("version {} is listed twice", weight.version),
                );
            }
        }
        if self.weights.iter().all(|w| w.weight == 0) {
            violations.add(
                &weights,
                Code::OutOfRange,
                "the weights add up to 0: nothing could be sent anywhere",
            );
        }
    }

    fn sample() -> serde_json::Value {
        serde_json::json!({"weights": [{"version": "v1", "weight": 90}, {"version": "v2", "weight": 10}]})
    }
}
