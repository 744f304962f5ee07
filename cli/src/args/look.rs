//! The words of looking: an object with all that concerns it, and what happens.

use clap::{Args, ValueEnum};

use super::Shown;

pub(crate) const DESCRIBE_EXAMPLES: &str = "A service comes with the settings in force and who set each, its routes and splits, the access rules that concern it, its\n\
    proxies, and what somebody should look at. -o wide shows every setting, -o json and -o yaml one document.\n\n\
    Examples:\n  heddle describe service payments\n  heddle describe route payments/all\n  heddle describe mesh prod\n  \
    heddle describe service payments -o json";

pub(crate) const EVENTS_EXAMPLES: &str = "Without -f it tells what has been, with -f what happens from now on, until ctrl-C. A connection that is lost is made again, and\n\
    nothing is left out or told twice; each event's `id` says where --after goes on. `rollout` and `proxy` need the\n\
    permission proxies:read, `audit` needs audit:read and must be named.\n\n\
    Examples:\n  heddle events\n  heddle events -f\n  heddle events -f --topic revision,rollout -o json\n  \
    heddle events --after 0-0-0 --topic revision --limit 2 -o yaml";

#[derive(Args)]
pub(crate) struct Describe {
    /// The kind
    pub(crate) kind: String,
    /// The object: NAME, or SERVICE/NAME for what belongs to a service
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Topic {
    /// Changes of the mesh
    Revision,
    /// Proxies that come, go, acknowledge or refuse
    Proxy,
    /// How far the newest revision has come
    Rollout,
    /// Who did or tried what
    Audit,
}

impl Topic {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Revision => "revision",
            Self::Proxy => "proxy",
            Self::Rollout => "rollout",
            Self::Audit => "audit",
        }
    }
}

#[derive(Args)]
pub(crate) struct Events {
    /// Go on until ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// What about, with commas between [default: all but audit]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "TOPIC")]
    pub(crate) topic: Vec<Topic>,
    /// Begin after the event with this id; 0-0-0 is the beginning [default: the beginning, or now with -f]
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// End after so many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
