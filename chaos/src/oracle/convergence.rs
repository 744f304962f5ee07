//! O2: everybody has what is desired: a change that was made when nothing was wrong any more, and in all what somebody gets
//! who comes anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::verdict;
use crate::case::{Case, Verdict};
use crate::crowd::Crowd;
use crate::world::World;

/// What is promised of all proxies, and of 99 of a hundred.
const ALL: Duration = Duration::from_secs(30);
const MOST: Duration = Duration::from_secs(10);
/// How long is waited before it is given up.
const PATIENCE: Duration = Duration::from_secs(90);
/// Newcomers have numbers from here on.
const NEWCOMERS: usize = 1_000_000;

pub(super) async fn judge(world: &World, case: &mut Case) -> Verdict {
    let healed = case.healed();
    let outcome = async {
        let converged = world.converge(healed, PATIENCE).await?;
        case.time("converged_all_s", converged.all, ALL);
        case.time("converged_p99_s", converged.p99, MOST);
        let same = desired(world).await?;
        let good = converged.all <= ALL && converged.p99 <= MOST;
        let says = format!(
            "99 of 100 after {:.1} s, all after {:.1} s; {same} have what newcomers get",
            converged.p99.as_secs_f64(),
            converged.all.as_secs_f64()
        );
        Ok((good, says))
    };
    let outcome = outcome.await;
    world.load.beat.pause(false);
    verdict("O2 convergence", outcome)
}

/// Compares with newcomers, one of each service at each server; how many proxies have the same.
async fn desired(world: &World) -> anyhow::Result<usize> {
    let crowd = &world.load.crowd;
    let acme = &world.tenants.acme;
    world.load.beat.pause(true);
    let services = acme.tokens.len();
    let members = acme.members(NEWCOMERS, services * 2);
    let taint = Arc::clone(&acme.taint);
    let newcomers = Crowd::start(world.load.target.clone(), members, services * 2, taint);
    let began = Instant::now();
    loop {
        let (old, new) = (crowd.fingerprints(), newcomers.fingerprints());
        let wanted = &new[..services];
        let complete = newcomers.open() == newcomers.size() && !new.contains(&0);
        let agreed = complete && new[services..] == *wanted;
        let different = old
            .iter()
            .enumerate()
            .filter(|(n, has)| **has != wanted[n % services]);
        let different = different.count();
        if agreed && different == 0 {
            return Ok(old.len());
        }
        ensure!(
            began.elapsed() < ALL,
            "{different} proxies have something else than newcomers get (newcomers agree: {agreed})"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
