//! F-08: the database holds its breath: it neither answers nor goes away.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::{Uses, World};

const FROZEN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(2);

pub(super) const FAULT: Fault = Fault {
    number: "F-08",
    what: "PostgreSQL stopped where it is for a minute (SIGSTOP)",
    alert: Some("HeddleDatabaseAway"),
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let calm = tasks(world).await;
    world.postgres.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    let mut most = Vec::new();
    while frozen.elapsed() < world.scale.lasting(FROZEN) {
        tokio::time::sleep(LOOK).await;
        let now = tasks(world).await;
        let more = now.iter().zip(&calm).map(|(now, before)| now - before);
        most.push(more.fold(0.0, f64::max));
    }
    world.postgres.signal(Signal::SIGCONT);
    case.heal();
    case.bar("tasks_more", most.into_iter().fold(0.0, f64::max), 200.0);
    let attempts = &world.load.writers.shared.attempts;
    let longest = attempts.longest(frozen, 503);
    case.time("answer_503_after_s", longest, Duration::from_secs(2));
    let silent = attempts
        .since(frozen)
        .iter()
        .filter(|call| call.status == 0)
        .count();
    case.count("attempts_without_an_answer", silent, 0);
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}

async fn tasks(world: &World) -> Vec<f64> {
    let mut all = Vec::new();
    for replica in &world.replicas {
        let Uses { tasks, .. } = replica.uses().await;
        all.push(tasks);
    }
    all
}
