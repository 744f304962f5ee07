//! An access rule: who may call a service, or may not. Deny always wins.

mod caller;
mod path_rule;
mod target;
mod user_token;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::labels::{self, Labels};
use super::{Kind, Spec};
use crate::code::Code;
use crate::guardrails::{Forbidden, Guardrails};
use crate::name::Name;
use crate::violation::{Pointer, Violations};

pub use caller::{Caller, Who};
pub use path_rule::{PathRule, Paths, Template};
pub use target::{LONGEST_VALUE, Target};
pub use user_token::{ClaimMatch, LISTS_OF_WORDS, Otherwise, UserToken, otherwise};

/// A rule about the callers of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessRuleSpec)]
pub struct AccessRule {
    /// A name for people; changes freely.
    #[schema(max_length = 120)]
    pub display_name: Option<String>,
    /// Pairs for filters and selectors, at most 64.
    pub labels: Option<Labels>,
    /// Free text for people and programs, at most 16 KiB in all.
    pub annotations: Option<Annotations>,
    /// What happens to a call that matches. Deny wins over every allow.
    pub action: Effect,
    /// Any of these callers; absent: everybody who can call at all, which is every workload of the mesh.
    #[schema(min_items = 1, max_items = 64)]
    pub from: Option<Vec<Caller>>,
    /// Any of these requests; absent: every request. Of connections to a `tcp` port nothing but the port is known: what else
    /// stands here, and `token`, lets nobody in there, and in a rule that denies refuses everybody there.
    #[schema(min_items = 1, max_items = 64)]
    pub to: Option<Vec<Target>>,
    /// While true, the rule decides nothing: proxies count what it would deny or allow, and say so in the access log.
    pub report_only: Option<bool>,
    /// From this instant (RFC 3339) on the rule is in force no more; absent: it stays. The rule itself stays, too.
    #[schema(
        format = "date-time",
        pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$",
        max_length = 40,
        example = "2027-01-31T00:00:00Z"
    )]
    pub expires: Option<String>,
    /// Why the rule exists, for whoever reads it later.
    #[schema(max_length = 500, example = "PAY-1123")]
    pub reason: Option<String>,
}

/// What happens to a call that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AccessEffect)]
pub enum Effect {
    /// It passes, unless a deny rule matches too.
    Allow,
    /// It is answered with 403.
    Deny,
}

impl AccessRule {
    /// Refuses every call: what stands in for a rule that cannot be read.
    #[must_use]
    pub const fn deny_all() -> Self {
        Self {
            display_name: None,
            labels: None,
            annotations: None,
            action: Effect::Deny,
            from: None,
            to: None,
            report_only: None,
            expires: None,
            reason: None,
        }
    }

    /// Whether some call of this port could match it.
    #[must_use]
    pub fn is_about(&self, port: &Name) -> bool {
        let named = |target: &Target| {
            let ports = target.ports.as_deref();
            ports.is_none_or(|ports| ports.contains(port))
        };
        self.to.as_ref().is_none_or(|to| to.iter().any(named))
    }

    /// Whether it tells some callers from others by their certificates: by name, or workloads of the mesh from everybody else.
    #[must_use]
    pub fn asks_who_calls(&self) -> bool {
        match (&self.from, self.action) {
            (None, Effect::Allow) => true,
            (None, Effect::Deny) => false,
            (Some(callers), _) => callers.iter().any(Caller::is_somebody),
        }
    }

    /// Whether it is about some callers that have no certificate.
    #[must_use]
    pub fn takes_in_the_unnamed(&self) -> bool {
        let callers = self.from.iter().flatten();
        let mut unnamed = callers.filter(|caller| !caller.is_somebody());
        unnamed.next().is_some()
    }

    /// Whether it only reports what it would do.
    #[must_use]
    pub fn is_report_only(&self) -> bool {
        self.report_only.unwrap_or(false)
    }

    /// When it ends; `None` when it does not. What is no instant ends a rule that allows at once, and one that denies never.
    #[must_use]
    pub fn ends(&self) -> Option<DateTime<Utc>> {
        let text = self.expires.as_deref()?;
        match (instant(text), self.action) {
            (Some(at), _) => Some(at),
            (None, Effect::Allow) => Some(DateTime::<Utc>::MIN_UTC),
            (None, Effect::Deny) => None,
        }
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    let parsed = DateTime::parse_from_rfc3339(text).ok()?;
    Some(parsed.with_timezone(&Utc))
}

impl Spec for AccessRule {
    const KIND: Kind = Kind::AccessRule;

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        labels::validate(self.labels.as_ref(), &at.field("labels"), violations);
        annotations::validate(
            self.annotations.as_ref(),
            &at.field("annotations"),
            violations,
        );
        let from = at.field("from");
        for (i, caller) in self.from.iter().flatten().enumerate() {
            caller.validate(&from.index(i), violations);
        }
        let to = at.field("to");
        for (i, target) in self.to.iter().flatten().enumerate() {
            target.validate(&to.index(i), violations);
        }
        if self
            .expires
            .as_deref()
            .is_some_and(|text| instant(text).is_none())
        {
            let detail = "there is no such day or time";
            violations.add(&at.field("expires"), Code::BadFormat, detail);
        }
    }

    fn service_references(&self) -> Vec<(String, Name)> {
        let named = |(i, caller): (usize, &Caller)| {
            caller
                .service
                .clone()
                .map(|name| (format!("/from/{i}/service"), name))
        };
        self.from
            .iter()
            .flatten()
            .enumerate()
            .filter_map(named)
            .collect()
    }

