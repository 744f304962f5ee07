//! The session against a model of a client, in both protocols: any interleaving of subscriptions, answers, refusals,
//! stale nonces, reconnects, switches to another replica, pauses in reading, changes and time ends with the client
//! having what it may have, and breaks no rule on the way (`xds` 7.3).
#![expect(clippy::unwrap_used, reason = "test code")]

mod model;

use heddle_xds_server::engine::session::Protocol;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use model::client::Versions;
use model::{Op, World};

/// A number from the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "a knob of this test, not configuration"
)]
fn knob(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(protocol: Protocol, ops: &[Op]) {
    let mut world = World::new(protocol);
    for op in ops {
        world.apply(op);
    }
    world.settle();
}

/// Runs 10,000 cases, or `HEDDLE_XDS_MODEL_CASES`, with this seed, or `HEDDLE_XDS_MODEL_SEED`. What it finds is shrunk and
/// printed; it then becomes a test of its own below.
fn explore(protocol: Protocol, seed: u64) {
    let cases = knob("HEDDLE_XDS_MODEL_CASES").unwrap_or(10_000);
    let seed = knob("HEDDLE_XDS_MODEL_SEED").unwrap_or(seed);
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        max_shrink_iters: 4_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let ops = prop::collection::vec(model::op(), 1..60);
    let outcome = TestRunner::new(config).run(&ops, |ops: Vec<Op>| {
        run(protocol, &ops);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{protocol:?} HEDDLE_XDS_MODEL_SEED={seed}: {error}");
    }
}

// The short tests explore the same cases each time, so that a change that passed does not fail at somebody else's; the
// long one looks for new ones.

#[test]
fn xds_model_every_interleaving_of_delta_converges() {
    explore(Protocol::Delta, 1);
}

#[test]
fn xds_model_every_interleaving_of_sotw_converges() {
    explore(Protocol::Sotw, 1);
}

#[test]
#[ignore = "minutes; `make test-long`"]
fn xds_model_random_interleavings_converge() {
    let first = heddle_evidence::seed();
    for round in 0..5 {
        for protocol in [Protocol::Delta, Protocol::Sotw] {
            explore(protocol, first.wrapping_add(round));
        }
    }
    heddle_evidence::evidence(
        "session-model",
        first,
        serde_json::json!({ "cases": 100_000, "violations": 0 }),
    );
}

/// Found by the test above: a name that is forgotten while its content is under way, and subscribed to again once it is
/// gone from the view.
#[test]
fn xds_x25_a_resource_forgotten_under_way_is_removed_in_the_end() {
    use heddle_xds_server::engine::kind::Kind::Route;
    let c = || vec!["c"];
    let ops = [
        Op::Stale(Route, false, c()),
        Op::Put(Route, "c", false),
        Op::Publish,
        Op::Drop(Route, "c"),
        Op::Publish,
        Op::Unsubscribe(Route, c(), false),
        Op::Subscribe(Route, Vec::new(), true),
    ];
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        run(protocol, &ops);
    }
}

/// Found by the test above: what spoiled the first set of a client that came back is gone before it is refused, while a
/// refused listener keeps removals waiting.
#[test]
fn xds_x13_x33_a_set_is_sent_again_without_what_spoiled_it() {
    use heddle_xds_server::engine::kind::Kind::{Cluster, Listener};
    let ops = [
        Op::Put(Listener, "a", true),
        Op::Put(Cluster, "b", false),
        Op::Subscribe(Cluster, Vec::new(), false),
        Op::Put(Cluster, "a", true),
        Op::Switch(Versions::Wrong),
        Op::Publish,
        Op::Subscribe(Listener, Vec::new(), false),
        Op::Drop(Cluster, "a"),
    ];
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        run(protocol, &ops);
    }
}

/// Found by the test above: a client that has nothing yet drops a name before there is a view.
#[test]
fn xds_x26_who_claims_nothing_has_nothing_also_after_it_dropped_a_name() {
    use heddle_xds_server::engine::kind::Kind::Cluster;
    let ops = [
        Op::Put(Cluster, "a", true),
        Op::Subscribe(Cluster, vec!["d"], true),
        Op::Unsubscribe(Cluster, vec!["d"], false),
        Op::Put(Cluster, "b", false),
    ];
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        run(protocol, &ops);
    }
}

/// Found by the test above: a name of a refused set that is not asked for any more when the refusal comes.
#[test]
fn xds_x25_a_set_is_sent_again_without_a_refused_name_that_was_dropped() {
    use heddle_xds_server::engine::kind::Kind::Listener;
    let ops = [
        Op::Stale(Listener, false, vec!["a", "b"]),
        Op::Put(Listener, "b", true),
        Op::Switch(Versions::Wrong),
        Op::Publish,
        Op::Unsubscribe(Listener, vec!["b"], false),
    ];
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        run(protocol, &ops);
    }
}
