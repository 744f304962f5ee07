//! F-02: all servers that answer the API are killed: proxies do not notice.

use std::time::Duration;

use async_trait::async_trait;

use super::Fault;
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::{API, World};

const AWAY: Duration = Duration::from_secs(15);

pub(super) struct AllApiKilled;

#[async_trait(?Send)]
impl Fault for AllApiKilled {
    fn number(&self) -> &'static str {
        "F-02"
    }

    fn what(&self) -> &'static str {
        "kill -9 of all servers that answer the API"
    }

    fn alert(&self) -> Option<&'static str> {
        Some("HeddleServerAway")
    }

    async fn strike(
        &self,
        world: &mut World,
        case: &mut Case,
        before: &Mark,
    ) -> anyhow::Result<()> {
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
}
