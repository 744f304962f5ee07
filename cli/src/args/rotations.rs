//! The words of rotations: new authorities in the place of those of a mesh.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Note, Shown, parse_length, parse_wait};

/// What the noun can do.
pub(crate) const EXAMPLES: &str = "The mesh's root, or what signs under it, is replaced step by step, each when every proxy has followed the one before.\n\n\
    Examples:\n  heddle rotations list\n  heddle rotations start intermediate --replace-over 0s --wait=2m --yes";

#[derive(Subcommand)]
pub(crate) enum RotationsCommand {
    /// List them, newest first
    #[command(
        after_help = "Examples:\n  heddle rotations list\n  heddle rotations list --limit 5 -o json"
    )]
    List(ListRotations),
    /// Begin one
    #[command(
        after_help = "On a terminal it asks; in a script it takes --yes. With --wait it ends when the rotation has, with 7 when that takes too long.\n\
        5 when another one is under way.\n\n\
        Examples:\n  heddle rotations start intermediate --replace-over 0s --wait=2m --yes\n  \
        heddle rotations start root --mode emergency --dry-run"
    )]
    Start(StartRotation),
    /// Make a request for the owner of a root of your own to sign
    #[command(
        after_help = "Prints the certificate signing request; the key that it is for stays where it was made. Sign it with its extensions as they are, and give\n\
        the certificate and what signed it to `rotations start`.\n\n\
        Examples:\n  heddle rotations request > issuing.csr\n  heddle rotations request -o json"
    )]
    Request(RequestRotation),
    /// Show one, and where each proxy stands
    #[command(
        after_help = "Examples:\n  heddle rotations start intermediate --replace-over 0s --wait=2m --yes && heddle rotations show"
    )]
    Show(ShowRotation),
    /// Take the next step of one that was started with --manual
    #[command(
        after_help = "5 when proxies are waited for. --force does not wait: they are cut off until they come back.\n\n\
        Examples:\n  heddle rotations start root --manual --yes && heddle rotations advance --yes && heddle rotations reverse --yes"
    )]
    Advance(AdvanceRotation),
    /// Turn one round: what was there before signs again, and what is new goes
    #[command(
        after_help = "Until what was there before has been removed; then 5.\n\n\
        Examples:\n  heddle rotations start root --manual --yes && heddle rotations reverse --yes"
    )]
    Reverse(ReverseRotation),
}

#[derive(Args)]
pub(crate) struct ListRotations {
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What is replaced.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum What {
    /// What signs certificates, under the same root
    Intermediate,
    /// The root and what it signed
    Root,
}

/// How careful it is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    /// Wait for every proxy whose certificate is still good
    Planned,
    /// Wait only for those that are connected
    Emergency,
    /// Wait for nobody: the old root is dropped at once, and calls fail until both ends have the new one
    BreakTrust,
}

#[derive(Args)]
pub(crate) struct StartRotation {
    /// What is replaced
    pub(crate) what: What,
    /// How careful it is
    #[arg(long, value_enum, default_value_t = Mode::Planned)]
    pub(crate) mode: Mode,
    /// Each step waits for `advance`
    #[arg(long)]
    pub(crate) manual: bool,
    /// A request that was made before, by its id: the mesh is under a root of your own, then
    #[arg(long, value_name = "ID", requires = "certificates")]
    pub(crate) request: Option<String>,
    /// A file with the certificate for it, what signed that, and so on to the root, in PEM; - for standard input
    #[arg(long, value_name = "FILE", requires = "request")]
    pub(crate) certificates: Option<PathBuf>,
    /// Over which time certificates are replaced, such as 10m [default: an eighth of their life, at most 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub(crate) replace_over: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Wait until it has ended, at most this long: 7 when that is over
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "30m",
          value_parser = parse_wait, conflicts_with_all = ["dry_run", "manual"])]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) note: Note,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct RequestRotation {
    #[command(flatten)]
    pub(crate) note: Note,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct ShowRotation {
    /// Its id [default: the newest]
    pub(crate) rotation: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct AdvanceRotation {
    /// Its id [default: the newest]
    pub(crate) rotation: Option<String>,
    /// Do not wait for proxies
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) note: Note,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct ReverseRotation {
    /// Its id [default: the newest]
    pub(crate) rotation: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) note: Note,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
