//! F-15: Redis is killed, emptied, stopped where it is, and out of memory.

use std::time::{Duration, Instant};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

const EACH: Duration = Duration::from_secs(15);

/// What is done to it.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Killed,
    Emptied,
    Stopped,
    Full,
}

pub(super) const FAULT: Fault = Fault {
    number: "F-15",
    what: "Redis killed, emptied (FLUSHALL), stopped where it is (SIGSTOP), out of memory",
    alert: Some("HeddleRedisAway"),
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let calm = Instant::now();
    world.hold(EACH).await;
    let shared = &world.load.writers.shared;
    let usual = shared.attempts.percentile(calm, 99);
    case.note("p99_before_ms", usual.as_secs_f64() * 1e3);
    let (mut most_failed, mut most_slower, mut let_in) = (0.0_f64, 0.0_f64, 0);
    for harm in [Harm::Killed, Harm::Emptied, Harm::Stopped, Harm::Full] {
        let began = Instant::now();
        begin(world, harm).await;
        world.hold(EACH).await;
        let_in += usize::from(!stranger_is_refused(world).await);
        let shared = &world.load.writers.shared;
        most_failed = most_failed.max(shared.attempts.failed_percent(began));
        let slower = shared.attempts.percentile(began, 99).saturating_sub(usual);
        case.note(&format!("{harm:?}_p99_more_ms"), slower.as_secs_f64() * 1e3);
        most_slower = most_slower.max(slower.as_secs_f64() * 1e3);
        end(world, harm).await;
    }
    case.heal();
    case.bar("api_errors_percent", most_failed, 0.1);
    case.bar("p99_more_ms", most_slower, 50.0);
    case.count("strangers_let_in", let_in, 0);
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}

async fn begin(world: &mut World, harm: Harm) {
    match harm {
        Harm::Killed => world.redis.kill().await,
        Harm::Emptied => world.redis.command(&["FLUSHALL"]).await,
        Harm::Stopped => world.redis.freeze(),
        Harm::Full => {
            world
                .redis
                .command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
                .await;
            world
                .redis
                .command(&["CONFIG", "SET", "maxmemory", "1"])
                .await;
        }
    }
}

async fn end(world: &mut World, harm: Harm) {
    match harm {
        Harm::Killed => world.redis.start_again().await,
        Harm::Emptied => {}
        Harm::Stopped => world.redis.thaw(),
        Harm::Full => {
            let all = ["CONFIG", "SET", "maxmemory", "0"];
            world.redis.command(&all).await;
        }
    }
}

/// Whether somebody with a token that nobody gave out is told so.
async fn stranger_is_refused(world: &World) -> bool {
    let api = &world.tenants.acme.api;
    let forged = format!("{}x", api.token);
    let reply = api.with_token(&forged).get("/meshes").await;
    reply.status == 401
}
