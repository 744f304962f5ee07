//! What people read on the terminal.

use std::io::Write as _;

/// Writes a line to standard output. A closed terminal is nobody to tell.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
