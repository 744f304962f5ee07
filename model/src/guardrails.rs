//! Guardrails: what nobody in a mesh may write, whatever else they may do.
//!
//! They are checked when something is written and are never merged into it: what is in force is what stands there.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;
use crate::duration::HumanDuration;
use crate::mtls::MtlsMode;
use crate::settings::retries::DEFAULT_ATTEMPTS;
use crate::settings::{Settings, timeout};
use crate::violation::{Pointer, Violations};

/// Bounds of what may be written in a mesh.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Guardrails {
    /// No `timeout`, and no `per_try_timeout` of retries, is longer. Needs a `timeout` in the mesh's `defaults`: what nobody
    /// sets is not bounded for every protocol.
    pub max_timeout: Option<HumanDuration>,
    /// No `attempts` of retries is more. Below 2 it needs `attempts` in the mesh's `defaults`: 2 is what holds when nobody says
    /// anything.
    #[schema(minimum = 0, maximum = 10, example = 3)]
    pub max_retries: Option<u32>,
    /// What may not be written at all.
    #[schema(min_items = 1, max_items = 4)]
    pub forbid: Option<Vec<Forbidden>>,
}

/// What a guardrail can forbid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ForbiddenWrite)]
pub enum Forbidden {
    /// To let everybody in: an access rule that allows and names no caller (no `from`, networks alone, or a whole trust domain), or the
    /// mesh's `access_default: allow`.
    WildcardAllow,
    /// To say in a profile or a service who may call without the token of an end user: `required: false`, `open_paths` or other
    /// `providers` in its `authentication`. Needs `required: true` in the mesh's `defaults`.
    OptionalToken,
    /// To be called in plain text: `mtls: off` of the mesh, a service or a port.
    MtlsOff,
    /// To take plain text beside mutual TLS: `mtls: permissive` of the mesh, a service or a port.
    MtlsPermissive,
}

