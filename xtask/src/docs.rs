//! Links in documents lead somewhere, and the guides name files that exist.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::repository::Repository;

/// Reads every Markdown file.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in repository.files(".md") {
        let Some(text) = repository.text(file)? else {
            continue;
        };
        for (number, line) in prose(&text) {
            let place = format!("{file}:{number}");
            for target in links(line) {
                if let Err(message) = follow(repository, file, target)? {
                    findings.push(Finding::error(place.as_str(), message));
                }
            }
            if file.starts_with("docs/guides/") {
                for path in paths(line) {
                    if !repository.has(fixed_part(path)) {
                        let message =
                            format!("`{path}` does not exist; correct the guide or the tree");
                        findings.push(Finding::error(place.as_str(), message));
                    }
                }
            }
        }
    }
    Ok(findings)
}

/// The lines outside of fenced code, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    let numbered = text.lines().enumerate();
    numbered.filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced).then_some((index + 1, line))
    })
}

/// The targets of the links of a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, open)| {
        let rest = &line[at + open.len()..];
        rest.split(')').next().map(str::trim)
    })
}

/// Goes to a target inside of the repository; says what is wrong with it.
fn follow(repository: &Repository, from: &str, target: &str) -> anyhow::Result<Result<(), String>> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(Ok(()));
    }
    if target.starts_with('/') {
        return Ok(Err(format!(
            "the link {target} is absolute; make it relative"
        )));
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(file) = join(from, path) else {
        return Ok(Err(format!("the link {target} leaves the repository")));
    };
    if !repository.has(&file) {
        return Ok(Err(format!(
            "the link {target} leads to {file}, which does not exist"
        )));
    }
    if !anchor.is_empty() && file.ends_with(".md") {
        let text = repository.text(&file)?.unwrap_or_default();
        if !headings(&text).contains(anchor) {
            return Ok(Err(format!("{file} has no heading #{anchor}")));
        }
    }
    Ok(Ok(()))
}

/// Where a relative path leads; `None` if it leaves the repository.
fn join(from: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a document, as renderers make them of its headings.
fn headings(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    '-' | '_' => Some(c),
                    c => c.is_alphanumeric().then_some(c),
                })
                .collect()
        })
        .collect()
}

/// What stands in backticks in a table's row and looks like a path.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let row = line.trim_start().starts_with('|');
    let quoted = line.split('`').skip(1).step_by(2).filter(move |_| row);
    quoted.filter(|text| {
        let endings = [
            ".rs", ".md", ".toml", ".sql", ".json", ".yaml", ".yml", ".go", ".ts", ".tsx",
        ];
        let plain = !text.contains([' ', '(', '{', '=', ':', '\\']) && !text.starts_with('/');
        plain && (text.contains('/') || endings.iter().any(|ending| text.ends_with(ending)))
    })
}

/// What exists of a path with a placeholder: the folder before `<setting>`.
fn fixed_part(path: &str) -> &str {
    match path.find('<') {
        Some(at) => path[..at].rsplit_once('/').map_or("", |(folder, _)| folder),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::testing::Scratch;

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        check(&Scratch::new(files).read())
            .unwrap()
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn good_links_and_paths_are_good() {
        let guide = "| file | why |\n| --- | --- |\n| `src/a.rs` | x |\n| `src/<kind>.rs`, `src/` | `apply(&mut a/b)` |\n";
        let text = "# One: two `three`\n[a](docs/guides/a.md#head-line) [b](#one-two-three) [c](https://x.example/y)\n\
                    ```\n[no link](nowhere.md)\n```\n";
        let files = [
            ("README.md", text),
            ("src/a.rs", ""),
            ("docs/guides/a.md", guide),
            ("docs/b.md", "[up](../README.md)"),
        ];
        let guide_with_heading = format!("## Head line\n{guide}");
        let mut files = files;
        files[2].1 = &guide_with_heading;
        assert_eq!(findings(&files), Vec::<String>::new());
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        let text = "x\n[a](gone.md) [b](../out.md) [c](/abs.md) [d](b.md#nowhere)";
        let found = findings(&[("docs/a.md", text), ("docs/b.md", "# Here")]);
        assert_eq!(
            found,
            [
                "error: docs/a.md:2: the link gone.md leads to docs/gone.md, which does not exist",
                "error: docs/a.md:2: the link ../out.md leads to out.md, which does not exist",
                "error: docs/a.md:2: the link /abs.md is absolute; make it relative",
                "error: docs/a.md:2: docs/b.md has no heading #nowhere",
            ]
        );
        let found = findings(&[("a.md", "[b](../b.md)")]);
        assert!(found[0].contains("leaves the repository"), "{found:?}");
    }

    #[test]
    fn a_guide_that_names_a_file_that_is_not_there_is_found() {
        let guide = "| `model/src/gone.rs` | x |\n| `old/<kind>.rs` | y |\n`no/table.rs`";
        let found = findings(&[
            ("docs/guides/a.md", guide),
            ("docs/other.md", guide),
            ("model/src/a.rs", ""),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("model/src/gone.rs") && found[1].contains("old/<kind>.rs"),
            "{found:?}"
        );
    }
}
