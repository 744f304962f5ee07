//! The table of numbered rules and the tests that carry the numbers. A rule's sentence stands in
//! `xtask/rules.toml`; its tests are found in the tree by their names (`xds_x17_...`, `sec_t01_t07_...`); the
//! table in the documentation is made of both. A rule without a test is not in it: it says what is shown. Where a family is
//! complete, such a rule has a reason instead, in a list of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Deserialize;

use crate::finding::Finding;
use crate::repository::Repository;

/// The table.
pub(crate) const TABLE: &str = "docs/conformance.md";
const RULES: &str = "xtask/rules.toml";

/// What the name of a test of numbered rules begins with.
const PREFIXES: [&str; 4] = ["xds", "spiffe", "sec", "chaos"];

const PREFACE: &str = "\
# Conformance

Numbered rules and the tests that show them. The number of a rule is part of its test's name, so
`cargo test --workspace xds_x11` runs what there is for rule X11. What exactly is shown of a rule, its tests say. Where a
list of what is not shown yet follows, everything else of that family is; where none does, a rule without a test is not
listed.

The table is made by `cargo xtask generate` of the sentences in [xtask/rules.toml](../xtask/rules.toml) and the names of
the tests; `cargo xtask check conformance` fails when it differs from the tree.
";

/// A family of rules: those whose numbers begin with one letter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    title: String,
    /// The rules by number ("X07"), each a sentence.
    rules: BTreeMap<String, String>,
    /// Whether each rule has a test or a reason why it has none.
    #[serde(default)]
    complete: bool,
    /// Why a rule has no test yet.
    #[serde(default)]
    not_yet: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    family: Vec<Family>,
}

/// The tests of each rule: their names with the files that they are in.
type Tests = BTreeMap<String, BTreeSet<(String, String)>>;

/// Compares the table with the tree.
///
/// # Errors
/// A file cannot be read, or the rules are not understood.
pub(crate) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let (rules, tests) = (rules(repository)?, tests(repository)?);
    let mut findings = unknown(&rules, &tests);
    findings.extend(incomplete(&rules, &tests));
    let table = match repository.has(TABLE) {
        true => repository.text(TABLE)?.unwrap_or_default(),
        false => String::new(),
    };
    if findings.is_empty() && table != render(&rules, &tests) {
        findings.push(Finding::error(
            TABLE,
            "does not name exactly the numbered tests that there are; run `cargo xtask generate`",
        ));
    }
    Ok(findings)
}

/// The table as it should be.
///
/// # Errors
/// A test carries a number that no rule has; a file cannot be read, or the rules are not understood.
pub(crate) fn table(repository: &Repository) -> anyhow::Result<String> {
    let (rules, tests) = (rules(repository)?, tests(repository)?);
    let unknown: Vec<String> = unknown(&rules, &tests)
        .iter()
        .map(ToString::to_string)
        .collect();
    anyhow::ensure!(unknown.is_empty(), "{}", unknown.join("\n"));
    Ok(render(&rules, &tests))
}

fn rules(repository: &Repository) -> anyhow::Result<Rules> {
    let text = repository.text(RULES)?.context("the rules are not text")?;
    toml::from_str(&text).with_context(|| format!("understand {RULES}"))
}

fn tests(repository: &Repository) -> anyhow::Result<Tests> {
    let mut tests = Tests::new();
    let files = [".rs", ".ts"].map(|suffix| repository.files(suffix));
    for file in files.into_iter().flatten() {
        let text = repository.text(file)?.unwrap_or_default();
        for name in text.lines().filter_map(function) {
            for number in numbers(name) {
                let test = (name.to_owned(), file.to_owned());
                tests.entry(number).or_default().insert(test);
            }
        }
    }
    Ok(tests)
}

/// The name of the function that a line declares, or of a test of the console.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line
        .strip_prefix("fn ")
        .or_else(|| line.strip_prefix("test(\""))?;
    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()
}

/// The numbers that a test's name carries: `sec_t01_t07_two_tenants` has T01 and T07.
fn numbers(name: &str) -> Vec<String> {
    let mut words = name.split('_');
    if !words.next().is_some_and(|first| PREFIXES.contains(&first)) {
        return Vec::new();
    }
    words
        .take_while(|word| {
            let (letter, digits) = word.split_at(usize::from(!word.is_empty()));
            letter.bytes().all(|b| b.is_ascii_lowercase())
                && digits.len() >= 2
                && digits.bytes().all(|b| b.is_ascii_digit())
        })
        .map(str::to_uppercase)
        .collect()
}

fn unknown(rules: &Rules, tests: &Tests) -> Vec<Finding> {
    let known = |number: &String| {
        let mut families = rules.family.iter();
        families.any(|family| family.rules.contains_key(number))
    };
    let unknown = tests.iter().filter(|(number, _)| !known(number));
    unknown
        .flat_map(|(number, tests)| {
            tests.iter().map(move |(name, file)| {
                let message = format!("{name} carries {number}, which {RULES} does not know");
                Finding::error(file.as_str(), message)
            })
        })
        .collect()
}

/// Rules of complete families with neither a test nor a reason, and reasons that are not true or about nothing.
fn incomplete(rules: &Rules, tests: &Tests) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |message: String| findings.push(Finding::error(RULES, message));
    for family in &rules.family {
        for number in family.rules.keys().filter(|_| family.complete) {
            if !tests.contains_key(number) && !family.not_yet.contains_key(number) {
                say(format!(
                    "{number} has neither a test nor a reason in not_yet"
                ));
            }
        }
        for number in family.not_yet.keys() {
            if tests.contains_key(number) {
                say(format!(
                    "{number} has a test; it is not in not_yet any more"
                ));
            }
            if !family.rules.contains_key(number) {
                say(format!(
                    "{number} is in not_yet, and no rule of {}",
                    family.title
                ));
            }
        }
    }
    findings
}

