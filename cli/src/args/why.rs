//! The words of asking why a call is denied.

use clap::Args;

use super::Shown;

pub(crate) const EXAMPLES: &str = "Paste what the proxy of the called service wrote about a 401 or 403: the line of its access log, or the response code details in it.\n\
    The rule is told as it was then, with who wrote it, and whether it has been changed or deleted since. With --to, a call that\n\
    you think of is decided by the rules as they are now.\n\n\
    Examples:\n  heddle why 'rbac_access_denied_matched_policy[none]'\n  \
    heddle why --to payments --from checkout\n  \
    heddle why --to payments --from spiffe://partner.example/app --address 10.0.3.17 --method POST --path /v1/charges\n  \
    heddle why --to payments --from checkout --header 'x-team: billing' -o json";

#[derive(Args)]
pub(crate) struct Why {
    /// What a proxy wrote: a line of its access log as JSON, or response code details; - for standard input
    #[arg(
        value_name = "LOG",
        conflicts_with = "to",
        required_unless_present = "to"
    )]
    pub(crate) log: Option<String>,
    /// The service that is called
    #[arg(long, value_name = "SERVICE")]
    pub(crate) to: Option<String>,
    /// Who calls: a service, or a SPIFFE id [default: somebody without an identity]
    #[arg(long, value_name = "CALLER", requires = "to")]
    pub(crate) from: Option<String>,
    /// Where the connection comes from [default: no network in particular]
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    pub(crate) address: Option<String>,
    /// The port of the service, by name [default: its only one]
    #[arg(long, value_name = "NAME", requires = "to")]
    pub(crate) port: Option<String>,
    /// The method [default: GET]
    #[arg(long, value_name = "METHOD", requires = "to")]
    pub(crate) method: Option<String>,
    /// The path, in any spelling [default: /]
    #[arg(long, value_name = "PATH", requires = "to")]
    pub(crate) path: Option<String>,
    /// The host [default: the name of the service]
    #[arg(long, value_name = "HOST", requires = "to")]
    pub(crate) host: Option<String>,
    /// A further header; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "to")]
    pub(crate) headers: Vec<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
