//! The steps of a run.

use heddle_xds_server::engine::kind::Kind;
use proptest::prelude::*;

use super::OWN;
use super::client::{Answer, Versions};

/// The names that runs are about.
pub(crate) const POOL: [&str; 5] = ["a", "b", "c", "d", OWN];

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Adds names, and the wildcard.
    Subscribe(Kind, Vec<&'static str>, bool),
    /// Drops names, and the wildcard.
    Unsubscribe(Kind, Vec<&'static str>, bool),
    /// A message about a response that is long gone. In delta it changes the subscription all the same; in state of the
    /// world it does while a response is under way.
    Stale(Kind, bool, Vec<&'static str>),
    /// Answers the response in hand.
    Answer(Kind, Answer),
    /// A new stream; the flag keeps what the server remembers of refusals.
    Reconnect(Versions, bool),
    /// A new stream to another replica, which came to the same content on its own way.
    Switch(Versions),
    /// The client stops or goes on reading.
    Read(bool),
    /// New content; some of it the client will refuse.
    Put(Kind, &'static str, bool),
    /// Takes something away.
    Drop(Kind, &'static str),
    /// Shows the content to the session.
    Publish,
    /// Seconds go by.
    Pass(u64),
    /// The owner of the session gives what it was asked for.
    Grant,
    /// The client's own resource is replaced.
    Renew,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn names() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(POOL.to_vec(), 0..=3)
}

/// Any step.
pub(crate) fn op() -> impl Strategy<Value = Op> {
    let one = || prop::sample::select(POOL[..4].to_vec());
    let star = || prop::bool::weighted(0.2);
    let answer = prop_oneof![
        Just(Answer::Whole),
        Just(Answer::Parts),
        Just(Answer::Silent)
    ];
    let versions = prop_oneof![
        Just(Versions::Right),
        Just(Versions::Wrong),
        Just(Versions::None)
    ];
    prop_oneof![
        4 => (kind(), names(), star()).prop_map(|(k, n, s)| Op::Subscribe(k, n, s)),
        2 => (kind(), names(), star()).prop_map(|(k, n, s)| Op::Unsubscribe(k, n, s)),
        1 => (kind(), any::<bool>(), names()).prop_map(|(k, e, n)| Op::Stale(k, e, n)),
        6 => (kind(), answer).prop_map(|(k, a)| Op::Answer(k, a)),
        1 => (versions.clone(), any::<bool>()).prop_map(|(v, keep)| Op::Reconnect(v, keep)),
        1 => versions.prop_map(Op::Switch),
        1 => any::<bool>().prop_map(Op::Read),
        5 => (kind(), one(), prop::bool::weighted(0.2)).prop_map(|(k, n, b)| Op::Put(k, n, b)),
        2 => (kind(), one()).prop_map(|(k, n)| Op::Drop(k, n)),
        5 => Just(Op::Publish),
        2 => (1_u64..30).prop_map(Op::Pass),
        2 => Just(Op::Grant),
        1 => Just(Op::Renew),
    ]
}
