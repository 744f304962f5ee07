//! What people read on the terminal. The log is not for that: it has levels, formats and times.

use std::io::Write as _;

/// Writes a text and a line end to standard output. A closed terminal is not an error worth dying for.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody is left to tell when nobody reads.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a text and a line end to standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
