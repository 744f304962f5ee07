//! The words of credentials: API tokens for programs, join tokens for Envoys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Shown, parse_length};

pub(crate) const TOKEN_EXAMPLES: &str = "Examples:\n  heddle token list\n  heddle token create laptop-2 --scope config:read --expires 30d";

pub(crate) const JOIN_EXAMPLES: &str = "Examples:\n  heddle join-token list\n  \
    heddle join-token create payments-host-8 --service payments --expires 1h";

/// API tokens.
#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make one; it is shown once
    #[command(
        after_help = "It can do what its owner can, or less. Standard output has the token; with --quiet nothing else.\n\n\
        Examples:\n  heddle token create laptop\n  \
        heddle token create deploy --service-account deployer --scope config:read --scope config:write --expires 30d\n  \
        heddle token create reader --only-mesh prod --scope config:read --to reader.token"
    )]
    Create(CreateToken),
    /// List them
    #[command(
        after_help = "Examples:\n  heddle token list\n  heddle token list --service-account deployer -o json"
    )]
    List(ListTokens),
    /// Give one a new secret; the old one works on for a while
    #[command(after_help = "Examples:\n  heddle token rotate ci --overlap 1h --quiet > ci.token")]
    Rotate(RotateToken),
    /// End one, at once
    #[command(after_help = "Examples:\n  heddle token revoke ci")]
    Revoke(Revoke),
}

/// Join tokens.
#[derive(Subcommand)]
pub(crate) enum JoinTokenCommand {
    /// Make one; it is shown once
    #[command(
        after_help = "Envoys of one service become proxies with it. Standard output has the token; with --quiet nothing else. An Envoy reads it\n\
        from a file that --to writes: there must be no line break behind it.\n\n\
        Examples:\n  heddle join-token create payments-host-7 --service payments\n  \
        heddle join-token create payments-fleet --service payments --reusable --expires 30d --to payments.token\n  \
        heddle join-token create payments-spot --service payments --ephemeral --network 10.20.0.0/16 --label zone=eu-1"
    )]
    Create(CreateJoinToken),
    /// List those of the mesh
    #[command(after_help = "Examples:\n  heddle join-token list\n  heddle join-token list -o name")]
    List(Shown),
    /// End one: nobody joins with it any more, and who has joined with it loses the way in
    #[command(after_help = "Examples:\n  heddle join-token revoke payments-hosts")]
    Revoke(Revoke),
}

/// How a secret is shown.
#[derive(Args)]
pub(crate) struct Secretive {
    /// Print the token and nothing else
    #[arg(long, short, conflicts_with = "output")]
    pub(crate) quiet: bool,
    /// Write the token into this new file, which only you may read, and print nothing of it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quiet", "output"])]
    pub(crate) to: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct CreateToken {
    /// Its name, unique among the tokens of the organisation
    pub(crate) name: String,
    /// The service account that it is for [default: it is your own]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<String>,
    /// A permission that it is narrowed to; may be repeated [default: all that its owner has]
    #[arg(long = "scope", value_name = "PERMISSION")]
    pub(crate) scopes: Vec<String>,
    /// A mesh that it is narrowed to; may be repeated [default: all that its owner reaches]
    #[arg(long = "only-mesh", value_name = "NAME")]
    pub(crate) meshes: Vec<String>,
    /// After how long it stops working, such as 12h or 30d [default: 90 days]
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) expires: Option<String>,
    /// It works until it is revoked; for service accounts only
    #[arg(long, conflicts_with = "expires")]
    pub(crate) never_expires: bool,
    #[command(flatten)]
    pub(crate) secretive: Secretive,
}

#[derive(Args)]
pub(crate) struct ListTokens {
    /// Only those of this service account
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<String>,
    /// Only those of this member, by e-mail address
    #[arg(long, value_name = "EMAIL", conflicts_with = "service_account")]
    pub(crate) member: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct RotateToken {
    /// Its name
    pub(crate) name: String,
    /// For how long the old secret works on, such as 1h; 0s for not at all [default: a day]
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) overlap: Option<String>,
    /// After how long the token stops working, such as 30d [default: as it was made]
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) expires: Option<String>,
    #[command(flatten)]
    pub(crate) secretive: Secretive,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// Its name or its id
    pub(crate) name: String,
}

#[derive(Args)]
pub(crate) struct CreateJoinToken {
    /// Its name, unique in the mesh
    pub(crate) name: String,
    /// The service that its Envoys join
    #[arg(long, short, value_name = "NAME")]
    pub(crate) service: String,
    /// Several Envoys may join with it
    #[arg(long)]
    pub(crate) reusable: bool,
    /// After how long nobody joins with it any more, such as 1h or 30d [default: an hour; 90 days if reusable]
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) expires: Option<String>,
    /// Its Envoys are forgotten once they have been away for a while
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// A network that its Envoys come from; may be repeated [default: anywhere]
    #[arg(long = "network", value_name = "CIDR")]
    pub(crate) networks: Vec<String>,
    /// A label of its Envoys; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) labels: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) secretive: Secretive,
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let pair = pair.map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| String::from("a key, `=` and a value, such as zone=eu-1"))
}
