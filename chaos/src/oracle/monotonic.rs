//! O5: no proxy is told an older revision after a newer one, whichever server it is at.

use super::{Before, verdict};
use crate::case::Verdict;
use crate::world::World;

pub(super) fn all(world: &World) -> Vec<String> {
    let crowds = [&world.load.crowd, &world.load.rivals];
    crowds
        .iter()
        .flat_map(|crowd| crowd.regressions())
        .collect()
}

pub(super) fn judge(world: &World, before: &Before) -> Verdict {
    let all = all(world);
    let new = &all[before.regressions..];
    let first = new
        .first()
        .map(|first| format!(": {first}"))
        .unwrap_or_default();
    let says = format!("{} times an older revision{first}", new.len());
    verdict("O5 monotonic", Ok((new.is_empty(), says)))
}
