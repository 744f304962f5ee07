//! What proxies tell of the requests that they take.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::id::{AccessRuleId, ProxyId};
use heddle_model::name::Name;

/// What a proxy saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Observed {
    /// A call in plain text.
    PlainText,
    /// A call that this access rule, which only reports, would have refused.
    WouldDeny(AccessRuleId),
}

/// Whom a proxy saw, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sighting {
    /// The service that was called: the proxy's own.
    pub service: Name,
    /// The port, by the proxy's word.
    pub port: Name,
    /// What was seen.
    pub what: Observed,
    /// An address, or a SPIFFE id.
    pub caller: String,
}

/// How often somebody was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Requests that have ended.
    pub requests: u64,
    /// Those among them that were refused, whatever the mode.
    pub refused: u64,
}

/// What proxies of a mesh have reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reported {
    /// Whom they saw how often.
    pub seen: BTreeMap<Sighting, Times>,
    /// Which of them were heard.
    pub heard: BTreeSet<ProxyId>,
    /// Who has told of something that is not in here, nor in anything before.
    pub lost: BTreeSet<ProxyId>,
}
