//! F-12: the disk of the database takes 200 ms for what it promises to keep, and then, once, cannot keep it.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

const SLOW: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const FAULT: Fault = Fault {
    number: "F-12",
    what: "fsync of PostgreSQL 200 ms late, then failing once (EIO)",
    alert: None,
    needs: Needs::Strace,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, before: &Mark) -> anyhow::Result<()> {
    let slow = Instant::now();
    let strace = inject(world, "delay_enter=200000").await?;
    world.hold(SLOW).await;
    let shared = &world.load.writers.shared;
    case.note(
        "slow_write_p50_ms",
        shared.attempts.percentile(slow, 50).as_secs_f64() * 1e3,
    );
    case.note("slow_failed_percent", shared.attempts.failed_percent(slow));
    end(strace).await?;
    let failing = Instant::now();
    let strace = inject(world, "error=EIO:when=1").await?;
    let until = Instant::now() + PATIENCE;
    // PostgreSQL does not go on with what it could not keep: it recovers from what it kept.
    while shared_failures(world, failing) == 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    end(strace).await?;
    let _ = world.writes_again(PATIENCE).await?;
    case.heal();
    let attempts = &world.load.writers.shared.attempts;
    case.note("failed_after_eio", shared_failures(world, failing));
    case.note("without_a_write_s", attempts.gap(failing).as_secs_f64());
    let panicked = world.database_log().contains("could not fsync")
        || world.database_log().contains("could not fdatasync");
    case.count("eio_not_noticed", usize::from(!panicked), 0);
    case.count("streams_ended", world.load.crowd.ended(before), 0);
    Ok(())
}

fn shared_failures(world: &World, since: Instant) -> usize {
    let calls = world.load.writers.shared.attempts.since(since);
    calls.iter().filter(|call| !call.good).count()
}

/// Attaches to every process of the database.
async fn inject(world: &World, what: &str) -> anyhow::Result<Child> {
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
    ]);
    command
        .arg("-e")
        .arg(format!("inject=fsync,fdatasync:{what}"));
    for pid in world.postgres.processes() {
        command.args(["-p", &pid.to_string()]);
    }
    let child = command.kill_on_drop(true).spawn()?;
    // Until it has attached.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(child)
}

/// Detaches: killed, it would leave them stopped.
async fn end(mut strace: Child) -> anyhow::Result<()> {
    if let Some(pid) = strace.id() {
        let _gone = kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGINT);
    }
    tokio::time::timeout(PATIENCE, strace.wait()).await??;
    Ok(())
}

/// The program that does it, when it is not there.
pub(super) fn lacks() -> Option<String> {
    let found = std::process::Command::new("strace").arg("-V").output();
    found.is_err().then(|| String::from("there is no strace"))
}
