//! What people type. Every command has an example, and a test runs each of them.

pub(crate) mod agent;
pub(crate) mod certificates;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod look;
pub(crate) mod mtls;
pub(crate) mod revoke;
pub(crate) mod rotations;
pub(crate) mod sso;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod why;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use heddle_model::duration::HumanDuration;

use crate::output::Format;

pub(crate) mod proxy;
pub(crate) mod webhooks;

/// Describe, look at and change what Envoys do, from a shell.
#[derive(Parser)]
#[command(
    name = "heddle",
    version,
    max_term_width = 110,
    arg_required_else_help = true
)]
#[command(
    after_help = "Data goes to standard output, everything else to standard error.\n\
    Exit codes: 0 done, 1 error, 2 usage, 3 not found, 4 not signed in or not allowed, 5 conflict, 6 rules broken,\n\
    7 waited in vain, 8 there are differences.\n\n\
    Examples:\n  heddle whoami\n  heddle get services"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where to work, and as whom.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Where (flag, then environment, then context)")]
pub(crate) struct Place {
    /// The address of the server
    #[arg(long, global = true, value_name = "URL", env = "HEDDLE_SERVER")]
    pub(crate) server: Option<String>,
    /// The organisation [default: the credential's own]
    #[arg(long, global = true, value_name = "NAME", env = "HEDDLE_ORG")]
    pub(crate) org: Option<String>,
    /// The mesh
    #[arg(long, short, global = true, value_name = "NAME", env = "HEDDLE_MESH")]
    pub(crate) mesh: Option<String>,
    /// The context to take the rest from [default: the one in use]
    #[arg(long, global = true, value_name = "NAME", env = "HEDDLE_CONTEXT")]
    pub(crate) context: Option<String>,
    /// A file with an API token; HEDDLE_TOKEN holds one itself
    #[arg(long, global = true, value_name = "FILE", env = "HEDDLE_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say who you are and what you may do
    #[command(after_help = "Examples:\n  heddle whoami\n  heddle whoami -o json")]
    Whoami(Shown),
    /// Sign in: a member types a code into the console
    #[command(
        after_help = "The session is kept in HEDDLE_CONFIG_DIR (~/.config/heddle), for nobody else to read, with a context that is named after the\n\
        organisation. Programs need none: they set HEDDLE_TOKEN, or name a file with --token-file.\n\n\
        Examples:\n  heddle login --server http://localhost:8080 --mesh prod\n  \
        heddle login --scope config:read --scope meshes:read"
    )]
    Login(Login),
    /// End the session of the context
    #[command(after_help = "Examples:\n  heddle logout")]
    Logout,
    /// Which server, organisation and mesh commands are about
    #[command(subcommand, after_help = "Examples:\n  heddle context list")]
    Context(ContextCommand),
    /// List objects of a kind, or show one
    #[command(
        after_help = "Kinds: meshes, services, profiles, routes, splits, access-rules, join-tokens, proxies, revocations, revisions, members,\n\
        invitations, service-accounts, role-bindings, tokens, sessions. What belongs to a service is named SERVICE/NAME.\n\n\
        Examples:\n  heddle get meshes\n  heddle get services -o wide\n  heddle get service payments -o yaml\n  \
        heddle get routes --service payments\n  heddle get split payments/all\n  \
        heddle get services --filter 'labels.team = \"pay\"' -o name"
    )]
    Get(Get),
    /// Show an object with everything that concerns it
    #[command(after_help = look::DESCRIBE_EXAMPLES)]
    Describe(look::Describe),
    /// Write what files describe: all of it, or nothing
    #[command(
        after_help = "Files hold YAML or JSON, one or more documents, each with `kind` and `name`, and with `service` and `route` where it\n\
        belongs to one. Whatever `get` prints can be applied again.\n\n\
        Examples:\n  heddle apply -f mesh.yaml\n  heddle apply -f services/ --dry-run\n  \
        heddle get service payments -o yaml | heddle apply -f -\n  \
        heddle apply -f services/ --wait=2m\n  \
        heddle apply -f services/ --sync --manager 'deploys; ref=\"acme/shop\"' --message 'PAY-1123'"
    )]
    Apply(Apply),
    /// Write down everything that was declared, to keep it or to take it elsewhere
    #[command(after_help = export::EXAMPLES)]
    Export(export::Export),
    /// Say what `apply` would change: 8 when it is anything
    #[command(
        after_help = "Examples:\n  heddle diff -f services/\n  heddle diff -f services/ -o json || test $? = 8"
    )]
    Diff(Diff),
    /// Delete objects
    #[command(
        after_help = "Examples:\n  heddle delete split payments/all\n  heddle delete service payments --dry-run"
    )]
    Delete(Delete),
    /// The Envoys of a mesh: who has what it should have, what each is told, what they refuse
    #[command(subcommand, after_help = "Examples:\n  heddle proxies list")]
    Proxies(proxy::ProxiesCommand),
    /// Print the file that an Envoy of a service starts with
    #[command(
        after_help = "It names the file that holds the join token on the Envoy's host, and not the token.\n\n\
        Examples:\n  heddle bootstrap payments payments-1 --advertise-address 10.0.3.17 > envoy.yaml\n  \
        heddle bootstrap payments payments-1 --advertise-address 10.0.3.17 --new-token ./heddle-token > envoy.yaml\n  \
        heddle bootstrap payments payments-1 --bind-address 10.0.3.17 --join-token-file /run/heddle/token -o json\n  \
        heddle bootstrap payments payments-2 --overlay --beside own.yaml > overlay.yaml"
    )]
    Bootstrap(proxy::Bootstrap),
    /// Let an Envoy of this host join the mesh, and watch it arrive
    #[command(after_help = proxy::CONNECT_EXAMPLES)]
    Connect(proxy::Connect),
    /// Hand out certificates on this host, for a key that never leaves it
    #[command(after_help = agent::EXAMPLES)]
    Agent(Box<agent::Agent>),
    /// Certificates for programs that are no proxies
    #[command(subcommand, visible_alias = "certificate", after_help = certificates::EXAMPLES)]
    Certificates(certificates::CertificatesCommand),
    /// Find out why an Envoy on this host does not work
    #[command(after_help = proxy::DOCTOR_EXAMPLES)]
    Doctor(proxy::Doctor),
    /// What was changed when, and the way back
    #[command(subcommand, visible_alias = "revision", after_help = history::EXAMPLES)]
    Revisions(history::RevisionsCommand),
    /// New authorities in the place of those of the mesh
    #[command(subcommand, visible_alias = "rotate", after_help = rotations::EXAMPLES)]
    Rotations(rotations::RotationsCommand),
    /// What programs call the API with
    #[command(subcommand, after_help = tokens::TOKEN_EXAMPLES)]
    Token(tokens::TokenCommand),
    /// What Envoys join the mesh with
    #[command(subcommand, after_help = tokens::JOIN_EXAMPLES)]
    JoinToken(tokens::JoinTokenCommand),
    /// Identity providers that members sign in by
    #[command(subcommand, after_help = sso::EXAMPLES)]
    Sso(sso::SsoCommand),
    /// Where the organisation is told what happens in it
    #[command(subcommand, after_help = webhooks::EXAMPLES)]
    Webhook(webhooks::WebhookCommand),
    /// Proxies and services that are not trusted any more
    #[command(subcommand, after_help = revoke::EXAMPLES)]
    Revoke(revoke::RevokeCommand),
    /// Who still calls in plain text
    #[command(subcommand, after_help = mtls::EXAMPLES)]
    Mtls(mtls::MtlsCommand),
    /// Say whom access rules that only report would have refused
    #[command(after_help = mtls::WOULD_DENY_EXAMPLES)]
    WouldDeny(mtls::WouldDeny),
    /// Tell what happens in the mesh
    #[command(after_help = look::EVENTS_EXAMPLES)]
    Events(look::Events),
    /// Find out why a call is allowed or denied
    #[command(after_help = why::EXAMPLES)]
    Why(why::Why),
    /// How much there is, how much there may be, and what was used
    #[command(after_help = usage::EXAMPLES)]
    Usage(usage::Usage),
    /// Explain an error code
    #[command(after_help = "Examples:\n  heddle explain HED-1002")]
    Explain {
        /// The code
        code: String,
    },
    /// Send any request, and print the answer as it comes
    #[command(after_help = "Examples:\n  heddle api GET /v1/orgs/-/meshes\n  \
        heddle api PATCH /v1/orgs/-/meshes/prod '{\"display_name\": \"Production\"}'")]
    Api(Api),
    /// Print what a shell completes commands with
    #[command(after_help = "Examples:\n  heddle completion bash > heddle.bash")]
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[derive(Args)]
pub(crate) struct Login {
    /// A permission that the session is narrowed to; may be repeated [default: all that you have]
    #[arg(long = "scope", value_name = "PERMISSION")]
    pub(crate) scopes: Vec<String>,
}

