//! F-10: others have taken every connection that the database gives.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

/// As long as a server waits for a connection, and a second for all the rest.
const FAST: Duration = Duration::from_secs(3);
const CROWDED: Duration = Duration::from_secs(20);
const EVICT: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
     where usename = 'heddle_server' and application_name = 'heddle'";

pub(super) const FAULT: Fault = Fault {
    number: "F-10",
    what: "every connection of PostgreSQL is taken by others",
    alert: Some("HeddleApiFails"),
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let pids: Vec<i32> = world.replicas.iter().map(|r| r.server.pid()).collect();
    let mut inspector = world.inspect().await?;
    let crowded = Instant::now();
    let mut others = Vec::new();
    // Whoever is thrown out finds others in the place.
    for _ in 0..10 {
        let _: i64 = sqlx::query_scalar(EVICT).fetch_one(&mut inspector).await?;
        while let Ok(one) = PgConnection::connect(&world.postgres.server_url()).await {
            others.push(one);
        }
    }
    case.note("connections_of_others", others.len());
    world.hold(CROWDED).await;
    let (mut dead, mut ended) = (0, 0);
    for (replica, pid) in world.replicas.iter_mut().zip(&pids) {
        ended += usize::from(!replica.server.runs() || replica.server.pid() != *pid);
        let live = replica.server.caller("-", "").live_status().await;
        dead += usize::from(live != Some(200));
    }
    let attempts = &world.load.writers.shared.attempts;
    let longest = attempts
        .longest(crowded, 503)
        .max(attempts.longest(crowded, 0));
    case.note("failed_percent", attempts.failed_percent(crowded));
    for one in others {
        let _gone = one.close().await;
    }
    case.heal();
    case.count("servers_ended", ended, 0);
    case.count("servers_not_alive", dead, 0);
    case.time("fails_after_s", longest, FAST);
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}
