//! Hours of churn, and whether anything in the server grows meanwhile: memory, descriptors, tasks, connections to PostgreSQL.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::fleet::{Behaviour, Fleet, Member};
use crate::heddle::Heddle;
use crate::members::{member, service};
use crate::process::{self, Usage};
use crate::report::Report;
use crate::trend::{means, trend};

/// Flags of `soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long; less than eight minutes tell nothing, and three hours are the most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(8..=180))]
    minutes: u64,
    /// Proxies; a twentieth of them leaves and comes back every two seconds
    #[arg(long, default_value_t = 300)]
    proxies: usize,
    /// Services
    #[arg(long, default_value_t = 30)]
    services: usize,
    /// What may grow by more than this in an hour, in percent, has a leak
    #[arg(long, default_value_t = 1.0)]
    growth: f64,
    /// The server's binary
    #[arg(long, default_value = "target/release/heddled")]
    heddled: PathBuf,
    /// Where the figures go as JSON
    #[arg(long, default_value = "target/evidence")]
    out: PathBuf,
}

/// Parts of the fleet that leave and come back together.
const GROUPS: usize = 20;
/// How often one of them does.
const LEAVE: Duration = Duration::from_secs(2);
/// How often an object is written.
const WRITE: Duration = Duration::from_millis(200);
/// How often the server is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Looks within this time are taken as one measurement, in seconds.
const SPAN: f64 = 30.0;
/// How long the fleet may take to be ready, and to be ready again at the end.
const READY: Duration = Duration::from_secs(120);

/// What is looked at, in this order.
const WATCHED: [&str; 5] = [
    "rss_bytes",
    "descriptors",
    "threads",
    "tasks",
    "postgres_connections",
];

/// Runs it.
///
/// # Errors
/// Something grows, a proxy does not come back, the server panicked, or something does not work at all.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let heddle = Heddle::start(&args.heddled).await?;
    let tokens = heddle.org.fill(args.services, 0).await?;
    let members: Vec<Member> = (0..args.proxies).map(|n| member(n, &tokens)).collect();
    let group = args.proxies.div_ceil(GROUPS);
    let mut groups = Vec::new();
    for members in members.chunks(group) {
        groups.push((members.to_vec(), join(&heddle, members)?));
    }
    for (_, fleet) in &groups {
        fleet.all_ready(READY).await?;
    }
    let began = Instant::now();
    let length = Duration::from_secs(args.minutes * 60);
    let pid = heddle.server_pid().context("the server runs")?;
    let mut looks: [Vec<(f64, f64)>; WATCHED.len()] = Default::default();
    let (mut returns, mut writes) = (0_usize, 0_usize);
    let mut leave = tokio::time::interval(LEAVE);
    let mut write = tokio::time::interval(WRITE);
    let mut look = tokio::time::interval(LOOK);
    while began.elapsed() < length {
        tokio::select! {
            _ = leave.tick() => {
                let which = returns % groups.len();
                let (members, fleet) = &mut groups[which];
                *fleet = join(&heddle, members)?;
                returns += 1;
            }
            _ = write.tick() => {
                change(&heddle, args.services, writes).await?;
                writes += 1;
            }
            _ = look.tick() => {
                let at = began.elapsed().as_secs_f64();
                for (series, value) in looks.iter_mut().zip(watch(&heddle, pid).await?) {
                    series.push((at, value));
                }
                progress(began.elapsed(), length, &looks);
            }
        }
    }
    for (_, fleet) in &groups {
        fleet.all_ready(READY).await?;
    }
    let mut report = Report::new("soak");
    report.text("commit", &commit());
    report.count("seed", 0_u64);
    report.count("minutes", args.minutes);
    report.count("proxies", args.proxies);
    report.count("services", args.services);
    report.count("group_returns", returns);
    report.count("writes", writes);
    report.number("server_cpu_s", Usage::of(pid).cpu.as_secs_f64());
    let failures: u64 = groups
        .iter()
        .map(|(_, fleet)| fleet.counters().failures.load(Ordering::Relaxed))
        .sum();
    report.count("broken_connections_of_the_last_groups", failures);
    let panics = heddle.metric("heddle_panics_total").await?.unwrap_or(0.0);
    report.number("panics", panics);
    let same = heddle.server_pid() == Some(pid);
    let growing = judge(&mut report, &looks, length, args.growth);
    report.print();
    report.write(&args.out)?;
    drop(groups);
    heddle.stop().await?;
    ensure!(panics == 0.0, "the server panicked {panics} times");
    ensure!(same, "the server was restarted on the way");
    ensure!(
        growing.is_empty(),
        "grows by more than {} % an hour: {}",
        args.growth,
        growing.join(", ")
    );
    Ok(())
}

