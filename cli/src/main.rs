//! The command line: what people and scripts do with the API from a shell.
//!
//! What lives here: words and flags, files that describe objects, tables and exit codes, and what is remembered between commands. What does
//! not: any rule about objects, which the server judges; what an object consists of, which is whatever the API says.
//!
//! It depends on `model` for the texts of error codes. A new command: a variant in `args.rs` with an example, a file in `command/`.

mod args;
mod ask;
mod changes;
mod client;
mod command;
mod config;
mod documents;
mod failure;
mod host;
mod kinds;
mod output;
mod paint;
mod place;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // Prints help, and ends with 2 when the command line makes no sense.
    let cli = args::Cli::parse();
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(command::run(cli)),
        Err(error) => Err(failure::Failure::io("start", &error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Differences are what was asked for.
            if failure.exit() == failure::Exit::Differences {
                return ExitCode::from(failure.exit() as u8);
            }
            let text = failure.render();
            output::say(text.trim_end());
            ExitCode::from(failure.exit() as u8)
        }
    }
}
