//! A profile: settings under a name, which services refer to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::labels::{self, Labels};
use super::{Kind, Spec};
use crate::guardrails::Guardrails;
use crate::settings::Settings;
use crate::violation::{Pointer, Violations};

/// Settings under a name. A service names at most one profile, so whoever reads the service sees where its values come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProfileSpec)]
pub struct Profile {
    /// A name for people; changes freely.
    #[schema(max_length = 120, example = "Backends")]
    pub display_name: Option<String>,
    /// Pairs for filters and selectors, at most 64.
    pub labels: Option<Labels>,
    /// Free text for people and programs, at most 16 KiB in all.
    pub annotations: Option<Annotations>,
    /// Settings of every service that names this profile: above the mesh's `defaults`, below the service's own.
    pub settings: Settings,
}

impl Spec for Profile {
    const KIND: Kind = Kind::Profile;

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        labels::validate(self.labels.as_ref(), &at.field("labels"), violations);
        annotations::validate(
            self.annotations.as_ref(),
            &at.field("annotations"),
            violations,
        );
        self.settings.validate(&at.field("settings"), violations);
    }

    fn guard(&self, guardrails: &Guardrails, at: &Pointer<'_>, violations: &mut Violations) {
        guardrails.check(&self.settings, &at.field("settings"), violations);
    }

    fn sample() -> serde_json::Value {
        serde_json::json!({
            "display_name": "Backends",
            "labels": {"team": "platform"},
            "settings": Settings::sample(),
        })
    }
}
