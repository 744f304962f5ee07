//! F-04: all servers that proxies are at are killed and started again: nobody is told that nothing is left.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::{World, XDS};

const AWAY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) const FAULT: Fault = Fault {
    number: "F-04",
    what: "kill -9 of all servers that proxies are at, and a start from nothing",
    alert: Some("HeddleServerAway"),
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    for which in XDS {
        world.replicas[which].server.kill().await;
    }
    tokio::time::sleep(AWAY).await;
    let mark = world.load.crowd.mark();
    let started = Instant::now();
    for which in XDS {
        world.replicas[which].server.launch();
    }
    world.all_open(PATIENCE).await?;
    case.note("all_back_s", started.elapsed().as_secs_f64());
    for which in XDS {
        world.replicas[which].server.ready().await;
    }
    case.heal();
    let crowd = &world.load.crowd;
    let p99 = heddle_bench::report::percentile(&crowd.returns(&mark), 99);
    case.time("resume_p99_s", p99, Duration::from_secs(15));
    let _ = world.converge(case.healed(), PATIENCE).await?;
    case.count("taken_away", world.load.crowd.taken_away(before), 0);
    Ok(())
}
