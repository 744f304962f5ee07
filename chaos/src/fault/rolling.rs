//! Every server is stopped and started, one after the other, again and again, as when a new release is brought out: nobody notices.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::{API, World, XDS};

const ROUNDS: usize = 20;
/// For those that were at it.
const PATIENCE: Duration = Duration::from_secs(90);
/// A process that was told to stop has ended by then, whatever happens.
const EXIT: Duration = Duration::from_secs(65);

pub(super) const FAULT: Fault = Fault {
    number: "rolling",
    what: "twenty rolling restarts of the two servers of the API and the two of proxies",
    alert: None,
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let began = Instant::now();
    let (mut most, mut exit) = (0, Duration::ZERO);
    let rounds = world.scale.times(ROUNDS);
    for _ in 0..rounds {
        for (api, xds) in API.into_iter().zip(XDS) {
            for which in [api, xds] {
                let mark = world.load.crowd.mark();
                let told = Instant::now();
                world.replicas[which].server.stop().await;
                exit = exit.max(told.elapsed());
                world.replicas[which].server.start_again().await;
                world.all_open(PATIENCE).await?;
                most = most.max(world.load.crowd.most_returns(&mark));
            }
        }
    }
    case.heal();
    let shared = &world.load.writers.shared;
    let writes = shared.writes.since(began);
    let reads = world.load.readers.reads.since(began);
    let failed = writes
        .iter()
        .chain(&reads)
        .filter(|call| !call.good)
        .count();
    case.note("restarts", rounds * 4);
    case.note("calls", writes.len() + reads.len());
    case.note(
        "attempts_failed_percent",
        shared.attempts.failed_percent(began),
    );
    case.count("calls_failed_with_one_retry", failed, 0);
    case.count("reconnects_of_a_proxy_a_restart_most", most, 1);
    case.time("exit_s", exit, EXIT);
    case.count("taken_away", world.load.crowd.taken_away(before), 0);
    Ok(())
}
