//! F-06: the database is killed, again and again, and recovers.

use std::time::{Duration, Instant};

use heddle_tests::kill_at_once;

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

const ROUNDS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const FAULT: Fault = Fault {
    number: "F-06",
    what: "kill -9 of PostgreSQL, fifty times",
    alert: Some("HeddleApiFails"),
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let (mut longest, mut up) = (Duration::ZERO, Duration::ZERO);
    let rounds = world.scale.times(ROUNDS);
    for _ in 0..rounds {
        let moment = world.random.duration(Duration::from_millis(500));
        tokio::time::sleep(moment).await;
        let began = Instant::now();
        let postmaster = world.postmaster()?;
        anyhow::ensure!(kill_at_once(postmaster), "PostgreSQL is killed");
        world.database_is_another(postmaster, PATIENCE).await?;
        drop(world.inspect().await?);
        up = up.max(began.elapsed());
        let _ = world.writes_again(PATIENCE).await?;
        longest = longest.max(world.load.writers.shared.attempts.gap(began));
    }
    case.heal();
    case.note("database_away_s", up.as_secs_f64());
    case.note("kills", rounds);
    case.time("without_a_write_s", longest, Duration::from_secs(10));
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}
