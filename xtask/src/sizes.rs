//! How long source files may be. A file that hits the line is split by noun, not into a second part.

use crate::finding::Finding;
use crate::repository::Repository;

/// More lines than this are worth a thought.
const WARN: usize = 400;
/// More lines than this need a reason.
const FAIL: usize = 800;

/// Files that may be longer, and why.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Measures every Rust file.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let mut measured = Vec::new();
    for file in repository.files(".rs") {
        let lines = repository
            .text(file)?
            .map_or(0, |text| text.lines().count());
        measured.push((file, lines));
    }
    Ok(judge(&measured, EXCEPTIONS))
}

fn judge(measured: &[(&str, usize)], exceptions: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, lines) in measured {
        let excepted = exceptions.iter().any(|(name, _)| name == file);
        if *lines > FAIL && !excepted {
            findings.push(Finding::error(
                *file,
                format!("{lines} lines, more than {FAIL}: split it by noun, or list it with a reason in xtask/src/sizes.rs"),
            ));
        } else if *lines > WARN && !excepted {
            findings.push(Finding::warning(
                *file,
                format!("{lines} lines, more than {WARN}"),
            ));
        }
    }
    for (name, _) in exceptions {
        if !measured
            .iter()
            .any(|(file, lines)| file == name && *lines > FAIL)
        {
            findings.push(Finding::error(
                *name,
                format!("needs no exception in xtask/src/sizes.rs any more: it is gone or not longer than {FAIL} lines"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_named_and_very_long_ones_fail() {
        let exceptions = [("table.rs", "a table"), ("short.rs", "was long once")];
        let measured = [
            ("fine.rs", 400),
            ("long.rs", 401),
            ("longer.rs", 801),
            ("short.rs", 10),
            ("table.rs", 2_000),
        ];
        let found: Vec<(String, bool)> = judge(&measured, &exceptions)
            .into_iter()
            .map(|finding| (finding.place, finding.fatal))
            .collect();
        let expected = [("long.rs", false), ("longer.rs", true), ("short.rs", true)];
        assert_eq!(
            found,
            expected.map(|(place, fatal)| (place.to_owned(), fatal))
        );
    }
}