impl Guardrails {
    /// Adds the rules that the guardrails themselves break.
    pub fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        if let Some(most) = &self.max_timeout {
            timeout::validate(most, &at.field("max_timeout"), violations);
        }
    }

    /// Whether something is forbidden.
    #[must_use]
    pub fn forbids(&self, what: Forbidden) -> bool {
        self.forbid.iter().flatten().any(|one| *one == what)
    }

    /// Adds what the settings of a profile or a service, or the exception of a caller, exceed.
    pub fn check(&self, settings: &Settings, at: &Pointer<'_>, violations: &mut Violations) {
        self.check_bounds(settings, at, violations);
        let Some(authentication) = &settings.authentication else {
            return;
        };
        if !self.forbids(Forbidden::OptionalToken) {
            return;
        }
        let at = at.field("authentication");
        let loosened = [
            ("providers", authentication.providers.is_some()),
            ("required", authentication.required == Some(false)),
            ("open_paths", authentication.open_paths.is_some()),
        ];
        for (field, _) in loosened.into_iter().filter(|(_, is)| *is) {
            let detail = "the mesh's guardrails forbid `optional_token`: its `defaults` say who needs a token";
            violations.add(&at.field(field), Code::Guardrail, detail);
        }
    }

    /// Adds that a mode of mutual TLS is forbidden.
    pub(crate) fn check_mtls(
        &self,
        mode: Option<MtlsMode>,
        at: &Pointer<'_>,
        violations: &mut Violations,
    ) {
        let (what, name) = match mode {
            None | Some(MtlsMode::Strict) => return,
            Some(MtlsMode::Permissive) => (Forbidden::MtlsPermissive, "mtls_permissive"),
            Some(MtlsMode::Off) => (Forbidden::MtlsOff, "mtls_off"),
        };
        if self.forbids(what) {
            let detail =
                format!("the mesh's guardrails forbid `{name}`: to take calls in plain text");
            violations.add(at, Code::Guardrail, detail);
        }
    }

    fn check_bounds(&self, settings: &Settings, at: &Pointer<'_>, violations: &mut Violations) {
        let retries = settings.retries.as_ref();
        let at_retries = at.field("retries");
        if let Some(most) = &self.max_timeout {
            let per_try = retries.and_then(|retries| retries.per_try_timeout.as_ref());
            let written = [
                (settings.timeout.as_ref(), at.field("timeout")),
                (per_try, at_retries.field("per_try_timeout")),
            ];
            for (value, at) in written {
                if let Some(value) = value.filter(|value| value.get() > most.get()) {
                    let detail =
                        format!("{value} exceeds the mesh's guardrail `max_timeout`: {most}");
                    violations.add(&at, Code::Guardrail, detail);
                }
            }
        }
        let attempts = retries.and_then(|retries| retries.attempts);
        if let (Some(most), Some(attempts)) = (self.max_retries, attempts)
            && attempts > most
        {
            let detail = format!("{attempts} exceeds the mesh's guardrail `max_retries`: {most}");
            violations.add(&at_retries.field("attempts"), Code::Guardrail, detail);
        }
    }

    /// Adds what the defaults of the mesh must say so that nothing is left to what is built in and exceeds a bound.
    pub(crate) fn check_defaults(
        &self,
        defaults: Option<&Settings>,
        at: &Pointer<'_>,
        violations: &mut Violations,
    ) {
        if let Some(defaults) = defaults {
            self.check_bounds(defaults, at, violations);
        }
        let required = defaults.and_then(|d| d.authentication.as_ref()?.required);
        if self.forbids(Forbidden::OptionalToken) && required != Some(true) {
            let detail = "the mesh's guardrail `optional_token` needs a default: `true`";
            let at = at.field("authentication");
            violations.add(&at.field("required"), Code::Guardrail, detail);
        }
        if self.max_timeout.is_some() && defaults.is_none_or(|d| d.timeout.is_none()) {
            let detail = "the mesh's guardrail `max_timeout` needs a default: a call without a timeout may take for ever";
            violations.add(&at.field("timeout"), Code::Guardrail, detail);
        }
        let attempts = defaults.and_then(|d| d.retries.as_ref()?.attempts);
        if self.max_retries.is_some_and(|most| most < DEFAULT_ATTEMPTS) && attempts.is_none() {
            let detail = format!(
                "the mesh's guardrail `max_retries` needs a default: {DEFAULT_ATTEMPTS} attempts are made when nobody says anything"
            );
            violations.add(
                &at.field("retries").field("attempts"),
                Code::Guardrail,
                detail,
            );
        }
    }

    /// A complete, valid value, that [`Settings::sample`] keeps.
    #[must_use]
    pub fn sample() -> serde_json::Value {
        serde_json::json!({"max_timeout": "60s", "max_retries": 3, "forbid": ["wildcard_allow"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(guardrails: &str, settings: &str) -> Vec<String> {
        let guardrails: Guardrails = serde_json::from_str(guardrails).unwrap();
        let mut violations = Violations::new();
        let settings: Settings = serde_json::from_str(settings).unwrap();
        guardrails.check(&settings, &Pointer::Root, &mut violations);
        let sorted = violations.into_sorted().into_iter();
        sorted.map(|violation| violation.pointer).collect()
    }

    #[test]
    fn a_bound_itself_is_within() {
        let guardrails = r#"{"max_timeout": "60s", "max_retries": 3}"#;
        let within =
            r#"{"timeout": "1m", "retries": {"attempts": 3, "per_try_timeout": "60000ms"}}"#;
        assert!(broken(guardrails, within).is_empty());
        assert!(broken(guardrails, "{}").is_empty());
        let beyond =
            r#"{"timeout": "60001ms", "retries": {"attempts": 4, "per_try_timeout": "61s"}}"#;
        assert_eq!(
            broken(guardrails, beyond),
            ["/retries/attempts", "/retries/per_try_timeout", "/timeout"]
        );
    }

    #[test]
    fn sec_z03_no_service_does_without_the_token_that_its_mesh_wants() {
        let guardrails = r#"{"forbid": ["optional_token"]}"#;
        let loose = r#"{"authentication": {"providers": [], "required": false, "open_paths": []}}"#;
        let fields = ["open_paths", "providers", "required"];
        let expected = fields.map(|field| format!("/authentication/{field}"));
        assert_eq!(broken(guardrails, loose), expected);
        assert!(broken("{}", loose).is_empty());
        let strict = r#"{"authentication": {"required": true}}"#;
        assert!(broken(guardrails, strict).is_empty());
        let defaults = |text: &str| {
            let guardrails: Guardrails = serde_json::from_str(guardrails).unwrap();
            let defaults: Settings = serde_json::from_str(text).unwrap();
            let mut violations = Violations::new();
            guardrails.check_defaults(Some(&defaults), &Pointer::Root, &mut violations);
            violations.into_sorted().len()
        };
        assert_eq!(defaults("{}"), 1);
        assert_eq!(defaults(loose), 1);
        // Who has no token may still come where the mesh itself says so.
        let open = r#"{"authentication": {"required": true, "open_paths": [{"exact": "/login"}]}}"#;
        assert_eq!(defaults(open), 0);
    }

    #[test]
    fn sec_z03_no_service_takes_plain_text_where_its_mesh_forbids_it() {
        use crate::kind::{Mesh, Service, Spec as _};
        let broken = |forbid: &str| {
            let service = r#"{"mtls": "permissive", "ports": [
                {"name": "a", "port": 1, "protocol": "http", "mtls": "off"},
                {"name": "b", "port": 2, "protocol": "http", "mtls": "strict"}]}"#;
            let service: Service = serde_json::from_str(service).unwrap();
            let text = format!(r#"{{"forbid": [{forbid}]}}"#);
            let guardrails: Guardrails = serde_json::from_str(&text).unwrap();
            let mut violations = Violations::new();
            service.guard(&guardrails, &Pointer::Root, &mut violations);
            let mesh = format!(r#"{{"mtls": "off", "guardrails": {text}}}"#);
            let mesh: Mesh = serde_json::from_str(&mesh).unwrap();
            let mut of_mesh = Violations::new();
            mesh.validate(&Pointer::Root, &mut of_mesh);
            let all = violations
                .into_sorted()
                .into_iter()
                .chain(of_mesh.into_sorted());
            let all: Vec<String> = all
                .map(|one| format!("{} {}", one.code.as_str(), one.pointer))
                .collect();
            all.join(", ")
        };
        let (off, permissive) = ("HED-1020 /ports/0/mtls, HED-1020 /mtls", "HED-1020 /mtls");
        assert_eq!(broken(r#""mtls_off""#), off);
        assert_eq!(broken(r#""mtls_permissive""#), permissive);
        assert_eq!(broken(r#""wildcard_allow""#), "");
    }

    #[test]
    fn nothing_is_left_to_what_is_built_in() {
        let needed = |guardrails: &str, defaults: Option<&str>| {
            let guardrails: Guardrails = serde_json::from_str(guardrails).unwrap();
            let defaults: Option<Settings> = defaults.map(|d| serde_json::from_str(d).unwrap());
            let mut violations = Violations::new();
            guardrails.check_defaults(defaults.as_ref(), &Pointer::Root, &mut violations);
            violations.into_sorted().len()
        };
        assert_eq!(needed(r#"{"max_timeout": "60s"}"#, None), 1);
        assert_eq!(needed(r#"{"max_timeout": "60s"}"#, Some("{}")), 1);
        assert_eq!(
            needed(r#"{"max_timeout": "60s"}"#, Some(r#"{"timeout": "60s"}"#)),
            0
        );
        assert_eq!(needed(r#"{"max_retries": 2}"#, None), 0);
        assert_eq!(needed(r#"{"max_retries": 1}"#, None), 1);
        assert_eq!(
            needed(
                r#"{"max_retries": 1}"#,
                Some(r#"{"retries": {"attempts": 0}}"#)
            ),
            0
        );
    }
}
