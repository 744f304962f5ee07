//! F-03: one of two servers that proxies are at is killed.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

/// Time for a change that is under way to arrive, so that nothing has changed when proxies come back.
const ARRIVES: Duration = Duration::from_secs(3);
/// In which what is sent to those that came back is counted.
const COUNTED: Duration = Duration::from_secs(2);
/// How long the server stays away.
const AWAY: Duration = Duration::from_secs(6);
/// How long is waited for those that were at it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const FAULT: Fault = Fault {
    number: "F-03",
    what: "kill -9 of one server that proxies are at",
    alert: Some("HeddleServerAway"),
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, _before: &Mark) -> anyhow::Result<()> {
    world.load.beat.pause(true);
    tokio::time::sleep(ARRIVES).await;
    let victim = world.busiest().await;
    let mark = world.load.crowd.mark();
    let killed = Instant::now();
    world.replicas[victim].server.kill().await;
    world.all_gone_and_back(&mark, PATIENCE).await?;
    tokio::time::sleep(COUNTED).await;
    let crowd = &world.load.crowd;
    let returns = crowd.returns(&mark);
    case.note("streams_moved", returns.len());
    let p99 = heddle_bench::report::percentile(&returns, 99);
    case.time("resume_p99_s", p99, Duration::from_secs(10));
    case.bar(
        "bytes_per_stream_p99",
        crowd.bytes_of_returned(&mark) as f64,
        1024.0,
    );
    case.count("taken_away", crowd.taken_away(&mark), 0);
    world.load.beat.pause(false);
    tokio::time::sleep(AWAY.saturating_sub(killed.elapsed())).await;
    world.replicas[victim].server.start_again().await;
    case.heal();
    Ok(())
}
