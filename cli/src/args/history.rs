//! The words of history: revisions, what they changed, and the way back.

use clap::{Args, Subcommand};

use super::{Note, Shown, Waiting};

/// What the noun can do.
pub(crate) const EXAMPLES: &str = "A revision is one accepted write. History is never rewritten: going back makes a new revision.\n\n\
    Examples:\n  heddle revisions list --limit 10\n  heddle revisions diff\n  heddle revisions rollback 1 --dry-run";

#[derive(Subcommand)]
pub(crate) enum RevisionsCommand {
    /// List them, newest first
    #[command(
        after_help = "Examples:\n  heddle revisions list\n  heddle revisions list --limit 5 -o wide\n  \
        heddle revisions list --change-group run-7f3 -o json"
    )]
    List(ListRevisions),
    /// Show one with the objects that it changed, and how far it has come
    #[command(
        after_help = "Examples:\n  heddle revisions show\n  heddle revisions show 2\n  heddle revisions show 2 -o yaml"
    )]
    Show(ShowRevision),
    /// Say field by field what differs between two revisions
    #[command(
        after_help = "Lines that begin with - are as they were, those with + as they are. Colours only on a terminal, and never with NO_COLOR.\n\n\
        Examples:\n  heddle revisions diff\n  heddle revisions diff 3 --from 1\n  \
        heddle revisions diff 2 --exit-code || test $? = 8\n  heddle revisions diff 2 -o json"
    )]
    Diff(DiffRevisions),
    /// Make the mesh what it was at a revision
    #[command(
        after_help = "On a terminal it shows what would change and asks; in a script it takes --yes, or --dry-run to look only.\n\
        5 when something stands in the way, or the mesh has changed since it was shown.\n\n\
        Examples:\n  heddle revisions rollback 1 --dry-run\n  heddle revisions rollback 2 --yes --message 'Back to Monday'\n  \
        heddle revisions rollback 2 --yes --wait=2m -o json"
    )]
    Rollback(GoBack),
    /// Take back what one revision changed, and keep what came later
    #[command(
        after_help = "On a terminal it shows what would change and asks; in a script it takes --yes, or --dry-run to look only.\n\
        5 when what it changed was changed again since: nothing is taken back then, and each such field is named.\n\n\
        Examples:\n  heddle revisions revert 3 --dry-run\n  heddle revisions revert 3 --yes -o json"
    )]
    Revert(GoBack),
}

#[derive(Args)]
pub(crate) struct ListRevisions {
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Only those of this change group
    #[arg(long, value_name = "TEXT")]
    pub(crate) change_group: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct ShowRevision {
    /// Its number [default: the newest]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) revision: Option<u64>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct DiffRevisions {
    /// Its number [default: the newest]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) revision: Option<u64>,
    /// The revision to compare with, older or newer; 0 is the empty mesh [default: the one before]
    #[arg(long, value_name = "REVISION")]
    pub(crate) from: Option<u64>,
    /// End with 8 when there are differences, as `heddle diff` does
    #[arg(long)]
    pub(crate) exit_code: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct GoBack {
    /// The number of the revision
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) revision: u64,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Write also what another program manages
    #[arg(long)]
    pub(crate) takeover: bool,
    /// Make ports strict although somebody calls them in plain text, whose calls then fail
    #[arg(long)]
    pub(crate) accept_plain_callers: bool,
    #[command(flatten)]
    pub(crate) note: Note,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
