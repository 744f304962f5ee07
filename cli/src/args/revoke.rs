//! The words of revocations.

use clap::{Args, Subcommand};

use super::Shown;

pub(crate) const EXAMPLES: &str = "Examples:\n  heddle revoke list\n  \
    heddle revoke proxy payments-1 --reason 'SEC-77: the host was broken into'";

/// Who is not trusted any more.
#[derive(Subcommand)]
pub(crate) enum RevokeCommand {
    /// Revoke one proxy
    #[command(
        after_help = "It loses its stream within seconds, does not come back under its name, and gets no certificate. The one that it holds runs\n\
        out within its lifetime: until then other proxies take its calls. If its join token may be known to others, revoke that, too.\n\n\
        Examples:\n  heddle revoke proxy payments-1 --reason 'SEC-77: the host was broken into'"
    )]
    Proxy(Revoke),
    /// Revoke a service with all of its proxies
    #[command(
        after_help = "All of its proxies lose their streams, none comes back, and the other proxies of the mesh refuse its calls.\n\n\
        Examples:\n  heddle revoke service payments --reason 'SEC-78: its image was replaced'"
    )]
    Service(Revoke),
    /// List revocations, those that were lifted as well
    #[command(after_help = "Examples:\n  heddle revoke list\n  heddle revoke list -o json")]
    List(Shown),
    /// Take a revocation back: the identity may join again, and gets new certificates
    #[command(after_help = "Examples:\n  heddle revoke lift rvk_01jdbg8ehwfdftt7h57xet4v7y")]
    Lift {
        /// The id of the revocation
        id: String,
    },
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// Its name or its id
    pub(crate) name: String,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
