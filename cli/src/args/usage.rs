//! The words of quotas and usage.

use clap::Args;

use super::Shown;

pub(crate) const EXAMPLES: &str = "Who would have more of something than there may be is told HED-2029; what is there already stays.\n\n\
    Examples:\n  heddle usage\n  heddle usage --days 7 -o json";

#[derive(Args)]
pub(crate) struct Usage {
    /// Of how many days, today among them
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
