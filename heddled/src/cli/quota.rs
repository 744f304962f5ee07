//! `heddled admin quota`.

use clap::{Args, Subcommand};
use heddle_model::quota::{BadLimit, Limit, Quota};

use crate::config::Settings;

/// `heddled admin quota`.
#[derive(Subcommand)]
pub(crate) enum QuotaCommand {
    /// Say how much an organisation has, and how much it may have
    List(Box<QuotaList>),
    /// Say how much one organisation may have, whatever others may
    Set(Box<QuotaSet>),
}

/// `heddled admin quota list`.
#[derive(Args)]
pub(crate) struct QuotaList {
    /// The organisation
    #[arg(long)]
    pub(crate) org: String,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `heddled admin quota set`.
#[derive(Args)]
pub(crate) struct QuotaSet {
    /// The organisation
    #[arg(long)]
    pub(crate) org: String,
    /// What is limited, as `list` names it
    pub(crate) quota: Quota,
    /// A number, `unlimited`, or `default`: as much as others. What there is already stays
    #[arg(value_parser = limit)]
    pub(crate) limit: Wanted,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// How much somebody shall be allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted(pub(crate) Option<Limit>);

fn limit(text: &str) -> Result<Wanted, BadLimit> {
    match text {
        "default" => Ok(Wanted(None)),
        other => Ok(Wanted(Some(other.parse()?))),
    }
}
