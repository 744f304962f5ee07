//! O9: nothing panicked.

use super::verdict;
use crate::case::Verdict;
use crate::world::World;

pub(super) async fn judge(world: &World) -> Verdict {
    let mut panics = 0.0;
    let mut where_from = None;
    for replica in &world.replicas {
        panics += replica.uses().await.panics;
        // Those of servers that were killed since as well.
        let log = replica.server.log();
        let line = log.lines().find(|line| line.contains("panicked at"));
        where_from = where_from.or(line.map(|line| format!(" {}: {line}", replica.name)));
    }
    let good = panics == 0.0 && where_from.is_none();
    let says = format!("{panics} panics{}", where_from.unwrap_or_default());
    verdict("O9 panics", Ok((good, says)))
}
