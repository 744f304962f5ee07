//! Faults, done to a whole Heddle under load, and judges that look on: `make chaos`.
//!
//! What lives here: a [`world`] of two replicas that answer the API and two that proxies go to, a database, a Redis, real
//! Envoys under traffic and thousands of simulated ones; one file for each [`fault`], one for each [`oracle`]. What does not: the
//! harness of the tests and the load client of the benchmarks, which it stands on. A new fault is one file and one line in
//! `fault.rs`.

mod alarm;
mod beat;
mod calls;
mod case;
mod crowd;
mod fault;
mod inside;
mod oracle;
mod readers;
mod relay;
mod run;
mod scale;
mod taint;
mod traffic;
mod wire;
mod world;
mod writers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::scale::Scale;

/// Does faults to a Heddle of its own, and says whether it stood them
#[derive(Parser)]
#[command(name = "heddle-chaos", version)]
pub(crate) struct Cli {
    /// Which faults, such as F-01,F-15; `rolling` is not among all of them
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// What chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How large the world is
    #[arg(long, value_enum, default_value_t = Scale::Full)]
    scale: Scale,
    /// So many simulated proxies instead
    #[arg(long)]
    proxies: Option<usize>,
    /// No fault begins later than this, in minutes
    #[arg(long, default_value_t = 42, value_parser = clap::value_parser!(u64).range(1..=120))]
    minutes: u64,
    /// The server's binary
    #[arg(long, default_value = "target/release/heddled")]
    heddled: PathBuf,
    /// What watches for alerts
    #[arg(long, default_value = ".tools/prometheus")]
    prometheus: PathBuf,
    /// The name of the file of evidence
    #[arg(long, default_value = "chaos")]
    evidence: String,
    /// List the faults
    #[arg(long)]
    list: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    if cli.list {
        fault::list();
        return Ok(ExitCode::SUCCESS);
    }
    if !inside::is_inside() {
        return inside::enter(&cli.heddled);
    }
    // Fails only when one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let clean = runtime.block_on(run::run(&cli))?;
    runtime.shutdown_background();
    Ok(match clean {
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
