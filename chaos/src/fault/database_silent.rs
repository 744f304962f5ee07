//! F-09: the way to the database is lost without a word: neither side is told.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::Fault;
use crate::case::Case;
use crate::crowd::Mark;
use crate::wire::{self, Loss, Wire};
use crate::world::World;

const SILENT: Duration = Duration::from_secs(40);
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct DatabaseSilent;

#[async_trait(?Send)]
impl Fault for DatabaseSilent {
    fn number(&self) -> &'static str {
        "F-09"
    }

    fn what(&self) -> &'static str {
        "packets to and from PostgreSQL are lost, and nobody is told"
    }

    fn alert(&self) -> Option<&'static str> {
        Some("HeddleDatabaseAway")
    }

    fn lacks(&self, _world: &World) -> Option<String> {
        wire::lacks()
    }

    async fn strike(
        &self,
        world: &mut World,
        case: &mut Case,
        before: &Mark,
    ) -> anyhow::Result<()> {
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
}
