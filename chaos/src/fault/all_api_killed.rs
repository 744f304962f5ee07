//! F-02: all servers that answer the API are killed: proxies do not notice.

use std::time::Duration;

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::{API, World};

const AWAY: Duration = Duration::from_secs(15);

pub(super) const FAULT: Fault = Fault {
    number: "F-02",
    what: "kill -9 of all servers that answer the API",
    alert: Some("HeddleServerAway"),
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    for which in API {
        world.replicas[which].server.kill().await;
    }
    world.hold(AWAY).await;
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    for which in API {
        world.replicas[which].server.start_again().await;
    }
    case.heal();
    Ok(())
}
