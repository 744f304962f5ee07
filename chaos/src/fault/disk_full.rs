//! F-11: the disk of the database is full.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

const FULL: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) const FAULT: Fault = Fault {
    number: "F-11",
    what: "the disk of PostgreSQL is full",
    alert: Some("HeddleApiFails"),
    needs: Needs::Disk,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut others = 0;
    {
        let disk = world.disk.as_ref();
        let disk = disk.ok_or_else(|| anyhow::anyhow!("the database has no disk of its own"))?;
        let _ballast = disk.fill()?;
        let until = Instant::now() + world.scale.lasting(FULL);
        let mut seen = 0;
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // What grows back into what was freed is taken again.
            disk.fill_up()?;
            let failed = world.load.writers.shared.attempts.since(began);
            seen = failed.iter().filter(|call| !call.good).count();
            let odd = |status: u16| !matches!(status, 503 | 507 | 0);
            others = failed
                .iter()
                .filter(|call| !call.good && odd(call.status))
                .count();
        }
        case.note("attempts_failed", seen);
        let reads = &world.load.readers.calls;
        case.bar("reads_failed_percent", reads.failed_percent(began), 0.0);
    }
    case.heal();
    let again = world.writes_again(PATIENCE).await?;
    case.note("write_again_s", again.as_secs_f64());
    case.count("answers_but_503_and_507", others, 0);
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}

/// The file system, when it is not there.
pub(super) fn lacks(world: &World) -> Option<String> {
    let none = world.disk.is_none();
    none.then(|| String::from("the database has no file system of its own: only root can make one"))
}
