//! Colours: only on a terminal that has some, and never where `NO_COLOR` is set.

use std::io::IsTerminal as _;

/// How to colour, if at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        let on = std::io::stdout().is_terminal() && wanted();
        Self { on }
    }

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        let on = std::io::stderr().is_terminal() && wanted();
        Self { on }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// What is gone, or wrong.
    pub(crate) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What is new, or well.
    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What is on its way.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What the eye goes to first.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What is said beside.
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
}

/// <https://no-color.org>: set and not empty is no.
fn wanted() -> bool {
    let no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !no && !dumb
}

#[cfg(test)]
impl Paint {
    pub(crate) const ON: Self = Self { on: true };
    pub(crate) const OFF: Self = Self { on: false };
}
