//! R1: what the REST API costs, as ratios to the same transactions by a bare client, taken in turns in one run.
//!
//! All share the cores, so what an operation takes in the end is the CPU time of everybody for it: the figures name it for each, and
//! vary less than times do. Connections to the server are kept, as are those to the database; both sides have as many.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bare::{Bare, CONNECTIONS};
use crate::heddle::Heddle;
use crate::http::Caller;
use crate::process::{Usage, cpu_of_family};
use crate::report::{Report, percentile};

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Rest {
    /// Objects that are stored, spread over the meshes
    #[arg(long, default_value_t = 100_000)]
    pub(crate) objects: usize,
    /// Meshes
    #[arg(long, default_value_t = 200)]
    pub(crate) meshes: usize,
    /// Readers at once
    #[arg(long, default_value_t = 4)]
    pub(crate) readers: usize,
    /// Writers at once, each with a mesh of its own
    #[arg(long, default_value_t = 64)]
    pub(crate) writers: usize,
    /// Measurements of each kind, in turns; the figures are over all of them
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
}

/// How many objects a page has.
const PAGE: i64 = 50;

/// The n-th mesh; the prefix keeps them apart from any other.
fn mesh(number: usize) -> String {
    format!("rest-{number:04}")
}

fn service(number: usize) -> String {
    format!("s{number:05}")
}

fn spec(number: u64) -> Value {
    json!({
        "display_name": format!("Service {number}"),
        "labels": {"team": "payments", "number": number.to_string()},
        "ports": [{"name": "http", "port": 8080, "protocol": "http"}],
    })
}

/// What is measured on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Get,
    List,
    Write,
}

impl Work {
    const ALL: [Self; 3] = [Self::Get, Self::List, Self::Write];

    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Write => "write",
        }
    }
}

/// Latencies of one kind of work on one side, and the time that it had.
#[derive(Debug, Default)]
struct Sample {
    times: Vec<Duration>,
    elapsed: Duration,
    cpu: Cpu,
}

/// CPU time of everybody who takes part: on a machine where they share the cores, their sum is what sets the rate.
#[derive(Debug, Default, Clone, Copy)]
struct Cpu {
    client: Duration,
    server: Duration,
    postgres: Duration,
}

impl Cpu {
    fn since(self, earlier: Self) -> Self {
        Self {
            client: self.client.saturating_sub(earlier.client),
            server: self.server.saturating_sub(earlier.server),
            postgres: self.postgres.saturating_sub(earlier.postgres),
        }
    }

    fn add(&mut self, other: Self) {
        self.client += other.client;
        self.server += other.server;
        self.postgres += other.postgres;
    }
}

impl Sample {
    fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Numbers without pattern; the same in every run.
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 29)
}