fn join(heddle: &Heddle, members: &[Member]) -> anyhow::Result<Fleet> {
    let behaviour = Behaviour {
        nack_percent: 1,
        ..Behaviour::default()
    };
    Ok(Fleet::start(
        heddle.target()?,
        members.to_vec(),
        members.len(),
        behaviour,
    ))
}

/// One of a round of changes: routes get other timeouts, one goes and comes back, and somebody reads.
async fn change(heddle: &Heddle, services: usize, number: usize) -> anyhow::Result<()> {
    let name = service(number % services);
    let route = format!("/services/{name}/routes/all");
    match number % 10 {
        8 => {
            let path = format!("/meshes/load/services?limit={services}");
            heddle.org.call(reqwest::Method::GET, &path, None).await?;
        }
        9 => {
            let spec = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}], "labels": {"round": format!("r{}", number % 97)}});
            heddle.org.put(&format!("/services/{name}"), &spec).await?;
        }
        _ => {
            let timeout = format!("{}s", number % 89 + 1);
            let spec = json!({"priority": 1, "backends": [{"service": name}], "settings": {"timeout": timeout}});
            heddle.org.put(&route, &spec).await?;
        }
    }
    if number % 50 == 49 {
        let path = format!("/meshes/load{route}");
        // One that was never made is gone as well.
        let _ = heddle.org.call(reqwest::Method::DELETE, &path, None).await;
    }
    Ok(())
}

async fn watch(heddle: &Heddle, pid: u32) -> anyhow::Result<[f64; WATCHED.len()]> {
    let tasks = heddle.metric("heddle_tasks").await?;
    let usage = Usage::of(pid);
    Ok([
        usage.resident_bytes as f64,
        process::descriptors(pid) as f64,
        process::threads(pid) as f64,
        tasks.context("the server counts its tasks")?,
        heddle.postgres_pid().map_or(0, process::children) as f64,
    ])
}

#[expect(clippy::print_stderr, reason = "somebody waits for hours")]
fn progress(elapsed: Duration, length: Duration, looks: &[Vec<(f64, f64)>; WATCHED.len()]) {
    let last = |i: usize| looks[i].last().map_or(0.0, |look| look.1);
    if looks[0].len() % 12 == 1 {
        eprintln!(
            "soak: {:3} of {} min, {:.1} MB, {} descriptors, {} tasks",
            elapsed.as_secs() / 60,
            length.as_secs() / 60,
            last(0) / 1e6,
            last(1),
            last(3)
        );
    }
}

/// Reports the trends after the first quarter, in which caches fill; the names of what grows.
fn judge(
    report: &mut Report,
    looks: &[Vec<(f64, f64)>; WATCHED.len()],
    length: Duration,
    growth: f64,
) -> Vec<String> {
    let warm = length.as_secs_f64() / 4.0;
    let mut growing = Vec::new();
    for (name, series) in WATCHED.iter().zip(looks) {
        let settled: Vec<_> = series
            .iter()
            .copied()
            .filter(|(at, _)| *at > warm)
            .collect();
        let Some(trend) = trend(&means(&settled, SPAN)) else {
            continue;
        };
        report.number(&format!("{name}_median"), trend.median);
        report.number(
            &format!("{name}_slope_percent_per_hour"),
            trend.percent_per_hour,
        );
        report.number(
            &format!("{name}_slope_at_least_percent_per_hour"),
            trend.at_least,
        );
        if trend.at_least > growth {
            growing.push((*name).to_owned());
        }
    }
    growing
}

fn commit() -> String {
    let head = Command::new("git").args(["rev-parse", "HEAD"]).output();
    head.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
        .unwrap_or_default()
}