fn render(rules: &Rules, tests: &Tests) -> String {
    let mut text = PREFACE.to_owned();
    for family in &rules.family {
        let shown = family.rules.iter();
        let shown: Vec<_> = shown
            .filter_map(|(number, rule)| Some((number, rule, tests.get(number)?)))
            .collect();
        if shown.is_empty() {
            continue;
        }
        let not_yet = family.not_yet.iter();
        let not_yet =
            not_yet.filter_map(|(number, why)| Some((number, family.rules.get(number)?, why)));
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n| rule | what holds | tests |\n| --- | --- | --- |\n",
            family.title
        );
        for (number, rule, tests) in shown {
            let tests: Vec<String> = tests
                .iter()
                .map(|(name, file)| format!("[`{name}`](../{file})"))
                .collect();
            let _ = writeln!(
                text,
                "| {number} | {} | {} |",
                rule.trim(),
                tests.join("<br>")
            );
        }
        for (i, (number, rule, why)) in not_yet.enumerate() {
            if i == 0 {
                text.push_str("\nNot shown yet:\n\n| rule | what would hold | why not yet |\n| --- | --- | --- |\n");
            }
            let _ = writeln!(text, "| {number} | {} | {} |", rule.trim(), why.trim());
        }
    }
    text
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::repository::testing::Scratch;

    const SENTENCES: &str = "[[family]]\ntitle = \"Xds\"\n[family.rules]\nX01 = \"One.\"\nX02 = \"Two.\"\n\
                             [[family]]\ntitle = \"Keys\"\n[family.rules]\nK01 = \"Key.\"\n";

    fn scratch() -> Scratch {
        let tests = concat!("    fn xds_", "x01_a() {}\nasync fn sec_", "k01_b() {}\n");
        let scratch = Scratch::new(&[(RULES, SENTENCES), ("a.rs", tests)]);
        scratch.put(TABLE, &table(&scratch.read()).unwrap());
        assert_eq!(check(&scratch.read()).unwrap(), []);
        scratch
    }

    #[test]
    fn only_rules_with_tests_are_in_the_table() {
        let table = scratch().read().text(TABLE).unwrap().unwrap();
        let row = concat!("| X01 | One. | [`xds_", "x01_a`](../a.rs) |\n");
        assert!(table.contains(row) && table.contains("| K01 |"), "{table}");
        assert!(!table.contains("X02"), "{table}");
    }

    #[test]
    fn a_test_that_is_gone_or_new_fails_the_check() {
        let changes = [
            concat!("fn xds_", "x01_a() {}"),
            concat!(
                "fn xds_",
                "x01_a() {}\nfn sec_",
                "k01_b() {}\nfn xds_",
                "x01_more() {}"
            ),
        ];
        for tests in changes {
            let scratch = scratch();
            scratch.put("a.rs", tests);
            let findings = check(&scratch.read()).unwrap();
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].place, TABLE);
        }
    }

    #[test]
    fn a_number_without_a_rule_is_named() {
        let scratch = scratch();
        scratch.put("b.rs", concat!("fn xds_", "x01_x99_c() {}"));
        let findings = check(&scratch.read()).unwrap();
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("X99"), "{findings:?}");
        assert!(table(&scratch.read()).is_err());
    }

    #[test]
    fn a_family_that_is_complete_has_a_test_or_a_reason_for_each_rule() {
        let tests = concat!("fn xds_", "x01_a() {}");
        let family = "[[family]]\ntitle = \"Xds\"\ncomplete = true\n[family.rules]\nX01 = \"One.\"\nX02 = \"Two.\"\n";
        let messages = |not_yet: &str| {
            let rules = format!("{family}[family.not_yet]\n{not_yet}");
            let scratch = Scratch::new(&[(RULES, &rules), ("a.rs", tests)]);
            scratch.put(TABLE, &table(&scratch.read()).unwrap());
            let found = check(&scratch.read()).unwrap().into_iter();
            let text = scratch.read().text(TABLE).unwrap().unwrap();
            (found.map(|one| one.message).collect::<Vec<_>>(), text)
        };
        let (none, text) = messages("X02 = \"Nobody asks.\"\n");
        assert_eq!(none, Vec::<String>::new());
        assert!(text.contains("| X02 | Two. | Nobody asks. |"), "{text}");
        let (missing, text) = messages("");
        assert!(
            missing.len() == 1 && missing[0].starts_with("X02 has neither"),
            "{missing:?}"
        );
        assert!(!text.contains("Not shown yet"), "{text}");
        let (wrong, _) = messages("X01 = \"a\"\nX02 = \"b\"\nX03 = \"c\"\n");
        assert!(wrong.len() == 2, "{wrong:?}");
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        for (name, expected) in [
            (concat!("xds_", "x07_only_errors"), vec!["X07"]),
            (concat!("sec_", "t01_t07_two_tenants"), vec!["T01", "T07"]),
            (concat!("spiffe_", "s10_a_2_b"), vec!["S10"]),
            ("xds_tls", vec![]),
            ("other_x01_b", vec![]),
            ("xds_x1_b", vec![]),
            ("xds__x01", vec![]),
        ] {
            assert_eq!(numbers(name), expected, "{name}");
        }
        assert_eq!(function("    async fn a_b(c: D) {"), Some("a_b"));
        assert_eq!(function("pub fn a()"), None);
    }
}
