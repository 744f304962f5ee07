//! One front door for the repository's own checks and generated files: `cargo xtask --help`.
//!
//! What lives here: checks that no compiler and no test of a crate can make, because they look at the repository
//! as a whole, and the making of what is generated. What does not: anything of the product. It depends on no
//! crate of ours and none depends on it, so that it builds in seconds and cannot be broken by what it judges.
//!
//! To add a check: one file with a function from a [`Repository`] to findings, one line in `check.rs`.

mod check;
mod ci;
mod conformance;
mod docs;
mod finding;
mod generate;
mod layers;
mod migrations;
mod output;
mod repository;
mod sizes;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::check::Check;
use crate::repository::Repository;

/// Checks the repository and makes what is generated in it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check layers, file sizes, links, words, migrations and the table of rules; all of them, or those named
    Check {
        /// Which checks; all when none is named
        checks: Vec<Check>,
    },
    /// Write what is generated: the API document, the lock of the migrations and the table of rules
    Generate,
    /// Everything that a change must pass, step by step with times: format, lints, checks, documentation, tests
    Ci,
}

fn main() -> anyhow::Result<ExitCode> {
    let repository = Repository::here()?;
    let good = match Cli::parse().command {
        Command::Check { checks } => check::run(&repository, &checks)?,
        Command::Generate => generate::run(&repository)?,
        Command::Ci => ci::run(&repository)?,
    };
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
