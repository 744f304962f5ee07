//! Questions to whoever sits in front of it. A script is never asked: it says `--yes`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::failure::Failure;
use crate::output::plain;

/// Asks, and fails unless the answer is yes.
///
/// # Errors
/// The answer was no, or there is nobody to ask.
pub(crate) fn confirm(question: &str) -> Result<(), Failure> {
    if !someone() {
        return Err(
            Failure::usage("this needs a yes, and there is nobody to ask")
                .hint("say --yes, or --dry-run to see what it would do"),
        );
    }
    let mut err = std::io::stderr().lock();
    // Nobody may be watching; then nobody answers, either.
    let _ = write!(err, "{} [y/N] ", plain(question)).and_then(|()| err.flush());
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::io("read the answer", &error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::error("nothing was changed")),
    }
}

/// Whether there is somebody to ask.
pub(crate) fn someone() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
