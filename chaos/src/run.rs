//! One fault after the other, each judged, and what came of it all.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::FutureExt as _;
use serde_json::{Value, json};

use crate::Cli;
use crate::case::{Case, rounded};
use crate::fault::{self, Fault};
use crate::oracle::{self, Before};
use crate::world::World;

/// No fault takes longer, with all that belongs to it.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Does what is asked for; whether every fault met every bar.
///
/// # Errors
/// A fault is not known, or the world does not come up.
pub(crate) async fn run(cli: &Cli) -> anyhow::Result<bool> {
    let faults = fault::chosen(&cli.faults)?;
    let began = Instant::now();
    let deadline = began + Duration::from_secs(cli.minutes * 60);
    let mut world = World::start(cli).await.context("start the world")?;
    let world_s = began.elapsed().as_secs_f64();
    say(&format!("the world is up after {world_s:.0} s"));
    let mut cases = Vec::new();
    for fault in &faults {
        let case = one(fault, &mut world, deadline).await;
        print(fault, &case);
        cases.push(case);
    }
    let missed = faults.iter().zip(&cases).filter(|(_, case)| !case.holds());
    let missed: Vec<&str> = missed.map(|(fault, _)| fault.number).collect();
    let skipped = cases.iter().filter(|case| case.skipped.is_some()).count();
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let evidence: Vec<Value> = faults
        .iter()
        .zip(&cases)
        .map(|(fault, case)| case.evidence(fault.what))
        .collect();
    heddle_evidence::evidence(
        &cli.evidence,
        cli.seed,
        json!({
            "scale": cli.scale.name(),
            "proxies": world.load.crowd.size(),
            "envoys": world.load.envoys.len(),
            "namespaces": crate::inside::owns_network(),
            "prometheus": world.alarm.is_some(),
            "world_s": rounded(world_s),
            "minutes": rounded(minutes),
            "holds": missed.is_empty() && skipped == 0,
            "faults": evidence,
        }),
    );
    say(&format!(
        "{} of {} faults met every bar in {minutes:.1} min{}{}",
        cases.len() - missed.len() - skipped,
        cases.len(),
        if missed.is_empty() {
            String::new()
        } else {
            format!("; missed: {}", missed.join(", "))
        },
        if skipped == 0 {
            String::new()
        } else {
            format!("; {skipped} not done")
        },
    ));
    if !missed.is_empty() {
        // Whoever looks for the cause needs the logs.
        world.directory.disable_cleanup(true);
        say(&format!("logs: {}", world.directory.path().display()));
    }
    Ok(missed.is_empty() && skipped == 0)
}

async fn one(fault: &Fault, world: &mut World, deadline: Instant) -> Case {
    let mut case = Case::new(fault.number);
    if let Some(lacking) = fault.lacks(world) {
        case.skipped = Some(lacking);
        return case;
    }
    if Instant::now() > deadline {
        case.broke = Some(String::from("there is no time left"));
        return case;
    }
    say(&format!("{} {}", fault.number, fault.what));
    let struck = async {
        calm(world).await?;
        let before = Before::look(world).await;
        case.began = Instant::now();
        fault.strike(world, &mut case, &before.crowd).await?;
        let healed = case.healed();
        case.note("fault_s", rounded((healed - case.began).as_secs_f64()));
        oracle::judge(world, &before, fault.alert, &mut case).await;
        anyhow::Ok(())
    };
    let caught = tokio::time::timeout(LONGEST, AssertUnwindSafe(struck).catch_unwind()).await;
    let broke = match caught {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(format!("{error:#}")),
        Ok(Err(panic)) => Some(oracle::said(&*panic)),
        Err(_) => Some(format!("it took longer than {LONGEST:?}")),
    };
    case.broke = broke;
    world.mend().await;
    case
}

/// Waits until what a fault before left behind is over.
async fn calm(world: &World) -> anyhow::Result<()> {
    let patience = Duration::from_secs(60);
    world.all_open(patience).await?;
    world.fill_pools().await;
    let _ = world.converge(Instant::now(), patience).await?;
    ensure!(
        world.load.writers.shared.ledger.count() > 0 || world.writes_again(patience).await.is_ok(),
        "no write goes well"
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn say(text: &str) {
    println!("{text}");
}

fn print(fault: &Fault, case: &Case) {
    if let Some(lacking) = &case.skipped {
        return say(&format!("{} not done: {lacking}", fault.number));
    }
    for bar in &case.bars {
        let sign = if bar.holds() { "  " } else { "✗ " };
        say(&format!(
            "  {sign}{:32} {:>10}  of at most {}",
            bar.figure,
            rounded(bar.measured),
            bar.most
        ));
    }
    for (figure, value) in &case.notes {
        say(&format!("    {figure:32} {value}"));
    }
    for verdict in &case.verdicts {
        let sign = match verdict.good {
            Some(true) => "  ",
            Some(false) => "✗ ",
            None => "- ",
        };
        say(&format!("  {sign}{:18} {}", verdict.oracle, verdict.says));
    }
    for miss in case.misses() {
        say(&format!("{} misses: {miss}", fault.number));
    }
}
