//! The words of plain text that is left, and of rules that only report.

use clap::{Args, Subcommand};

use super::{Shown, parse_length};

pub(crate) const EXAMPLES: &str =
    "Examples:\n  heddle mtls readiness\n  heddle mtls readiness payments";

pub(crate) const WOULD_DENY_EXAMPLES: &str = "For each access rule of the service that denies and has `report_only`: whose requests it would have refused. Counts are \"at least\".\n\n\
    Examples:\n  heddle would-deny payments\n  heddle would-deny payments --since 1d -o json";

#[derive(Subcommand)]
pub(crate) enum MtlsCommand {
    /// Say who would be turned away if a service, or all of them, took mutual TLS alone
    #[command(
        after_help = "Every proxy of a port that takes plain text tells of each request that comes so. `ready`: nobody was seen, and every proxy would\n\
        have said so. `callers_left`: somebody was. `unknown`: nobody was seen, and that need not mean anything. The step to `strict`\n\
        is refused while somebody called within the last day; `heddle apply --accept-plain-callers` takes it all the same.\n\n\
        Examples:\n  heddle mtls readiness\n  heddle mtls readiness payments --since 1d\n  heddle mtls readiness payments -o json"
    )]
    Readiness(Readiness),
}

#[derive(Args)]
pub(crate) struct Readiness {
    /// The service [default: all of the mesh]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct WouldDeny {
    /// The service
    pub(crate) service: String,
    #[command(flatten)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// How far back to look.
#[derive(Args)]
pub(crate) struct Window {
    /// How far back to look, at most 30d [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) since: Option<String>,
}
