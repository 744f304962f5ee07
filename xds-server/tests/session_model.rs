//! The session against a model of a client, in both protocols: any interleaving of subscriptions, answers, refusals,
//! stale nonces, reconnects, switches to another replica, pauses in reading, changes and time ends with the client
//! having what it may have, and breaks no rule on the way (`xds` 7.3).
#![expect(clippy::unwrap_used, reason = "test code")]

mod model;

use heddle_xds_server::engine::session::Protocol;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

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

/// Runs 10,000 cases, or `HEDDLE_XDS_MODEL_CASES`, with a random seed, or `HEDDLE_XDS_MODEL_SEED`. What it finds is shrunk
/// and printed; it then becomes a test of its own below.
fn explore(protocol: Protocol) {
    let cases = knob("HEDDLE_XDS_MODEL_CASES").unwrap_or(10_000);
    let random = std::hash::RandomState::new();
    let random = || std::hash::BuildHasher::hash_one(&random, protocol as u8);
    let seed = knob("HEDDLE_XDS_MODEL_SEED").unwrap_or_else(random);
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
        panic!("HEDDLE_XDS_MODEL_SEED={seed}: {error}");
    }
}

#[test]
fn xds_model_every_interleaving_of_delta_converges() {
    explore(Protocol::Delta);
}

#[test]
fn xds_model_every_interleaving_of_sotw_converges() {
    explore(Protocol::Sotw);
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
