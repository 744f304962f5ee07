//! O1: what was acknowledged is there, once and whole, and the database keeps its rules.

use heddle_tests::{broken, earlier_ones_end};

use super::verdict;
use crate::case::Verdict;
use crate::world::World;

pub(super) async fn judge(world: &World, may_lose: bool) -> Verdict {
    let writers = &world.load.writers;
    let outcome = async {
        writers.pause().await?;
        let mut database = world.inspect().await?;
        earlier_ones_end(&mut database).await;
        let verdict = writers.shared.ledger.verdict(&mut database).await;
        let broken = broken(&mut database).await;
        let surprises = writers.surprises();
        let lost = if may_lose { &Vec::new() } else { &verdict.lost };
        let bad: Vec<&String> = [
            lost,
            &verdict.duplicated,
            &verdict.half_written,
            &verdict.invented,
            &broken,
            &surprises,
        ]
        .into_iter()
        .flatten()
        .collect();
        let good = bad.is_empty() && !writers.gave_up();
        let says = format!(
            "{} acknowledged, {} lost, {} twice, {} in part, {} invented, {} rules broken, {} odd answers{}",
            verdict.acknowledged,
            verdict.lost.len(),
            verdict.duplicated.len(),
            verdict.half_written.len(),
            verdict.invented.len(),
            broken.len(),
            surprises.len(),
            bad.first()
                .map(|first| format!(": {first}"))
                .unwrap_or_default(),
        );
        Ok((good, says))
    };
    let outcome = outcome.await;
    writers.resume();
    verdict("O1 ledger", outcome)
}