/// How the answer is shown.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// How the answer is shown
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
}

#[derive(Subcommand)]
pub(crate) enum ContextCommand {
    /// List them
    #[command(after_help = "Examples:\n  heddle context list")]
    List(Shown),
    /// Make one, or change it, and use it
    #[command(
        after_help = "Examples:\n  heddle context set prod --server http://localhost:8080 --org acme --mesh prod"
    )]
    Set {
        /// Its name
        name: String,
    },
    /// Use another one
    #[command(after_help = "Examples:\n  heddle context use prod")]
    Use {
        /// Its name
        name: String,
    },
    /// Forget one
    #[command(after_help = "Examples:\n  heddle context delete prod")]
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Args)]
pub(crate) struct Get {
    /// The kind
    pub(crate) kind: String,
    /// The object: NAME, or SERVICE/NAME for what belongs to a service
    pub(crate) name: Option<String>,
    /// Only what belongs to this service
    #[arg(long, short, value_name = "NAME", conflicts_with = "name")]
    pub(crate) service: Option<String>,
    /// Only what this is true of
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "name")]
    pub(crate) filter: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Files that describe objects.
#[derive(Args)]
pub(crate) struct Files {
    /// A file, a folder with files that end in .yaml, .yml or .json, or - for standard input; may be repeated
    #[arg(long = "filename", short = 'f', value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Delete what the same --manager has written before and the files no longer describe
    #[arg(long, requires = "manager")]
    pub(crate) sync: bool,
    /// Which program looks after these objects, such as `deploys; ref="acme/shop"`
    #[arg(long, value_name = "NAME", env = "HEDDLE_MANAGER")]
    pub(crate) manager: Option<String>,
    /// Write also what another program manages
    #[arg(long)]
    pub(crate) takeover: bool,
    /// Make ports strict although somebody calls them in plain text, whose calls then fail
    #[arg(long)]
    pub(crate) accept_plain_callers: bool,
}

