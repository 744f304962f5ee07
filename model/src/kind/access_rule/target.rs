//! What is called, as an access rule names it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::path_rule::PathRule;
use crate::code::Code;
use crate::kind::route::{HeaderMatch, Method, validate_methods};
use crate::name::Name;
use crate::net::Host;
use crate::violation::{Pointer, Violations};

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

/// The longest value of a header that a rule compares with, in bytes.
pub const LONGEST_VALUE: usize = 128;

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
    pub(super) fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
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
