//! The delta session against a model of a client: any interleaving of subscriptions, answers, refusals, reconnects,
//! changes and time ends with the client having what it may have, and breaks no rule on the way (`xds` 7.3).
#![expect(clippy::unwrap_used, reason = "test code")]

mod model;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use model::{Op, World};

/// How many cases to run: 2,000, or `HEDDLE_XDS_MODEL_CASES`.
#[expect(
    clippy::disallowed_methods,
    reason = "a knob of this test, not configuration"
)]
fn cases() -> u32 {
    let asked = std::env::var("HEDDLE_XDS_MODEL_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(2_000)
}

#[test]
fn xds_model_every_interleaving_converges() {
    let config = Config {
        cases: cases(),
        max_shrink_iters: 4_000,
        failure_persistence: None,
        ..Config::default()
    };
    let ops = prop::collection::vec(model::op(), 1..60);
    let outcome = TestRunner::new(config).run(&ops, |ops: Vec<Op>| {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.settle();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Found by the test above: a name that is forgotten while its content is under way, and subscribed to again once it is
/// gone from the view.
#[test]
fn xds_x25_a_resource_forgotten_under_way_is_removed_in_the_end() {
    use heddle_xds_server::engine::kind::Kind::Route;
    let c = || vec!["c"];
    let mut world = World::new();
    for op in [
        Op::Stale(Route, false, c()),
        Op::Put(Route, "c", false),
        Op::Publish,
        Op::Drop(Route, "c"),
        Op::Publish,
        Op::Unsubscribe(Route, c(), false),
        Op::Subscribe(Route, Vec::new(), true),
    ] {
        world.apply(&op);
    }
    world.settle();
}
