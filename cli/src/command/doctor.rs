//! Why an Envoy does not work, found on its own host: its bootstrap, its token, the way to the server, and the Envoy itself. Each
//! thing that is wrong comes with what to do about it.

mod bootstrap;
mod envoy;
mod network;
mod token;

use std::io::IsTerminal as _;

use serde_json::{Value, json};

use crate::args::proxy::Doctor;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, data, plain, say};
use crate::place::Here;

const NETWORK: &str = "Way to the server";

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// Worth knowing, and no reason why it does not work.
    Odd,
    Bad,
    /// Something else has to be mended first.
    Skipped,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Odd => "warning",
            Self::Bad => "error",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    section: &'static str,
    what: &'static str,
    state: State,
    detail: String,
    fix: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Default)]
pub(super) struct Report {
    section: &'static str,
    checks: Vec<Check>,
}

impl Report {
    fn section(&mut self, name: &'static str) {
        self.section = name;
    }

    fn note(
        &mut self,
        what: &'static str,
        state: State,
        detail: impl Into<String>,
        fix: Option<String>,
    ) {
        self.checks.push(Check {
            section: self.section,
            what,
            state,
            detail: detail.into(),
            fix,
        });
    }

    fn good(&mut self, what: &'static str, detail: impl Into<String>) {
        self.note(what, State::Good, detail, None);
    }

    fn odd(&mut self, what: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
        self.note(what, State::Odd, detail, Some(fix.into()));
    }

    fn bad(&mut self, what: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
        self.note(what, State::Bad, detail, Some(fix.into()));
    }

    fn skip(&mut self, what: &'static str, why: impl Into<String>) {
        self.note(what, State::Skipped, why, None);
    }

    fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|one| one.state == state).count()
    }

    fn is_bad(&self, section: &str) -> bool {
        let mut of = self.checks.iter().filter(|one| one.section == section);
        of.any(|one| one.state == State::Bad)
    }

    fn json(&self) -> Value {
        let check = |one: &Check| {
            json!({
                "section": one.section,
                "check": one.what,
                "state": one.state.word(),
                "detail": one.detail,
                "fix": one.fix,
            })
        };
        json!({
            "ok": self.count(State::Bad) == 0,
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
        })
    }

    /// For people. Colours where somebody looks at them.
    fn text(&self, colours: bool) -> String {
        let paint = |code: &str, text: &str| match colours {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        };
        let mut out = String::new();
        let mut section = "";
        for one in &self.checks {
            if one.section != section {
                if !section.is_empty() {
                    out.push('\n');
                }
                section = one.section;
                out.push_str(&format!("{section}\n"));
            }
            let mark = match one.state {
                State::Good => paint("32", "√"),
                State::Odd => paint("33", "!"),
                State::Bad => paint("31", "×"),
                State::Skipped => String::from("-"),
            };
            out.push_str(&format!("  {mark} {}: {}\n", one.what, plain(&one.detail)));
            if let Some(fix) = &one.fix {
                out.push_str(&format!("      {}\n", plain(fix)));
            }
        }
        out
    }
}

/// `here`: a server that may be asked as well, if one is known.
pub(crate) async fn doctor(here: Option<&Here>, args: &Doctor) -> Result<(), Failure> {
    let mut report = Report::default();
    report.section("Bootstrap");
    let facts = bootstrap::read(&mut report, &args.bootstrap);
    let facts = facts.unwrap_or_default();
    report.section("Join token");
    let token = token::look(&mut report, &facts);
    report.section(NETWORK);
    network::look(&mut report, &facts, token.as_ref()).await;
    if let Some(here) = here {
        token::ask(&mut report, here, &facts).await;
    }
    report.section("Envoy");
    envoy::look(&mut report, &facts, args).await;

    match args.shown.output {
        Format::Json => data(&output::json(&report.json())?)?,
        Format::Yaml => data(&output::yaml(&report.json())?)?,
        Format::Name => {
            let bad = report.checks.iter().filter(|one| one.state == State::Bad);
            data(&bad.map(|one| format!("{}\n", one.what)).collect::<String>())?;
        }
        Format::Table | Format::Wide => {
            let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            data(&report.text(colours))?;
        }
    }
    match report.count(State::Bad) {
        0 => {
            say("Nothing is wrong here.");
            Ok(())
        }
        1 => Err(Failure::new(Exit::Error, "one thing is wrong")),
        n => Err(Failure::new(Exit::Error, format!("{n} things are wrong"))
            .hint("the first of them is the cause of others, most times")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_what_is_wrong_and_what_to_do() {
        let mut report = Report::default();
        report.section("One");
        report.good("a", "fine");
        report.section("Two");
        report.bad("b", "broken\u{1b}[2J", "mend it");
        report.skip("c", "b is broken");
        assert_eq!(
            report.text(false),
            "One\n  √ a: fine\n\nTwo\n  × b: broken?[2J\n      mend it\n  - c: b is broken\n"
        );
        assert_eq!(report.json()["ok"], false);
        assert!(report.text(true).contains("\u{1b}[31m×"));
    }
}
