//! F-20: ten thousand proxies lose their connections at once and come back, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::{Crowd, Mark};
use crate::scale::Scale;
use crate::world::World;

const PROXIES: usize = 10_000;
const FEW: usize = 120;
const STORMS: usize = 20;
/// They come for the first time.
const JOIN: Duration = Duration::from_secs(240);
const PATIENCE: Duration = Duration::from_secs(90);
const REST: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);

pub(super) const FAULT: Fault = Fault {
    number: "F-20",
    what: "ten thousand proxies lose their connections at once and come back, twenty times",
    alert: None,
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, _before: &Mark) -> anyhow::Result<()> {
    let all = if world.scale == Scale::Full {
        PROXIES
    } else {
        FEW
    };
    let more = all.saturating_sub(world.load.crowd.size());
    let acme = &world.tenants.acme;
    let members = acme.members(world.load.crowd.size(), more);
    let target = world.load.target.clone();
    let joined = Instant::now();
    let guests = Crowd::start(target, members, 256, Arc::clone(&acme.taint));
    while guests.open() < more {
        ensure!(joined.elapsed() < JOIN, "{} of {more} came", guests.open());
        tokio::time::sleep(LOOK).await;
    }
    case.note("joined_s", joined.elapsed().as_secs_f64());
    tokio::time::sleep(REST).await;
    let crowds = [&world.load.crowd, &guests];
    let steady = resident(world).await;
    let (mut peak, mut longest) = (steady, Duration::ZERO);
    let mut after = Vec::new();
    let storms = world.scale.times(STORMS);
    let began = Instant::now();
    for _ in 0..storms {
        let marks = crowds.map(Crowd::mark);
        let storm = Instant::now();
        for crowd in crowds {
            crowd.hang_up();
        }
        let back = || {
            let both = crowds.iter().zip(&marks);
            both.into_iter().all(|(crowd, mark)| {
                crowd.returns(mark).len() == crowd.size() && crowd.open() == crowd.size()
            })
        };
        while !back() {
            ensure!(storm.elapsed() < PATIENCE, "not all come back");
            peak = peak.max(resident(world).await);
            tokio::time::sleep(LOOK).await;
        }
        longest = longest.max(storm.elapsed());
        tokio::time::sleep(REST).await;
        after.push(resident(world).await);
    }
    let p99 = world.load.writers.shared.attempts.percentile(began, 99);
    let reads = world.load.readers.calls.percentile(began, 99);
    drop(guests);
    case.heal();
    case.note("proxies", all);
    case.note("storms", storms);
    case.note("resident_steady_mb", steady / 1e6);
    case.time("all_back_s", longest, Duration::from_secs(20));
    case.bar("resident_peak_ratio", peak / steady, 2.0);
    case.bar("resident_slope_percent_a_storm", slope(&after), 0.5);
    case.bar("api_p99_ms", p99.max(reads).as_secs_f64() * 1e3, 500.0);
    Ok(())
}

/// Of the servers together, in bytes.
async fn resident(world: &World) -> f64 {
    let mut sum = 0.0;
    for replica in &world.replicas {
        sum += replica.resident();
    }
    sum
}

/// By how much it grows from one to the next, in percent of the mean: the line that fits best.
fn slope(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let middle = (count - 1.0) / 2.0;
    let (mut up, mut across) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let x = at as f64 - middle;
        up += x * (value - mean);
        across += x * x;
    }
    if across > 0.0 {
        up / across / mean * 100.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn growth_is_told_from_noise() {
        assert!(super::slope(&[100.0, 101.0, 102.0, 103.0]) > 0.9);
        assert!(super::slope(&[100.0, 101.0, 100.0, 101.0, 100.0]).abs() < 0.01);
        assert!(super::slope(&[100.0]).abs() < f64::EPSILON);
    }
}
