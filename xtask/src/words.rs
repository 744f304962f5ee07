//! What must not stand in any file: where packages come from is the machine's business, where a working copy lies
//! is nobody's, and work that is left to do belongs into an issue.

use crate::finding::Finding;
use crate::repository::Repository;

/// Split in two, so that this file does not contain what it forbids.
const REGISTRIES: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("sum.golang", ".org"),
    concat!("rubygems", ".org"),
];
const PLACES: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
const LATER: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Written by package managers, which name their sources there.
const LOCK_FILES: [&str; 3] = ["Cargo.lock", "package-lock.json", ".terraform.lock.hcl"];

/// Reads every text file.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in repository.files("") {
        if let Some(text) = repository.text(file)? {
            judge(file, &text, &mut findings);
        }
    }
    Ok(findings)
}

fn judge(file: &str, text: &str, findings: &mut Vec<Finding>) {
    let name = file.rsplit('/').next().unwrap_or(file);
    let locked = LOCK_FILES.contains(&name);
    for (number, line) in text.lines().enumerate() {
        let mut found = |word: &str, why: &str| {
            let place = format!("{file}:{}", number + 1);
            findings.push(Finding::error(place, format!("`{word}`: {why}")));
        };
        for word in REGISTRIES.iter().filter(|_| !locked) {
            if line.contains(word) {
                found(
                    word,
                    "no host names of package registries; a machine's own configuration names them",
                );
            }
        }
        for word in PLACES {
            if starts_a_path(line, word) {
                found(word, "no absolute paths of one machine");
            }
        }
        for word in LATER {
            if has_word(line, word) {
                found(
                    word,
                    "nothing is left to do later in a committed file; open an issue",
                );
            }
        }
    }
}

/// Whether this is where a path begins: not in the middle of a longer one (`a/work/b`).
fn starts_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "/._-}$".contains(before))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(inside) && !line[at + word.len()..].starts_with(inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> usize {
        let mut findings = Vec::new();
        judge(file, text, &mut findings);
        findings.len()
    }

    #[test]
    fn forbidden_words_are_found_where_they_stand() {
        let [place, _] = PLACES;
        let [later, fix] = LATER;
        for registry in REGISTRIES {
            let line = format!("see https://www.{registry}/x");
            assert_eq!(found("a.md", &line), 1, "{registry}");
            assert_eq!(found("web/package-lock.json", &line), 0, "{registry}");
        }
        assert_eq!(found("a.rs", &format!("let x = \"{place}main\";")), 1);
        assert_eq!(found("a.rs", &format!("tests/fixtures{place}main")), 0);
        assert_eq!(found("a.rs", &format!("// {later}: later\n// {fix}")), 2);
        assert_eq!(found("a.rs", &format!("{later}S and A_{later}")), 0);

        let mut findings = Vec::new();
        judge("a/b.rs", &format!("fine\n\n{later}"), &mut findings);
        assert_eq!(findings[0].place, "a/b.rs:3");
    }
}
