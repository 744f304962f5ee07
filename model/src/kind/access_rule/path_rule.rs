//! The path of a request, as an access rule compares it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;
use crate::path;
use crate::violation::{Pointer, Violations};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The beginning of the path, at segment boundaries: `/v1` matches `/v1` and `/v1/x`, not `/v10`.
    #[schema(pattern = r"^/[!-\[\]-~]*$", max_length = 1024, example = "/v1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The whole path with `{*}` for any one segment and, at the end, `{**}` for any number of them, none included.
    #[schema(
        pattern = r"^/[!-\[\]-~]*$",
        max_length = 1024,
        example = "/v1/users/{*}/orders"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
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

    pub(crate) fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
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
