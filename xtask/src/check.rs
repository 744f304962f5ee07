//! All checks: one line each.

use std::time::Instant;

use clap::ValueEnum;

use crate::finding::Finding;
use crate::output::say;
use crate::repository::Repository;
use crate::{conformance, docs, layers, migrations, sizes, words};

/// A check by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Check {
    /// Which of our crates may depend on which
    Layers,
    /// How long source files may be
    Sizes,
    /// Links in documents and paths in the guides lead somewhere
    Docs,
    /// What must not stand in any file
    Words,
    /// Migrations are added, never edited
    Migrations,
    /// The table of numbered rules names exactly the tests that there are
    Conformance,
}

impl Check {
    fn run(self, repository: &Repository) -> anyhow::Result<Vec<Finding>> {
        match self {
            Self::Layers => layers::check(repository),
            Self::Sizes => sizes::check(repository),
            Self::Docs => docs::check(repository),
            Self::Words => words::check(repository),
            Self::Migrations => migrations::check(repository),
            Self::Conformance => conformance::check(repository),
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Runs checks, all if none is named. Says whether they are good.
///
/// # Errors
/// A check could not be made.
pub(crate) fn run(repository: &Repository, chosen: &[Check]) -> anyhow::Result<bool> {
    let chosen = match chosen {
        [] => Check::value_variants(),
        some => some,
    };
    let mut good = true;
    for check in chosen {
        let started = Instant::now();
        let findings = check.run(repository)?;
        let fatal = findings.iter().filter(|finding| finding.fatal).count();
        for finding in &findings {
            say(&finding.to_string());
        }
        let verdict = if fatal == 0 { "ok" } else { "FAILED" };
        let took = started.elapsed().as_secs_f64();
        say(&format!(
            "check {:<12} {verdict} ({took:.2} s)",
            check.name()
        ));
        good &= fatal == 0;
    }
    Ok(good)
}
