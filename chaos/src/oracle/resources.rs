//! O7: a minute after a fault nothing is used that was not used before: memory, descriptors, tasks, connections to the database.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Before, verdict};
use crate::case::{Verdict, rounded};
use crate::scale::Scale;
use crate::world::World;

/// How long after the fault.
const WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(2);

/// Of all servers together: proxies go from one to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum([f64; 4]);

const NAMES: [&str; 4] = ["memory", "descriptors", "tasks", "connections"];

impl Sum {
    pub(super) async fn of(world: &World) -> Self {
        let mut sum = [0.0; 4];
        for replica in &world.replicas {
            let uses = replica.uses().await;
            sum[0] += uses.resident;
            sum[1] += uses.descriptors;
            sum[2] += uses.tasks;
        }
        sum[3] = connections(world).await.unwrap_or(f64::NAN);
        Self(sum)
    }
}

async fn connections(world: &World) -> anyhow::Result<f64> {
    let mut database = world.inspect().await?;
    let count = "select count(*) from pg_stat_activity where usename = 'heddle_server'";
    let count: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut database)
        .await
        .context("count connections")?;
    Ok(count as f64)
}

/// How much more there may be, in percent. A small world has so little that a single connection more is a lot.
const fn bound(scale: Scale) -> f64 {
    match scale {
        Scale::Small => 25.0,
        Scale::Full => 2.0,
    }
}

pub(super) async fn judge(world: &World, before: &Before) -> Verdict {
    let began = Instant::now();
    let bound = bound(world.scale);
    loop {
        let now = Sum::of(world).await;
        let pairs = now.0.iter().zip(&before.resources.0);
        let more: Vec<f64> = pairs
            .map(|(now, then)| (now / then - 1.0) * 100.0)
            .collect();
        let good = more.iter().all(|more| *more <= bound);
        if good || began.elapsed() > WITHIN {
            let each = NAMES.iter().zip(&more);
            let each: Vec<String> = each
                .map(|(name, more)| format!("{name} {:+} %", rounded(*more)))
                .collect();
            let after = began.elapsed().as_secs();
            let says = format!("{} after {after} s", each.join(", "));
            return verdict("O7 resources", Ok((good, says)));
        }
        tokio::time::sleep(LOOK).await;
    }
}
