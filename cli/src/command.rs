//! What each command does: one file each, or one for a noun.

mod agent;
mod apply;
mod bootstrap;
mod certificates;
mod connect;
mod context;
mod describe;
mod doctor;
mod events;
mod export;
mod get;
mod login;
mod mtls;
mod overlay;
mod proxies;
mod revisions;
mod revoke;
mod rollback;
mod rollout;
mod rotations;
mod small;
mod sso;
mod tokens;
mod usage;
mod webhooks;
mod why;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::place::Here;

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let place = cli.place;
    match cli.command {
        Command::Completion { shell } => small::completion(shell),
        Command::Explain { code } => small::explain(&code),
        Command::Context(command) => context::run(&place, command),
        Command::Login(args) => login::login(place, args).await,
        Command::Logout => login::logout(Here::find(place)?).await,
        Command::Whoami(shown) => small::whoami(&Here::find(place)?, shown).await,
        Command::Get(args) => get::get(&Here::find(place)?, &args).await,
        Command::Delete(args) => get::delete(&Here::find(place)?, &args).await,
        Command::Describe(args) => describe::describe(&Here::find(place)?, &args).await,
        Command::Revisions(command) => revisions::run(&Here::find(place)?, command).await,
        Command::Rotations(command) => rotations::run(&Here::find(place)?, command).await,
        Command::Token(command) => tokens::token(&Here::find(place)?, command).await,
        Command::JoinToken(command) => tokens::join_token(&Here::find(place)?, command).await,
        Command::Sso(command) => sso::run(&Here::find(place)?, command).await,
        Command::Webhook(command) => webhooks::run(&Here::find(place)?, command).await,
        Command::Revoke(command) => revoke::run(&Here::find(place)?, command).await,
        Command::Mtls(command) => mtls::run(&Here::find(place)?, command).await,
        Command::WouldDeny(args) => mtls::would_deny(&Here::find(place)?, &args).await,
        Command::Events(args) => events::events(&Here::find(place)?, &args).await,
        Command::Usage(args) => usage::usage(&Here::find(place)?, &args).await,
        Command::Why(args) => why::why(&Here::find(place)?, &args).await,
        Command::Apply(args) => apply::apply(&Here::find(place)?, &args).await,
        Command::Export(args) => export::export(&Here::find(place)?, &args).await,
        Command::Diff(args) => apply::diff(&Here::find(place)?, args).await,
        Command::Proxies(command) => proxies::run(&Here::find(place)?, command).await,
        Command::Bootstrap(args) => bootstrap::bootstrap(&Here::find(place)?, &args).await,
        Command::Connect(args) => connect::connect(&Here::find(place)?, &args).await,
        Command::Agent(args) => agent::agent(*args).await,
        Command::Certificates(command) => certificates::run(&Here::find(place)?, command).await,
        Command::Doctor(args) => doctor::doctor(Here::find(place).ok().as_ref(), &args).await,
        Command::Api(args) => small::api(&Here::find(place)?, &args).await,
    }
}
