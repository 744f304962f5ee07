//! An access rule: who may call a service, or may not. Deny always wins.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::annotations::{self, Annotations};
use super::labels::{self, Labels};
use super::route::{HeaderMatch, Method, validate_methods};
use super::{Kind, Spec};
use crate::code::Code;
use crate::guardrails::{Forbidden, Guardrails};
use crate::name::Name;
use crate::net::{Cidr, Host};
use crate::path;
use crate::violation::{Pointer, Violations};

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
    /// Any of these requests; absent: every request.
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

/// A caller: at most one of `service`, `spiffe` and `spiffe_prefix`, and where it calls from. Without any of the three:
/// whoever calls from there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessCaller)]
pub struct Caller {
    /// A service of this mesh, by name.
    pub service: Option<Name>,
    /// One exact SPIFFE id.
    #[schema(
        pattern = "^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$",
        max_length = 2048,
        example = "spiffe://partner.example/app"
    )]
    pub spiffe: Option<String>,
    /// A SPIFFE id and every one below it, at segment boundaries: `spiffe://td/pay` takes in `spiffe://td/pay/api`, not
    /// `spiffe://td/payroll`. A trust domain alone takes in all of its ids.
    #[schema(
        pattern = "^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*$",
        max_length = 2048,
        example = "spiffe://partner.example/batch"
    )]
    pub spiffe_prefix: Option<String>,
    /// The connection comes from any of these networks. What counts is the address that the callee's proxy sees; no header
    /// changes it.
    #[schema(value_type = Option<Vec<Cidr>>, min_items = 1, max_items = 64)]
    pub networks: Option<Vec<String>>,
}

/// What is called: everything that is present must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessTarget)]
pub struct Target {
    /// Any of these methods.
    #[schema(min_items = 1, max_items = 9)]
    pub methods: Option<Vec<Method>>,
    /// Any of these paths.
    #[schema(min_items = 1, max_items = 64)]
    pub paths: Option<Vec<PathRule>>,
    /// All of these headers. Of a header that is sent several times, or with several values between commas: a rule that
    /// allows wants every value to be right, a rule that denies is content with one.
    #[schema(min_items = 1, max_items = 16)]
    pub headers: Option<Vec<HeaderMatch>>,
    /// Any of these hosts, without regard to letter case, port and a dot at the end.
    #[schema(min_items = 1, max_items = 64)]
    pub hosts: Option<Vec<Host>>,
    /// Any of these ports of the service, by name.
    #[schema(min_items = 1, max_items = 16)]
    pub ports: Option<Vec<Name>>,
}

/// How a path is compared: exactly one field. A path is compared without its query, after dot segments, repeated slashes and
/// needless percent-encoding are gone from it; write it like that. A rule that denies takes in every spelling of the path that
/// some server takes for the same: other letter case, a slash or dots at the end, parameters after a semicolon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessPath)]
pub struct PathRule {
    /// The whole path.
    #[schema(
        pattern = r"^/[!-\[\]-~]*$",
        max_length = 1024,
        example = "/v1/charges"
    )]
    pub exact: Option<String>,
    /// The beginning of the path, at segment boundaries: `/v1` matches `/v1` and `/v1/x`, not `/v10`.
    #[schema(pattern = r"^/[!-\[\]-~]*$", max_length = 1024, example = "/v1")]
    pub prefix: Option<String>,
    /// The whole path with `{*}` for any one segment and, at the end, `{**}` for any number of them, none included.
    #[schema(
        pattern = r"^/[!-\[\]-~]*$",
        max_length = 1024,
        example = "/v1/users/{*}/orders"
    )]
    pub template: Option<String>,
}

/// What a [`Caller`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// Whoever calls from its networks.
    Anybody,
    /// The workloads of a service of this mesh.
    Service(&'a Name),
    /// One whole SPIFFE id.
    Spiffe(&'a str),
    /// A SPIFFE id, or a trust domain, and whatever is below it.
    Below(&'a str),
}

/// What a [`PathRule`] compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paths<'a> {
    /// One path.
    Exact(&'a str),
    /// A path and everything below it.
    Prefix(&'a str),
    /// Segment by segment.
    Template(Template<'a>),
}

/// A template, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<'a> {
    /// `None`: any one segment.
    pub segments: Vec<Option<&'a str>>,
    /// Whether any number of segments may follow.
    pub open: bool,
}

/// The longest value of a header that a rule compares with, in bytes.
pub const LONGEST_VALUE: usize = 128;

/// One segment, whatever it is.
const ONE: &str = "{*}";
/// Any number of segments.
const MANY: &str = "{**}";

impl<'a> Template<'a> {
    /// Reads one; `None` when the wildcards are not where they may be.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut segments: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
        let open = segments.last() == Some(&MANY);
        if open {
            segments.pop();
        }
        let read = |segment: &'a str| match segment {
            ONE => Some(None),
            other => (!other.contains(['{', '}', '*'])).then_some(Some(other)),
        };
        let segments = segments.into_iter().map(read).collect::<Option<_>>()?;
        Some(Self { segments, open })
    }
}

impl PathRule {
    /// What it compares with; `None` when that is nothing, more than one thing, or not a template.
    #[must_use]
    pub fn paths(&self) -> Option<Paths<'_>> {
        let Self {
            exact,
            prefix,
            template,
        } = self;
        match (exact, prefix, template) {
            (Some(path), None, None) => Some(Paths::Exact(path)),
            (None, Some(path), None) => Some(Paths::Prefix(path)),
            (None, None, Some(text)) => Template::parse(text).map(Paths::Template),
            (None, None, None) | (Some(_), Some(_), _) | (Some(_), _, Some(_)) => None,
            (None, Some(_), Some(_)) => None,
        }
    }

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        let Self {
            exact,
            prefix,
            template,
        } = self;
        let fields = [("exact", exact), ("prefix", prefix), ("template", template)];
        if fields.iter().filter(|(_, path)| path.is_some()).count() != 1 {
            let detail = "exactly one of `exact`, `prefix` and `template`";
            violations.add(at, Code::ExactlyOne, detail);
        }
        for (field, path) in fields {
            let Some(path) = path else { continue };
            if let Err(problem) = path::check_plain(path) {
                violations.add(&at.field(field), Code::BadFormat, problem.to_string());
            }
        }
        if template
            .as_deref()
            .is_some_and(|t| Template::parse(t).is_none())
        {
            violations.add(
                &at.field("template"),
                Code::BadFormat,
                "braces and stars stand in `{*}`, a whole segment, and `{**}`, the last one, and nowhere else",
            );
        }
    }
}

