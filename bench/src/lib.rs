//! Benchmarks that anyone can run: `heddle-bench scenario` measures a Heddle of its own, `heddle-bench xds-load` puts any
//! xDS server under load.
//!
//! What lives here: a load client that behaves as Envoy does on the wire, the scenarios, and the figures. What does not:
//! anything of the product; it is driven from outside, as users do, so no crate of ours is a dependency. A new scenario
//! is one variant in `scenario.rs` and one file beside it. Whoever injects faults lets the same fleets loose.

mod bare;
mod calibration;
mod catalogue;
mod envoy;
mod fan_out;
pub mod fleet;
mod heddle;
mod histogram;
mod http;
mod load;
pub mod members;
mod movers;
mod moves;
mod org;
mod probe;
pub mod process;
pub mod report;
mod rest;
mod scenario;
mod soak;
mod stream;
pub mod target;
mod trend;
mod truth;
pub mod wire;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::scenario::{Scenario, Size};

/// Benchmarks of Heddle, and a load client for any xDS server
#[derive(Parser)]
#[command(name = "heddle-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure a Heddle that is started for it; the shorter scenarios unless some are named
    Scenario {
        /// Which ones
        scenarios: Vec<Scenario>,
        #[command(flatten)]
        size: Box<Size>,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench")]
        out: PathBuf,
    },
    /// Churn a Heddle that is started for it, and fail when anything in it grows
    Soak(soak::Args),
    /// Be the server that `scenario fan-out` compares with
    #[command(hide = true)]
    FanOut(fan_out::Args),
    /// Put an xDS server under load: connect, fetch everything, stay, and say what came
    XdsLoad(Box<load::Args>),
}

/// Does what the command line says.
///
/// # Errors
/// A scenario cannot be run, or the server under load did what it should not.
pub async fn run() -> anyhow::Result<()> {
    // Fails only when one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::parse().command {
        Command::Scenario {
            scenarios,
            size,
            out,
        } => {
            let chosen = match scenarios.is_empty() {
                true => Scenario::DEFAULT.to_vec(),
                false => scenarios,
            };
            for scenario in chosen {
                let report = scenario::run(scenario, &size).await?;
                report.print();
                report.write(&out)?;
            }
            Ok(())
        }
        Command::Soak(args) => soak::run(args).await,
        Command::FanOut(args) => fan_out::serve(args).await,
        Command::XdsLoad(args) => load::run(*args).await,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
