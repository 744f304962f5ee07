//! F-09: the way to the database is lost without a word: neither side is told.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::wire::{Loss, Wire};
use crate::world::World;

const SILENT: Duration = Duration::from_secs(40);
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) const FAULT: Fault = Fault {
    number: "F-09",
    what: "packets to and from PostgreSQL are lost, and nobody is told",
    alert: Some("HeddleDatabaseAway"),
    needs: Needs::Network,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let ports: Vec<u16> = world.replicas.iter().map(|r| r.database.port()).collect();
    let wire = Wire::lose(&ports, Loss::All)?;
    let silent = Instant::now();
    world.hold(SILENT).await;
    let attempts = &world.load.writers.shared.attempts;
    case.note("longest_503_s", attempts.longest(silent, 503).as_secs_f64());
    case.note(
        "longest_without_an_answer_s",
        attempts.longest(silent, 0).as_secs_f64(),
    );
    drop(wire);
    case.heal();
    let again = world.writes_again(PATIENCE).await?;
    case.time("write_again_s", again, Duration::from_secs(20));
    // A pool that is whole again answers as fast as before.
    let whole = Instant::now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let attempts = &world.load.writers.shared.attempts;
    case.note("errors_after_percent", attempts.failed_percent(whole));
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}
