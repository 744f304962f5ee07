//! O4: nothing of one organisation shows at the other, in answers of the API or messages to proxies.

use super::verdict;
use crate::case::Verdict;
use crate::world::World;

pub(super) fn judge(world: &World) -> Verdict {
    let both = [&world.tenants.acme.taint, &world.tenants.rival.taint];
    let leaks: Vec<String> = both.iter().flat_map(|taint| taint.leaks()).collect();
    let seen = both.map(|taint| taint.seen());
    let first = leaks
        .first()
        .map(|leak| format!(": {leak}"))
        .unwrap_or_default();
    let says = format!(
        "{} foreign marks among {} own{first}",
        leaks.len(),
        seen.iter().sum::<u64>()
    );
    verdict(
        "O4 taint",
        Ok((leaks.is_empty() && !seen.contains(&0), says)),
    )
}
