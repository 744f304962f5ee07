//! F-14: nobody is told that something has changed. Heddle's hints go by Redis, and what they save is only waiting.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

const CUTS: usize = 20;
const EVERY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const FAULT: Fault = Fault {
    number: "F-14",
    what: "hints of changes are lost: connections cut again and again, then the channel gone",
    alert: None,
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, _before: &Mark) -> anyhow::Result<()> {
    let mut longest = Duration::ZERO;
    for round in 0..world.scale.times(CUTS) {
        world
            .redis
            .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
            .await;
        world
            .redis
            .command(&["CLIENT", "KILL", "TYPE", "normal"])
            .await;
        if round % 5 == 0 {
            let told = world.converge(Instant::now(), PATIENCE).await?;
            longest = longest.max(told.all);
        }
        tokio::time::sleep(EVERY).await;
    }
    world.redis.kill().await;
    let told = world.converge(Instant::now(), PATIENCE).await?;
    longest = longest.max(told.all);
    world.redis.start_again().await;
    case.heal();
    case.time("without_hints_all_s", longest, Duration::from_secs(10));
    Ok(())
}
