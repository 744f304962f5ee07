//! F-13: the database is lost, and a replica that may lack the last moments takes its place. Last of all: what follows runs on that.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::relay::{Mode, Upstream};
use crate::world::World;

const FOLLOWS: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) const FAULT: Fault = Fault {
    number: "F-13",
    what: "PostgreSQL is lost and an asynchronous replica takes its place",
    alert: None,
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let data = world.directory.path().join("standby");
    let mut standby = world.postgres.standby(&data).await;
    tokio::time::sleep(FOLLOWS).await;
    let lost = Instant::now();
    world.postgres.kill().await;
    // Whoever is still connected to the old one is cut off before the new one takes a word.
    for replica in &world.replicas {
        replica.database.set(Mode::Cut);
        let socket = standby.socket_directory().join(".s.PGSQL.5432");
        replica.database.lead(Upstream::Socket(socket));
    }
    standby.promote().await;
    for replica in &mut world.replicas {
        replica.database.set(Mode::Pass);
        replica.server.set_database(&standby);
    }
    std::mem::swap(&mut world.postgres, &mut standby);
    // The old one: a disk of its own comes off with it.
    drop(standby);
    let _ = world.writes_again(PATIENCE).await?;
    case.heal();
    case.may_lose();
    let gap = world.load.writers.shared.attempts.gap(lost);
    case.note("without_a_write_s", gap.as_secs_f64());
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}
