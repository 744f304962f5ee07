//! F-17 and F-19: what a server says to its proxies is lost, or what either side says.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::wire::{Loss, Wire};
use crate::world::World;

/// In how long a proxy goes elsewhere, and a server forgets it.
const CLIENT: Duration = Duration::from_secs(15);
const SERVER: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) const ANSWERS_LOST: Fault = Fault {
    number: "F-17",
    what: "what a server says to proxies is lost, what they say arrives",
    alert: None,
    needs: Needs::Network,
    strike: |world, case, before| Box::pin(lose(world, case, before, Loss::Answers)),
};

pub(super) const ALL_LOST: Fault = Fault {
    number: "F-19",
    what: "what a server and its proxies say to each other is lost, and neither is told",
    alert: None,
    needs: Needs::Network,
    strike: |world, case, before| Box::pin(lose(world, case, before, Loss::All)),
};

async fn lose(world: &mut World, case: &mut Case, before: &Mark, loss: Loss) -> anyhow::Result<()> {
    let server = world.busiest().await;
    case.note("streams", world.streams(server).await);
    let wire = Wire::lose(&[world.replicas[server].server.xds_port()], loss)?;
    let began = Instant::now();
    let mut gone = None;
    while gone.is_none() || world.load.crowd.open() < world.load.crowd.size() {
        anyhow::ensure!(began.elapsed() < PATIENCE, "proxies do not go elsewhere");
        tokio::time::sleep(LOOK).await;
        if world.streams(server).await < 1.0 {
            gone.get_or_insert_with(|| began.elapsed());
        }
    }
    let returns = world.load.crowd.returns(before);
    let last = returns.last().copied().unwrap_or_default();
    drop(wire);
    case.heal();
    case.note("elsewhere_s", last.as_secs_f64());
    let noticed = world.load.crowd.ends_after(before);
    case.time("client_notices_s", noticed, CLIENT);
    case.time("server_forgets_s", gone.unwrap_or(PATIENCE), SERVER);
    Ok(())
}
