//! `heddled`, the control plane's one binary. Lives here: reading the command line and choosing a role.
//!
//! Does not live here: anything that a role does. Nobody may depend on this crate.

mod adapter;
mod backup;
mod ca;
mod cli;
mod config;
mod console;
mod demo;
mod ephemeral;
mod mail;
mod restore;
mod role;
mod signing;
mod telemetry;
mod up;
mod webhooks;
mod xds_certificate;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use cli::{
    AdminNoun, AuditCommand, Cli, Command, DatabaseCommand, MemberCommand, OrgCommand,
    QuotaCommand, SealingKeysCommand, SessionKeysCommand, TokenCommand,
};
use config::{Config, LogFormat, Settings};

/// What the server does most is to make small objects on one thread and to drop them on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            up::output::complain(&format!("heddled: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        // A supervisor's children die with the *thread* that started them, so there is only one.
        Command::Up(args) => {
            let runtime = single_threaded()?;
            runtime.block_on(up::run(*args))
        }
        Command::DemoApp(args) => {
            telemetry::init_log("info", LogFormat::Text)?;
            single_threaded()?.block_on(demo::app::run(args))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Child(args) => up::child::run(&args),
        Command::All(settings) => serve(*settings, role::all::run),
        Command::Ca(settings) => serve(*settings, role::ca::run),
        Command::Migrate(settings) => serve(*settings, role::migrate::run),
        // Programs of PostgreSQL die with the thread that started them, as above.
        Command::Backup(args) => {
            single_threaded()?.block_on(backup::run(*args))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Restore(args) => {
            single_threaded()?.block_on(restore::run(*args))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Admin(args) => match args.noun {
            AdminNoun::Org(OrgCommand::Create(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::admin::org_create(config, &args).await
                })
            }
            AdminNoun::Quota(QuotaCommand::List(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::quota::list(config, &args).await
                })
            }
            AdminNoun::Quota(QuotaCommand::Set(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::quota::set(config, &args).await
                })
            }
            AdminNoun::Org(OrgCommand::AllowPasswords(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::admin::org_allow_passwords(config, &args).await
                })
            }
            AdminNoun::Token(TokenCommand::Create(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::admin::token_create(config, &args).await
                })
            }
            AdminNoun::Member(MemberCommand::ResetSecondFactor(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::admin::member_reset_second_factor(config, &args).await
                })
            }
            AdminNoun::Member(MemberCommand::Create(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::admin::member_create(config, &args).await
                })
            }
            AdminNoun::Audit(AuditCommand::Verify(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::audit::verify(config, &args).await
                })
            }
            AdminNoun::SealingKeys(SealingKeysCommand::List(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::sealing_keys::list(config, args.json).await
                })
            }
            AdminNoun::SealingKeys(SealingKeysCommand::Reseal(args)) => {
                serve(args.settings.clone(), async |config| {
                    role::sealing_keys::reseal(config, args.json).await
                })
            }
            AdminNoun::Database(DatabaseCommand::Restored(args)) => {
                serve(args.settings.clone(), async |config| {
                    restore::by_other_means(config, args.json).await
                })
            }
            AdminNoun::SessionKeys(SessionKeysCommand::Rotate(settings)) => {
                serve(*settings, role::admin::session_keys_rotate)
            }
        },
    }
}

fn single_threaded() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")
}

/// Settles the configuration, sets up the log and runs a role to its end.
fn serve<R>(settings: Settings, role: R) -> anyhow::Result<ExitCode>
where
    R: AsyncFnOnce(Config) -> anyhow::Result<()>,
{
    let config = Config::load(settings)?;
    telemetry::init_log(&config.log_level, config.log_format)?;
    // What a proxy takes lies scattered over thousands of small objects. With pages of two megabytes a tenth of a page that is in use
    // keeps all of it, and each new one is wiped first. Where the kernel cannot, it costs memory and nothing else.
    let _more_memory = nix::sys::prctl::set_thp_disable(true);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(role(config))?;
    Ok(ExitCode::SUCCESS)
}
