//! F-05: the database is restarted in a hurry, in the middle of transactions.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const FAULT: Fault = Fault {
    number: "F-05",
    what: "fast restart of PostgreSQL, in the middle of transactions",
    alert: None,
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let (mut longest, mut up) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..world.scale.times(ROUNDS) {
        let moment = world.random.duration(Duration::from_secs(1));
        tokio::time::sleep(moment).await;
        let began = Instant::now();
        let postmaster = world.postmaster()?;
        kill(Pid::from_raw(postmaster), Signal::SIGINT)?;
        world.database_is_another(postmaster, PATIENCE).await?;
        drop(world.inspect().await?);
        up = up.max(began.elapsed());
        let _ = world.writes_again(PATIENCE).await?;
        longest = longest.max(world.load.writers.shared.attempts.gap(began));
    }
    case.heal();
    case.note("database_away_s", up.as_secs_f64());
    case.time("without_a_write_s", longest, Duration::from_secs(3));
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}
