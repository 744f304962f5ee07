//! F-01: one of two servers that answer the API is killed in the middle of calls.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::{API, World};

/// Each of the two so often.
const ROUNDS: usize = 2;
/// For how long one is away.
const AWAY: Duration = Duration::from_secs(8);

pub(super) const FAULT: Fault = Fault {
    number: "F-01",
    what: "kill -9 of one server that answers the API, in the middle of calls",
    alert: Some("HeddleServerAway"),
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, _before: &Mark) -> anyhow::Result<()> {
    let mut longest = Duration::ZERO;
    for _ in 0..world.scale.times(ROUNDS) {
        for which in API.into_iter().take(world.scale.times(API.len())) {
            // The moment is the point.
            let moment = world.random.duration(Duration::from_millis(200));
            tokio::time::sleep(moment).await;
            let killed = Instant::now();
            world.replicas[which].server.kill().await;
            world.hold(AWAY).await;
            longest = longest.max(world.load.writers.shared.attempts.failing(killed));
            world.replicas[which].server.start_again().await;
        }
    }
    case.heal();
    let shared = &world.load.writers.shared;
    case.time("api_errors_s", longest, Duration::from_secs(1));
    let more = shared.writes.since(case.began);
    let more = more.iter().filter(|write| !write.good).count();
    case.count("writes_with_more_than_one_retry", more, 0);
    case.note("writes", shared.ledger.count());
    Ok(())
}