impl Caller {
    /// What it names; `None` when that is nothing, or more than one thing.
    #[must_use]
    pub fn who(&self) -> Option<Who<'_>> {
        let Self {
            service,
            spiffe,
            spiffe_prefix,
            networks,
        } = self;
        match (service, spiffe, spiffe_prefix) {
            (Some(service), None, None) => Some(Who::Service(service)),
            (None, Some(id), None) => Some(Who::Spiffe(id)),
            (None, None, Some(prefix)) => Some(Who::Below(prefix)),
            (None, None, None) => networks.is_some().then_some(Who::Anybody),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => None,
        }
    }

    /// Whether it names nobody in particular.
    fn is_anybody(&self) -> bool {
        match self.who() {
            Some(Who::Below(prefix)) => prefix.split('/').count() <= 3,
            Some(Who::Anybody) => true,
            Some(Who::Service(_) | Who::Spiffe(_)) | None => false,
        }
    }

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        if self.who().is_none() {
            violations.add(
                at,
                Code::ExactlyOne,
                "exactly one of `service`, `spiffe` and `spiffe_prefix`, or `networks` alone",
            );
        }
        let ids = [
            ("spiffe", &self.spiffe),
            ("spiffe_prefix", &self.spiffe_prefix),
        ];
        for (field, id) in ids {
            let mut segments = id.iter().flat_map(|id| id.split('/').skip(3));
            if segments.any(|segment| segment == "." || segment == "..") {
                let detail = "a SPIFFE id has no `.` or `..` segments";
                violations.add(&at.field(field), Code::BadFormat, detail);
            }
        }
        let networks = at.field("networks");
        for (i, network) in self.networks.iter().flatten().enumerate() {
            if let Err(problem) = network.parse::<Cidr>() {
                violations.add(&networks.index(i), Code::BadFormat, problem.to_string());
            }
        }
    }
}

/// Whether a rule may look at a header. What proxies write themselves, and what belongs to one connection, says nothing about
/// the request that the caller made.
fn is_of_proxies(name: &str) -> bool {
    const OWN: [&str; 15] = [
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-request-id",
        "http2-settings",
    ];
    OWN.contains(&name) || name.starts_with("x-envoy-") || name.starts_with("x-forwarded-")
}

fn validate_header(header: &HeaderMatch, at: &Pointer<'_>, violations: &mut Violations) {
    let name = header.name.as_str();
    if name != "host" {
        header.validate(at, violations);
    }
    if name == "host" {
        let detail = "hosts are compared by `hosts`, which no spelling gets around";
        violations.add(&at.field("name"), Code::BadFormat, detail);
    } else if is_of_proxies(name) {
        let detail = "proxies write or remove this header: it does not say what the caller sent";
        violations.add(&at.field("name"), Code::BadFormat, detail);
    }
    for (field, value) in [("exact", &header.exact), ("prefix", &header.prefix)] {
        let Some(value) = value else { continue };
        let at = at.field(field);
        if value.len() > LONGEST_VALUE {
            let detail = format!("at most {LONGEST_VALUE} characters allowed");
            violations.add(&at, Code::OutOfRange, detail);
        }
        if value.contains(',') {
            let detail = "a comma parts values, and each of them is compared by itself";
            violations.add(&at, Code::BadFormat, detail);
        }
        let outer = match field {
            "exact" => value.trim_matches(' '),
            _ => value.trim_start_matches(' '),
        };
        if outer != value {
            let detail = "no value arrives with spaces around it";
            violations.add(&at, Code::BadFormat, detail);
        }
    }
}

impl Target {
    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        if *self == Self::default() {
            violations.add(
                at,
                Code::ExactlyOne,
                "an empty entry would match everything; leave `to` out to say so",
            );
        }
        validate_methods(self.methods.as_ref(), &at.field("methods"), violations);
        let paths = at.field("paths");
        for (i, path) in self.paths.iter().flatten().enumerate() {
            path.validate(&paths.index(i), violations);
        }
        let headers = at.field("headers");
        for (i, header) in self.headers.iter().flatten().enumerate() {
            validate_header(header, &headers.index(i), violations);
        }
        let ports = at.field("ports");
        for (i, port) in self.ports.iter().flatten().enumerate() {
            if self
                .ports
                .iter()
                .flatten()
                .take(i)
                .any(|other| other == port)
            {
                let detail = format!("{port} is listed twice");
                violations.add(&ports.index(i), Code::Duplicate, detail);
            }
        }
    }
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
