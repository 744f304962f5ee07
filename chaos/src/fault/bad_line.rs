//! F-18: lines to proxies on which packets are lost, long ones, and narrow ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use heddle_bench::target::Target;

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::{Crowd, Mark};
use crate::relay::{Mode, Relay, Upstream};
use crate::wire::{Loss, Wire};
use crate::world::{World, XDS};

const EACH: Duration = Duration::from_secs(30);
/// A minute is needed to say how often in a minute.
const WORST: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(90);
const LIMIT: Duration = Duration::from_secs(30);
/// So many proxies are at the end of a long or narrow line.
const FAR: usize = 50;
const FAR_FROM: usize = 2_000_000;
/// 300 ms there and back; 1 Mbit/s.
const LONG: Mode = Mode::Delay(Duration::from_millis(150));
const NARROW: Mode = Mode::Throttle(125_000);

pub(super) const FAULT: Fault = Fault {
    number: "F-18",
    what: "lines to proxies that lose 1, 5 and 20 % of all packets, take 300 ms, or carry 1 Mbit/s",
    alert: None,
    needs: Needs::Network,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, _before: &Mark) -> anyhow::Result<()> {
    let ports = XDS.map(|which| world.replicas[which].server.xds_port());
    for percent in [1, 5, 20] {
        let mark = world.load.crowd.mark();
        let wire = Wire::lose(&ports, Loss::Percent(percent))?;
        let began = Instant::now();
        let length = if percent == 20 { WORST } else { EACH };
        world.hold(length / 2).await;
        let told = world.converge(Instant::now(), PATIENCE).await;
        let left = world.scale.lasting(length).saturating_sub(began.elapsed());
        tokio::time::sleep(left).await;
        drop(wire);
        let figure = format!("loss_{percent}_converged_s");
        match (percent, told) {
            (20, Ok(told)) => case.note(&figure, told.all.as_secs_f64()),
            (20, Err(error)) => case.note(&figure, error.to_string()),
            (_, told) => case.time(&figure, told?.all, LIMIT),
        }
        let ended = world.load.crowd.ended(&mark);
        case.note(&format!("loss_{percent}_streams_ended"), ended);
        if percent == 20 {
            let minutes = began.elapsed().as_secs_f64() / 60.0;
            let most = world.load.crowd.most_returns(&mark) as f64;
            case.bar("loss_20_flaps_a_minute_most", most / minutes.max(1.0), 1.0);
        }
        world.all_open(PATIENCE).await?;
    }
    for (name, mode) in [("rtt_300_ms", LONG), ("one_mbit", NARROW)] {
        let took = far(world, mode).await?;
        case.time(&format!("{name}_converged_s"), took, LIMIT);
    }
    case.heal();
    Ok(())
}

/// Proxies at the end of such a line come, and hear of a change; how long that takes.
async fn far(world: &World, mode: Mode) -> anyhow::Result<Duration> {
    let ports = XDS.map(|which| world.replicas[which].server.xds_port());
    let line = Relay::start(Upstream::Ports(ports.to_vec())).await?;
    line.set(mode);
    let ca = world.directory.path().join("xds-ca.pem");
    let target = Target::new(([127, 0, 0, 1], line.port()).into(), Some(&ca), None)?.asking();
    let acme = &world.tenants.acme;
    let members = acme.members(FAR_FROM, FAR);
    let crowd = Crowd::start(target, members, FAR, Arc::clone(&acme.taint));
    let began = Instant::now();
    while crowd.open() < FAR {
        ensure!(
            began.elapsed() < PATIENCE,
            "proxies far away do not get a stream"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let since = Instant::now();
    loop {
        let stroke = world.load.beat.after(since);
        if stroke.is_some_and(|stroke| crowd.told(stroke.revision) == FAR) {
            return Ok(since.elapsed());
        }
        ensure!(
            since.elapsed() < PATIENCE,
            "proxies far away do not hear of a change"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
