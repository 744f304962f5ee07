//! What went wrong, as people read it and as scripts branch on it: what, why, what to do, and an exit code.

use std::fmt::Write as _;

use heddle_model::code::Code;
use serde_json::Value;

use crate::output::plain;

/// How the program ends. Scripts rely on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything that has no number of its own.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// No valid credential, or one that may not do this.
    Auth = 4,
    /// What is stored stands against it.
    Conflict = 5,
    /// What was sent breaks rules.
    Findings = 6,
    /// Waited in vain.
    Timeout = 7,
    /// Nothing went wrong, and there are differences.
    Differences = 8,
}

/// One broken rule, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A file and the object in it, when that is known.
    pub(crate) place: Option<String>,
    pub(crate) pointer: String,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) hint: Option<String>,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    exit: Exit,
    what: String,
    findings: Vec<Finding>,
    hint: Option<String>,
    code: Option<String>,
    request: Option<String>,
    body: Value,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            exit,
            what: what.into(),
            findings: Vec::new(),
            hint: None,
            code: None,
            request: None,
            body: Value::Null,
        }))
    }

    pub(crate) fn error(what: impl Into<String>) -> Self {
        Self::new(Exit::Error, what)
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Something that the operating system did not do.
    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        Self::error(format!("{what}: {error}"))
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says where each finding is, in the words of whoever knows what was sent.
    #[must_use]
    pub(crate) fn located(mut self, locate: impl Fn(&mut Finding)) -> Self {
        self.0.findings.iter_mut().for_each(locate);
        self
    }

    /// What the server says went wrong.
    pub(crate) fn problem(status: u16, body: Value) -> Self {
        let text = |field: &str| body[field].as_str().map(ToOwned::to_owned);
        let code = text("code");
        let exit = match status {
            400 => Exit::Usage,
            401 | 403 => Exit::Auth,
            404 => Exit::NotFound,
            409 | 412 | 428 => Exit::Conflict,
            422 => Exit::Findings,
            _ => Exit::Error,
        };
        let what = text("detail").or_else(|| text("title"));
        let mut failure = Self::new(
            exit,
            what.unwrap_or_else(|| format!("the server answered with {status}")),
        );
        let errors = body["errors"].as_array().into_iter().flatten();
        failure.0.findings = errors.map(finding).collect();
        // The same text that the server keeps; what a newer one says and this program does not know is left to `explain`.
        let known = code.as_deref().and_then(|code| code.parse::<Code>().ok());
        failure.0.hint = match status {
            401 => Some(String::from(
                "sign in with `heddle login`, or set HEDDLE_TOKEN",
            )),
            _ => known.map(|code| code.fix().to_owned()),
        };
        failure.0.code = code;
        failure.0.request = text("request_id");
        failure.0.body = body;
        failure
    }

    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    /// The problem's code.
    pub(crate) fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The problem as the server sent it.
    pub(crate) fn body(&self) -> &Value {
        &self.0.body
    }

    /// Everything, for standard error.
    pub(crate) fn render(&self) -> String {
        let parts = &self.0;
        let mut text = format!("error: {}\n", plain(&parts.what));
        for finding in &parts.findings {
            let place = finding.place.as_deref().unwrap_or_default();
            let place = [place, &finding.pointer].map(plain);
            let place: Vec<&str> = place
                .iter()
                .map(String::as_str)
                .filter(|p| !p.is_empty())
                .collect();
            let place = if place.is_empty() {
                String::from("(whole)")
            } else {
                place.join(" ")
            };
            let _ = writeln!(
                text,
                "  {place}: {} [{}]",
                plain(&finding.detail),
                plain(&finding.code)
            );
            if let Some(hint) = &finding.hint {
                let _ = writeln!(text, "      hint: {}", plain(hint));
            }
        }
        if let Some(hint) = &parts.hint {
            let _ = writeln!(text, "hint: {}", plain(hint));
        }
        if let Some(code) = &parts.code {
            let code = plain(code);
            let _ = writeln!(
                text,
                "code: {code}, see `heddle explain {code}` or /v1/codes/{code}"
            );
        }
        if let Some(request) = &parts.request {
            let _ = writeln!(text, "request: {}", plain(request));
        }
        text
    }
}

fn finding(error: &Value) -> Finding {
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    Finding {
        place: None,
        pointer: text("pointer"),
        code: text("code"),
        detail: text("detail"),
        hint: error["hint"].as_str().map(ToOwned::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_is_shown_whole() {
        let failure = Failure::problem(
            422,
            json!({"detail": "2 rules are broken; see `errors`", "code": "HED-2022", "request_id": "r1", "errors": [
                {"pointer": "/name", "code": "HED-1006", "detail": "no name\u{1b}[2J", "hint": "letters"},
                {"pointer": "", "code": "HED-1004", "detail": "empty"},
            ]}),
        );
        assert_eq!(failure.exit(), Exit::Findings);
        assert_eq!(
            failure.render(),
            "error: 2 rules are broken; see `errors`\n  /name: no name?[2J [HED-1006]\n      hint: letters\n  \
             (whole): empty [HED-1004]\nhint: Mend every entry of `errors`.\n\
             code: HED-2022, see `heddle explain HED-2022` or /v1/codes/HED-2022\nrequest: r1\n"
        );
    }
}