/// Calls `one` over and over in `callers` tasks for a while. `one` is told which caller it is and how often it was called.
async fn measure<S, F>(
    callers: Vec<S>,
    length: Duration,
    one: impl Fn(S, usize, u64) -> F + Clone + Send + Sync + 'static,
) -> anyhow::Result<Sample>
where
    S: Send + 'static,
    F: Future<Output = anyhow::Result<S>> + Send,
{
    let started = Instant::now();
    let tasks: Vec<_> = callers
        .into_iter()
        .enumerate()
        .map(|(caller, mut state)| {
            let one = one.clone();
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(1 << 14);
                let mut call = 0;
                while started.elapsed() < length {
                    let before = Instant::now();
                    state = one(state, caller, call).await?;
                    times.push(before.elapsed());
                    call += 1;
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(Sample {
        times,
        elapsed: started.elapsed(),
        cpu: Cpu::default(),
    })
}

/// Everything that a measurement needs.
struct Stage {
    heddle: Heddle,
    caller: Caller,
    bare: Bare,
    meshes: Arc<Vec<Uuid>>,
    services: usize,
    size: Rest,
    server: u32,
    postgres: u32,
    /// Grows with every measurement, so that no write repeats what is there.
    turn: u64,
}

/// Measures.
///
/// # Errors
/// Something does not work at all; a bar that is missed is no error.
pub(crate) async fn run(
    binary: &std::path::Path,
    size: &Rest,
    report: &mut Report,
) -> anyhow::Result<()> {
    let heddle = Heddle::start(binary).await?;
    let services = size.objects.div_ceil(size.meshes).max(1);
    let filled = Instant::now();
    for number in 0..size.meshes {
        fill(&heddle, &mesh(number), services).await?;
    }
    report.count("objects", services * size.meshes);
    report.count("meshes", size.meshes);
    report.count("readers", size.readers);
    report.count("writers", size.writers);
    report.count("connections", CONNECTIONS);
    report.time("filled_by_apply", filled.elapsed());
    let (server, superuser) = heddle.database_urls();
    let bare = Bare::connect(&server, &superuser, &heddle.org.name).await?;
    let meshes = Arc::new(bare.meshes("rest-").await?);
    anyhow::ensure!(meshes.len() == size.meshes, "every mesh is there");
    let mut stage = Stage {
        caller: heddle.caller()?,
        server: heddle.server_pid().context("the server runs")?,
        postgres: heddle.postgres_pid().context("the database runs")?,
        heddle,
        bare,
        meshes,
        services,
        size: size.clone(),
        turn: 0,
    };
    stage.measure_all(report).await?;
    stage.heddle.stop().await
}

/// One mesh of so many services, as one revision.
async fn fill(heddle: &Heddle, mesh: &str, services: usize) -> anyhow::Result<()> {
    let path = format!("/meshes/{mesh}");
    heddle
        .org
        .call(Method::PUT, &path, Some(&json!({})))
        .await?;
    // A body has at most a megabyte.
    for first in (0..services).step_by(2_000) {
        let last = services.min(first + 2_000);
        let resources: Vec<Value> = (first..last)
            .map(|number| {
                let mut one = spec(number as u64);
                one["kind"] = json!("service");
                one["name"] = json!(service(number));
                one
            })
            .collect();
        let body = json!({"mode": "apply", "resources": resources});
        let path = format!("/meshes/{mesh}/apply");
        heddle.org.call(Method::POST, &path, Some(&body)).await?;
    }
    Ok(())
}

impl Stage {
    async fn measure_all(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let length = Duration::from_secs_f64(self.size.seconds);
        for work in Work::ALL {
            let (mut served, mut bare) = (Sample::default(), Sample::default());
            // The first turn warms up both sides and does not count.
            for round in 0..=self.size.rounds {
                let length = if round == 0 { length / 2 } else { length };
                let start = self.cpu();
                let mut one = self.served(work, length).await?;
                let between = self.cpu();
                let mut other = self.bare(work, length).await?;
                one.cpu = between.since(start);
                other.cpu = self.cpu().since(between);
                if round > 0 {
                    add(&mut served, one);
                    add(&mut bare, other);
                }
            }
            served.times.sort_unstable();
            bare.times.sort_unstable();
            let name = work.name();
            report.number(&format!("{name}_per_s"), served.per_second());
            report.number(&format!("bare_{name}_per_s"), bare.per_second());
            report.times(name, &served.times);
            report.times(&format!("bare_{name}"), &bare.times);
            let ratio = |percent| {
                let of = |sample: &Sample| percentile(&sample.times, percent).as_secs_f64();
                of(&served) / of(&bare)
            };
            report.number(&format!("{name}_p50_ratio"), ratio(50));
            report.number(&format!("{name}_p99_ratio"), ratio(99));
            report.number(
                &format!("{name}_rate_ratio"),
                served.per_second() / bare.per_second(),
            );
            let each = |sample: &Sample, cpu: Duration| {
                cpu.as_secs_f64() * 1e6 / sample.times.len() as f64
            };
            for (key, cpu) in [
                ("server", served.cpu.server),
                ("postgres", served.cpu.postgres),
                ("client", served.cpu.client),
            ] {
                report.number(&format!("{key}_cpu_us_per_{name}"), each(&served, cpu));
            }
            for (key, cpu) in [("postgres", bare.cpu.postgres), ("client", bare.cpu.client)] {
                report.number(&format!("bare_{key}_cpu_us_per_{name}"), each(&bare, cpu));
            }
        }
        Ok(())
    }

    /// What everybody has used so far.
    fn cpu(&self) -> Cpu {
        Cpu {
            client: Usage::of(std::process::id()).cpu,
            server: Usage::of(self.server).cpu,
            postgres: cpu_of_family(self.postgres),
        }
    }

    /// The mesh and service of one call.
    fn place(&self) -> impl Fn(usize, u64) -> (usize, usize) + Clone + Send + Sync + 'static {
        let (meshes, services) = (self.size.meshes as u64, self.services as u64);
        move |caller, call| {
            let number = scatter(((caller as u64) << 40) + call);
            let pick = |of: u64, number: u64| usize::try_from(number % of).unwrap_or_default();
            (pick(meshes, number), pick(services, number >> 24))
        }
    }

    fn callers(&self, work: Work) -> usize {
        match work {
            Work::Write => self.size.writers,
            Work::Get | Work::List => self.size.readers,
        }
    }

    /// Through the API.
    async fn served(&mut self, work: Work, length: Duration) -> anyhow::Result<Sample> {
        self.turn += 1;
        let mut connections = Vec::new();
        for _ in 0..self.callers(work) {
            connections.push(self.caller.connect().await?);
        }
        let base = format!("/v1/orgs/{}/meshes", self.heddle.org.name);
        let (caller, place, turn) = (self.caller.clone(), self.place(), self.turn);
        let own = self.size.meshes;
        measure(connections, length, move |mut connection, number, call| {
            let (of_mesh, of_service) = place(number, call);
            let (name, one) = (service(of_service), mesh(of_mesh));
            let request = match work {
                Work::Get => caller.request("GET", &format!("{base}/{one}/services/{name}"), ""),
                Work::List => {
                    let path = format!("{base}/{one}/services?limit={PAGE}");
                    caller.request("GET", &path, "")
                }
                Work::Write => {
                    let path = format!("{base}/{}/services/{name}", mesh(number % own));
                    let body = spec((turn << 32) + call).to_string();
                    caller.request("PUT", &path, &body)
                }
            };
            async move {
                connection.call(&request).await?;
                Ok(connection)
            }
        })
        .await
    }

    /// By the bare client.
    async fn bare(&mut self, work: Work, length: Duration) -> anyhow::Result<Sample> {
        self.turn += 1;
        let clients = vec![self.bare.clone(); self.callers(work)];
        let (meshes, place, turn) = (Arc::clone(&self.meshes), self.place(), self.turn);
        measure(clients, length, move |bare, number, call| {
            let (of_mesh, of_service) = place(number, call);
            let own = meshes[number % meshes.len()];
            let (mesh, name) = (meshes[of_mesh], service(of_service));
            async move {
                match work {
                    Work::Get => bare.get(mesh, &name).await?,
                    Work::List => bare.list(mesh, PAGE).await?,
                    Work::Write => {
                        let spec = spec((turn << 32) + call).to_string();
                        bare.write(own, &name, &spec).await?
                    }
                };
                Ok(bare)
            }
        })
        .await
    }
}

fn add(all: &mut Sample, one: Sample) {
    all.times.extend(one.times);
    all.elapsed += one.elapsed;
    all.cpu.add(one.cpu);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_is_called_and_errors_are_not_swallowed() {
        let short = Duration::from_millis(20);
        let sample = measure(vec![(); 3], short, |(), _, _| async {
            tokio::task::yield_now().await;
            Ok(())
        })
        .await;
        assert!(sample.is_ok_and(|sample| sample.times.len() > 3 && sample.elapsed >= short));
        let failed = measure(vec![()], short, |(), _, call| async move {
            anyhow::ensure!(call < 2);
            Ok(())
        })
        .await;
        assert!(failed.is_err());
    }
}
