//! Migrations are append-only. `migrations/LOCK` holds the SHA-256 of each, in the format of `sha256sum`; a file
//! that differs from its line would be refused by every database that has run it.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::finding::Finding;
use crate::repository::Repository;

/// Where the sums are.
pub(crate) const LOCK: &str = "migrations/LOCK";
const FOLDER: &str = "migrations/";

/// File names (without the folder) with their sums.
type Sums = BTreeMap<String, String>;

fn parse(text: &str) -> Sums {
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect()
}

fn actual(repository: &Repository) -> anyhow::Result<Sums> {
    let mut sums = Sums::new();
    for file in repository.files(".sql") {
        if let Some(name) = file.strip_prefix(FOLDER).filter(|name| is_migration(name)) {
            let sum = hex::encode(Sha256::digest(repository.bytes(file)?));
            sums.insert(name.to_owned(), sum);
        }
    }
    Ok(sums)
}

/// `20261123170000_what_it_does.sql`, directly in the folder. Other files there are not run.
fn is_migration(name: &str) -> bool {
    let time = name.split('_').next().unwrap_or_default();
    !name.contains('/') && time.len() == 14 && time.bytes().all(|b| b.is_ascii_digit())
}

/// Compares the files with their sums.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let locked = match repository.has(LOCK) {
        true => parse(&repository.text(LOCK)?.unwrap_or_default()),
        false => Sums::new(),
    };
    Ok(judge(&actual(repository)?, &locked))
}

fn judge(actual: &Sums, locked: &Sums) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |name: &str, message: &str| {
        findings.push(Finding::error(format!("{FOLDER}{name}"), message));
    };
    for (name, sum) in locked {
        match actual.get(name) {
            None => found(
                name,
                "is locked, but gone; databases that ran it would be refused",
            ),
            Some(other) if other != sum => {
                found(
                    name,
                    "was edited after it had been locked; write another migration instead",
                );
            }
            Some(_) => {}
        }
    }
    let newest = locked.keys().next_back();
    for name in actual.keys().filter(|name| !locked.contains_key(*name)) {
        if newest.is_some_and(|newest| name < newest) {
            found(
                name,
                "is new, but its time lies before a locked one; rename it",
            );
        } else {
            found(name, "is not locked yet; run `cargo xtask generate`");
        }
    }
    findings
}

/// The lock with what is new added to it. What no commit has locked yet may still be edited.
///
/// # Errors
/// A locked file was edited or is gone; a new one does not come last; a file cannot be read.
pub(crate) fn lock(repository: &Repository) -> anyhow::Result<String> {
    let committed = parse(&repository.committed(LOCK).unwrap_or_default());
    let actual = actual(repository)?;
    let broken: Vec<String> = judge(&actual, &committed)
        .iter()
        .filter(|finding| !finding.message.contains("not locked yet"))
        .map(ToString::to_string)
        .collect();
    anyhow::ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(actual
        .iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::testing::Scratch;

    const ONE: &str = "migrations/20260101000000_one.sql";
    const TWO: &str = "migrations/20260102000000_two.sql";

    fn messages(scratch: &Scratch) -> Vec<String> {
        let findings = check(&scratch.read()).unwrap();
        findings
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    fn relock(scratch: &Scratch) {
        scratch.put(LOCK, &lock(&scratch.read()).unwrap());
    }

    #[test]
    fn a_committed_migration_is_never_edited() {
        let scratch = Scratch::new(&[(ONE, "one"), ("migrations/README.md", "x")]);
        assert!(messages(&scratch)[0].contains("not locked yet"));
        scratch.git(&["init", "-q"]);
        relock(&scratch);
        assert_eq!(messages(&scratch), Vec::<String>::new());

        scratch.put(ONE, "one, edited before the first commit");
        assert!(messages(&scratch)[0].contains("was edited"));
        relock(&scratch);
        assert_eq!(messages(&scratch), Vec::<String>::new());

        scratch.git(&["add", "."]);
        scratch.git(&["commit", "-q", "-m", "x"]);
        scratch.put(TWO, "two");
        relock(&scratch);
        assert_eq!(messages(&scratch), Vec::<String>::new());

        scratch.put(ONE, "one, edited");
        assert!(messages(&scratch)[0].contains("was edited"));
        assert!(lock(&scratch.read()).is_err());
        scratch.delete(ONE);
        assert!(messages(&scratch)[0].contains("gone"));
        assert!(lock(&scratch.read()).is_err());
    }

    #[test]
    fn a_new_migration_comes_last() {
        let sums = |names: &[&str]| {
            names
                .iter()
                .map(|name| ((*name).to_owned(), String::from("0")))
                .collect::<Sums>()
        };
        let found = judge(&sums(&["1_a.sql", "2_b.sql"]), &sums(&["2_b.sql"]));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("before a locked one"));
    }

    #[test]
    fn only_files_that_are_run_count() {
        assert!(is_migration("20260101000000_one.sql"));
        for name in ["schema.sql", "old/20260101000000_one.sql", "1_one.sql"] {
            assert!(!is_migration(name), "{name}");
        }
    }
}
