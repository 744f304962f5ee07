//! O3: calls through real Envoys are answered.

use super::verdict;
use crate::case::{Case, Verdict};
use crate::world::World;

pub(super) fn judge(world: &World, case: &mut Case) -> Verdict {
    let mut outcomes = world.load.traffic.take();
    case.note("data_plane_calls", outcomes.answered);
    case.note("data_plane_p99_ms", outcomes.p99().as_secs_f64() * 1e3);
    let (answered, failed) = (outcomes.answered, outcomes.failed);
    let first = outcomes.failures.first();
    let first = first.map(|why| format!(": {why}")).unwrap_or_default();
    let says = format!("{failed} of {answered} calls failed{first}");
    verdict("O3 traffic", Ok((failed == 0 && answered > 0, says)))
}