/// What is said about a change.
#[derive(Args)]
pub(crate) struct Note {
    /// Why: kept with the revision
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// What ties the revision to others
    #[arg(long, value_name = "TEXT")]
    pub(crate) change_group: Option<String>,
    /// Check everything, and keep nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Whether to wait for proxies.
#[derive(Args, Default)]
pub(crate) struct Waiting {
    /// Wait until every proxy that it concerns has it, at most this long: 7 when that is over, 1 when one refuses it
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "5m",
          value_parser = parse_wait, conflicts_with = "dry_run")]
    pub(crate) wait: Option<Duration>,
}

/// How long to wait.
fn parse_wait(text: &str) -> Result<Duration, String> {
    let length = parse_length(text)?.parse::<HumanDuration>();
    length.map(|l| l.get()).map_err(|error| error.to_string())
}

/// A length of time as the API reads it; days are people's.
fn parse_length(text: &str) -> Result<String, String> {
    let hours = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok()?.checked_mul(24));
    let text = hours.map_or_else(|| text.to_owned(), |hours| format!("{hours}h"));
    let length = text.parse::<HumanDuration>();
    length
        .map(|length| length.as_str().to_owned())
        .map_err(|_| String::from("a number and one of s, m, h, d, such as 90s, 12h or 30d"))
}

#[derive(Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) note: Note,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct Delete {
    /// The kind
    pub(crate) kind: String,
    /// The object: NAME, or SERVICE/NAME for what belongs to a service
    pub(crate) name: String,
    /// Only if it is still the one with this ETag
    #[arg(long, value_name = "ETAG")]
    pub(crate) if_match: Option<String>,
    /// Delete it although another program manages it
    #[arg(long)]
    pub(crate) takeover: bool,
    #[command(flatten)]
    pub(crate) note: Note,
}

#[derive(Args)]
pub(crate) struct Api {
    /// The method
    pub(crate) method: String,
    /// The address, from /v1 on
    pub(crate) path: String,
    /// The body, as JSON; - for standard input
    pub(crate) body: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Every command below one, with its path.
    fn tree(command: &clap::Command, path: &str, all: &mut Vec<(String, clap::Command)>) {
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name());
            tree(below, &path, all);
            all.push((path, below.clone()));
        }
    }

    #[test]
    fn no_command_is_without_an_example_or_hidden_from_the_test_that_runs_them() {
        let mut root = Cli::command();
        root.build();
        let mut all = Vec::new();
        tree(&root, "heddle", &mut all);
        all.retain(|(path, _)| !path.split(' ').any(|word| word == "help"));
        assert!(all.len() > 25, "{}", all.len());
        for (path, command) in all {
            assert!(!command.is_hide_set(), "{path} is in no list of commands");
            let after = command.get_after_help().map(ToString::to_string);
            let after = after.unwrap_or_default();
            let examples = after.split_once("Examples:\n").map_or("", |(_, e)| e);
            // A noun may show what one of its verbs does.
            let own = examples.lines().any(|line| line.contains(&path));
            assert!(own, "{path} has no example of its own");
            for line in examples.lines().filter(|line| !line.is_empty()) {
                assert!(
                    line.starts_with("  ") && line.contains("heddle "),
                    "{path}: {line}"
                );
            }
            assert!(command.get_about().is_some(), "{path} is not described");
            for argument in command.get_arguments() {
                let described = argument.get_help().is_some();
                assert!(described, "{path}: {} is not described", argument.get_id());
            }
        }
    }

    #[test]
    fn days_are_hours() {
        assert_eq!(parse_length("30d").unwrap(), "720h");
        assert_eq!(parse_length("90s").unwrap(), "90s");
        assert_eq!(parse_wait("2m").unwrap(), Duration::from_secs(120));
        for wrong in ["", "d", "-1d", "1w", "30", "9999999999d"] {
            assert!(parse_length(wrong).is_err(), "{wrong}");
        }
    }
}
