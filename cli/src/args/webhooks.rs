//! The words of webhooks.

use clap::{Args, Subcommand, ValueEnum};

use super::Shown;

pub(crate) const EXAMPLES: &str = "Examples:\n  heddle webhook list\n  heddle webhook ping deployments\n  heddle webhook deliveries deployments";

/// Where the organisation is told what happens in it.
#[derive(Subcommand)]
pub(crate) enum WebhookCommand {
    /// List the webhooks
    #[command(after_help = "Examples:\n  heddle webhook list -o json")]
    List(Shown),
    /// Create a webhook; prints the secret that its messages are signed with, once
    #[command(
        after_help = "Examples:\n  heddle webhook create releases https://hooks.example.com/heddle --topic revision"
    )]
    Create(CreateWebhook),
    /// Send it a message that tells nothing
    #[command(after_help = "Examples:\n  heddle webhook ping deployments")]
    Ping(ShownWebhook),
    /// List what it was told, newest first
    #[command(
        after_help = "Examples:\n  heddle webhook deliveries deployments\n  heddle webhook deliveries deployments --state failed"
    )]
    Deliveries(Deliveries),
    /// Send a message again
    #[command(
        after_help = "Examples:\n  heddle webhook resend deployments $(heddle webhook deliveries deployments -o name | head -1)"
    )]
    Resend(Resend),
    /// Give it a new secret, and print it; messages are signed with the old one as well for a while
    #[command(after_help = "Examples:\n  heddle webhook rotate deployments --overlap 1h")]
    Rotate(Rotate),
    /// Tell it what happens from now on, also after it was switched off because it failed
    #[command(after_help = "Examples:\n  heddle webhook enable deployments")]
    Enable(NamedWebhook),
    /// Tell it nothing any more
    #[command(after_help = "Examples:\n  heddle webhook disable deployments")]
    Disable(NamedWebhook),
    /// Delete it, with what is known of its deliveries
    #[command(after_help = "Examples:\n  heddle webhook delete deployments")]
    Delete(NamedWebhook),
}

/// What a webhook can be told.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Topic {
    /// Every revision of every mesh
    Revision,
    /// Every row of the audit log
    Audit,
}

#[derive(Args)]
pub(crate) struct CreateWebhook {
    /// Its name, unique in the organisation
    pub(crate) name: String,
    /// Where messages are sent: https, and public
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// What it is told; may be repeated
    #[arg(long = "topic", value_name = "TOPIC", required = true)]
    pub(crate) topics: Vec<Topic>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct NamedWebhook {
    /// Its name or its id
    pub(crate) name: String,
}

#[derive(Args)]
pub(crate) struct ShownWebhook {
    /// Its name or its id
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum State {
    /// It is to be sent, or sent again
    Pending,
    /// The webhook took it
    Delivered,
    /// It did not, and nobody tries any more
    Failed,
}

#[derive(Args)]
pub(crate) struct Deliveries {
    /// Its name or its id
    pub(crate) name: String,
    /// Only those of which this became
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<State>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct Resend {
    /// Its name or its id
    pub(crate) name: String,
    /// The id of the message
    #[arg(value_name = "MESSAGE")]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct Rotate {
    /// Its name or its id
    pub(crate) name: String,
    /// For how long messages are signed with the old secret as well, at most 168h [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub(crate) overlap: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