    fn guard(&self, guardrails: &Guardrails, at: &Pointer<'_>, violations: &mut Violations) {
        if self.action != Effect::Allow || !guardrails.forbids(Forbidden::WildcardAllow) {
            return;
        }
        let detail = "the mesh's guardrails forbid `wildcard_allow`: name the callers";
        let from = at.field("from");
        match &self.from {
            None => violations.add(&from, Code::Guardrail, detail),
            Some(callers) => {
                let each = callers.iter().enumerate();
                for (i, _) in each.filter(|(_, caller)| caller.is_anybody()) {
                    violations.add(&from.index(i), Code::Guardrail, detail);
                }
            }
        }
    }

    fn sample() -> serde_json::Value {
        serde_json::json!({
            "display_name": "Checkout may charge",
            "labels": {"team": "pay"},
            "action": "allow",
            "from": [
                {"service": "checkout"},
                {"spiffe_prefix": "spiffe://partner.example/batch", "networks": ["10.20.0.0/16", "fd00:20::/32"]},
                {"token": {"provider": "accounts", "claims": [{"claim": ["roles"], "values": ["cashier"]}]}},
            ],
            "to": [
                {"methods": ["POST"], "paths": [{"prefix": "/v1/charges"}], "ports": ["http"]},
                {
                    "methods": ["GET"],
                    "paths": [{"template": "/v1/users/{*}/charges"}],
                    "headers": [{"name": "x-tenant", "exact": "eu"}],
                },
            ],
            "report_only": false,
            "expires": "2027-01-31T00:00:00Z",
            "reason": "PAY-1123",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(rule: &str) -> Vec<(String, &'static str)> {
        let rule: AccessRule = serde_json::from_str(rule).unwrap();
        let mut violations = Violations::new();
        rule.validate(&Pointer::Root, &mut violations);
        let all = violations.into_sorted().into_iter();
        all.map(|one| (one.pointer, one.code.as_str())).collect()
    }

    #[test]
    fn all_that_is_wrong_with_a_rule_is_said_at_once() {
        let rule = r#"{"action": "deny",
            "from": [{"service": "a", "spiffe_prefix": "spiffe://td"}, {"networks": ["10.0.0.1/8", "10.0.0.0/33", "::/0"]},
                     {"spiffe_prefix": "spiffe://td/../x"}, {}],
            "to": [{"paths": [{"template": "/a/x{*}"}, {"exact": "/a/../b"}, {"prefix": "/%61"}, {"exact": "/a", "prefix": "/a"}]},
                   {"headers": [{"name": "host", "exact": "x"}, {"name": "x-envoy-a", "present": true},
                                {"name": "x-role", "exact": "a,b"}, {"name": "x-role", "exact": " a"}, {"name": "x-role"}]},
                   {"ports": ["http", "http"]}, {}],
            "expires": "2027-02-30T00:00:00Z"}"#;
        let expected = [
            ("/expires", "HED-1006"),
            ("/from/0", "HED-1008"),
            ("/from/1/networks/0", "HED-1006"),
            ("/from/1/networks/1", "HED-1006"),
            ("/from/2/spiffe_prefix", "HED-1006"),
            ("/from/3", "HED-1008"),
            ("/to/0/paths/0/template", "HED-1006"),
            ("/to/0/paths/1/exact", "HED-1006"),
            ("/to/0/paths/2/prefix", "HED-1006"),
            ("/to/0/paths/3", "HED-1008"),
            ("/to/1/headers/0/name", "HED-1006"),
            ("/to/1/headers/1/name", "HED-1006"),
            ("/to/1/headers/2/exact", "HED-1006"),
            ("/to/1/headers/3/exact", "HED-1006"),
            ("/to/1/headers/4", "HED-1008"),
            ("/to/2/ports/1", "HED-1009"),
            ("/to/3", "HED-1008"),
        ];
        assert_eq!(
            violations(rule),
            expected.map(|(pointer, code)| (pointer.to_owned(), code))
        );
    }

    #[test]
    fn nobody_in_particular_is_everybody_to_a_guardrail() {
        let guardrails: Guardrails =
            serde_json::from_str(r#"{"forbid": ["wildcard_allow"]}"#).unwrap();
        let guarded = |rule: &str| {
            let rule: AccessRule = serde_json::from_str(rule).unwrap();
            let mut violations = Violations::new();
            rule.guard(&guardrails, &Pointer::Root, &mut violations);
            let all = violations.into_sorted().into_iter();
            all.map(|one| one.pointer).collect::<Vec<_>>()
        };
        assert_eq!(guarded(r#"{"action": "allow"}"#), ["/from"]);
        let wide = r#"{"action": "allow", "from": [{"service": "a"}, {"networks": ["0.0.0.0/0"]}, {"spiffe_prefix": "spiffe://td"}]}"#;
        assert_eq!(guarded(wide), ["/from/1", "/from/2"]);
        let narrow = r#"{"action": "allow", "from": [{"spiffe_prefix": "spiffe://td/a"}]}"#;
        assert_eq!(guarded(narrow), Vec::<String>::new());
        assert_eq!(guarded(r#"{"action": "deny"}"#), Vec::<String>::new());
    }

    #[test]
    fn an_unreadable_end_ends_what_allows_and_nothing_else() {
        let ends = |action: &str, expires: &str| {
            let rule = serde_json::json!({"action": action, "expires": expires});
            serde_json::from_value::<AccessRule>(rule).unwrap().ends()
        };
        assert_eq!(ends("allow", "soon"), Some(DateTime::<Utc>::MIN_UTC));
        assert_eq!(ends("deny", "soon"), None);
        let at = ends("deny", "2027-01-31T02:00:00+02:00").unwrap();
        assert_eq!(at.to_rfc3339(), "2027-01-31T00:00:00+00:00");
    }
}
