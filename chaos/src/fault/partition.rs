//! F-16: parts of the installation do not reach each other, one pair after the other.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::wire::{Loss, Wire};
use crate::world::{API, World, XDS};

const CUT: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) const FAULT: Fault = Fault {
    number: "F-16",
    what: "five partitions: API and database, xDS and database, xDS and Redis, xDS and proxies, servers among each other",
    alert: Some("HeddleDatabaseAway"),
    needs: Needs::Network,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, _before: &Mark) -> anyhow::Result<()> {
    let of = |which: [usize; 2], port: fn(&crate::world::Replica) -> u16| -> Vec<u16> {
        which
            .iter()
            .map(|which| port(&world.replicas[*which]))
            .collect()
    };
    let cuts = [
        ("api_database", of(API, |r| r.database.port())),
        ("xds_database", of(XDS, |r| r.database.port())),
        ("xds_redis", of(XDS, |r| r.redis.port())),
        ("xds_proxies", of(XDS, |r| r.server.xds_port())),
        // They meet in the database, and tell each other by Redis.
        (
            "servers",
            [of(API, |r| r.redis.port()), of(XDS, |r| r.redis.port())].concat(),
        ),
    ];
    for (name, ports) in cuts {
        let cut = Instant::now();
        let wire = Wire::lose(&ports, Loss::All)?;
        world.hold(CUT).await;
        drop(wire);
        let healed = Instant::now();
        let converged = world.converge(healed, PATIENCE).await?;
        world.all_open(PATIENCE).await?;
        let attempts = &world.load.writers.shared.attempts;
        case.note(
            &format!("{name}_api_errors_percent"),
            attempts.failed_percent(cut),
        );
        let figure = format!("{name}_converged_s");
        case.time(&figure, converged.all, Duration::from_secs(30));
    }
    case.heal();
    Ok(())
}
