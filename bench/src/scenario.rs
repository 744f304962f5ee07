//! The scenarios: each starts a Heddle of its own, fills it, connects a fleet and measures one thing.

mod certificates;
mod change;
mod churn;
mod cold;
mod idle;
mod max;
mod no_op;
mod storm;
mod tenants;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use crate::calibration;
use crate::fan_out;
use crate::fleet::{Behaviour, Fleet};
use crate::heddle::Heddle;
use crate::members::{knows, member};
use crate::moves::Moves;
use crate::process::Usage;
use crate::report::Report;
use crate::rest::{self, Rest};
use crate::truth::Truth;

/// How large a scenario is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Size {
    /// Proxies
    #[arg(long, default_value_t = 1_000)]
    pub(crate) proxies: usize,
    /// Services; proxies are spread over them in turn
    #[arg(long, default_value_t = 100)]
    pub(crate) services: usize,
    /// Services that each service calls, and that its proxies are told of; 0: it does not say, and they are told of all
    #[arg(long, default_value_t = 0)]
    pub(crate) scope: usize,
    /// Proxies that are on their way to ready at a time
    #[arg(long, default_value_t = 200)]
    pub(crate) in_flight: usize,
    /// Changes that are measured, one after the other
    #[arg(long, default_value_t = 30)]
    pub(crate) changes: usize,
    /// Times that a scenario is run, each with a server of its own; figures are the medians
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=25))]
    pub(crate) runs: u32,
    /// The server's binary
    #[arg(long, default_value = "target/release/heddled")]
    pub(crate) heddled: PathBuf,
    /// Real Envoys beside the others: what they refuse, or do not get, fails the scenario
    #[arg(long, default_value_t = 1)]
    pub(crate) envoys: usize,
    /// The Envoy [default: the one that scripts/setup installed, then the one in PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) envoy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) churn: churn::Churn,
    #[command(flatten)]
    pub(crate) no_op: no_op::NoOp,
    #[command(flatten)]
    pub(crate) tenants: tenants::Tenants,
    #[command(flatten)]
    pub(crate) certificates: certificates::Certificates,
    #[command(flatten)]
    pub(crate) idle: idle::Idle,
    #[command(flatten)]
    pub(crate) max: max::Max,
    #[command(flatten)]
    pub(crate) rest: Rest,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// S1: all proxies connect at once
    Cold,
    /// S2: one endpoint changes
    Endpoint,
    /// S3: one route changes, from the REST call to the last proxy
    Route,
    /// S3: a time limit changes for the whole mesh, likewise
    Policy,
    /// S4: endpoints change all the time
    Churn,
    /// S5: the server is killed and comes back
    Storm,
    /// S6: equal content is written again and again
    NoOp,
    /// S7: one of many organisations changes all the time; by name only
    Tenants,
    /// S8: some proxies do not read while endpoints change
    Slow,
    /// S9: workloads ask for certificates
    Certificates,
    /// S11: nothing happens; by name only
    Idle,
    /// S12: more and more proxies; by name only
    Max,
    /// C1: a plain gRPC server that sends one prepared message to everybody, for comparison
    FanOut,
    /// R1: reads and writes of the REST API, next to a bare client of the database
    Rest,
}

impl Scenario {
    /// Those that run when none is named. The others take long.
    pub(crate) const DEFAULT: [Self; 11] = [
        Self::FanOut,
        Self::Cold,
        Self::Endpoint,
        Self::Route,
        Self::Policy,
        Self::Churn,
        Self::Storm,
        Self::NoOp,
        Self::Slow,
        Self::Certificates,
        Self::Rest,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Cold => "s1-cold",
            Self::Endpoint => "s2-endpoint",
            Self::Route => "s3-route",
            Self::Policy => "s3-policy",
            Self::Churn => "s4-churn",
            Self::Storm => "s5-storm",
            Self::NoOp => "s6-no-op",
            Self::Tenants => "s7-tenants",
            Self::Slow => "s8-slow",
            Self::Certificates => "s9-certificates",
            Self::Idle => "s11-idle",
            Self::Max => "s12-max",
            Self::FanOut => "c1-fan-out",
            Self::Rest => "r1-rest",
        }
    }
}

/// How long anything may take before it counts as failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);
/// How long a change may take to reach everybody.
const CHANGE: Duration = Duration::from_secs(30);

struct Stage {
    heddle: Heddle,
    fleet: Fleet,
    truth: Truth,
    moves: Arc<Moves>,
    tokens: Vec<Arc<str>>,
    pid: u32,
    scope: usize,
    report: Report,
}

/// Runs one scenario, as often as it should be run; the medians.
///
/// # Errors
/// Something does not work at all; a bar that is missed is no error.
pub(crate) async fn run(scenario: Scenario, size: &Size) -> anyhow::Result<Report> {
    let mut reports = Vec::new();
    for _ in 0..size.runs {
        let mut report = Report::new(scenario.name());
        report.time("calibration_arithmetic", calibration::arithmetic());
        report.time("calibration_round_trip", calibration::round_trip().await?);
        reports.push(match scenario {
            Scenario::Rest => {
                rest::run(&size.heddled, &size.rest, &mut report).await?;
                report
            }
            Scenario::FanOut => {
                fan_out::run(size, &mut report).await?;
                report
            }
            Scenario::Certificates => {
                certificates::run(size, &mut report).await?;
                report
            }
            Scenario::Tenants => {
                tenants::run(size, &mut report).await?;
                report
            }
            _ => staged(scenario, size, report).await?,
        });
    }
    Ok(Report::medians(reports))
}

/// With one mesh and one fleet in it.
async fn staged(scenario: Scenario, size: &Size, mut report: Report) -> anyhow::Result<Report> {
    anyhow::ensure!(
        size.scope < size.services,
        "a scope is smaller than the mesh"
    );
    size.churn.check()?;
    let heddle = Heddle::start(&size.heddled).await?;
    let tokens = heddle.org.fill(size.services, size.scope).await?;
    heddle.analyze().await?;
    report.count("proxies", size.proxies);
    report.count("services", size.services);
    report.count("scope", size.scope);
    let pid = heddle.server_pid().context("the server runs")?;
    // Of a service that calls the first one, if any does: that is the one to which things happen.
    let token = &tokens[tokens.len() - 1];
    let truth = Truth::start(size, heddle.directory(), &heddle.org, token).await?;
    let before = Usage::of(pid);
    let moves = Arc::<Moves>::default();
    let members = (0..size.proxies).map(|number| member(number, &tokens));
    let fleet = Fleet::watching(
        moves.clone(),
        heddle.target()?,
        members.collect(),
        size.in_flight,
        match scenario {
            Scenario::Slow => size.churn.behaviour(),
            _ => Behaviour::default(),
        },
    );
    let all_ready = fleet.all_ready(DEADLINE).await?;
    let mut stage = Stage {
        heddle,
        fleet,
        truth,
        moves,
        tokens,
        pid,
        scope: size.scope,
        report,
    };
    if scenario == Scenario::Cold {
        stage.cold(before, all_ready).await;
    } else {
        stage.settle().await?;
        stage.heddle.analyze().await?;
    }
    match scenario {
        Scenario::Cold
        | Scenario::Certificates
        | Scenario::Rest
        | Scenario::FanOut
        | Scenario::Tenants => {}
        Scenario::Endpoint => stage.endpoint(size.changes).await?,
        Scenario::Route => stage.route(size.changes).await?,
        Scenario::Policy => stage.policy(size.changes).await?,
        Scenario::Churn => stage.churn(&size.churn).await?,
        Scenario::Storm => stage.storm().await?,
        Scenario::NoOp => stage.no_op(&size.no_op).await?,
        Scenario::Slow => stage.slow(&size.churn).await?,
        Scenario::Idle => stage.idle(&size.idle, before).await,
        Scenario::Max => stage.max(&size.max, size.in_flight).await?,
    }
    let failures = stage.fleet.counters().failures.load(Ordering::Relaxed);
    stage.report.count("broken_connections", failures);
    stage.truth.check(&mut stage.report).await?;
    drop((stage.fleet, stage.truth));
    stage.heddle.stop().await?;
    Ok(stage.report)
}

/// Until nothing has been sent for a second: registrations of everybody have reached everybody.
pub(crate) async fn settle(fleets: &[Fleet]) -> anyhow::Result<()> {
    let responses = || -> u64 { fleets.iter().map(Fleet::responses).sum() };
    let wait = async {
        let mut last = responses();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = responses();
            if now == last {
                return;
            }
            last = now;
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .context("the fleet never comes to rest")
}

impl Stage {
    fn responses(&self) -> u64 {
        self.fleet.responses()
    }

    fn bytes(&self) -> u64 {
        self.fleet.counters().bytes.load(Ordering::Relaxed)
    }

    /// Whether the n-th proxy knows a service.
    fn knows(&self, proxy: usize, service: usize) -> bool {
        knows(proxy, service, self.tokens.len(), self.scope)
    }

    /// How many of the fleet know the n-th service.
    fn knowing(&self, service: usize) -> usize {
        let knows = |proxy: &usize| self.knows(*proxy, service);
        (0..self.fleet.size()).filter(knows).count()
    }

    async fn settle(&self) -> anyhow::Result<()> {
        settle(std::slice::from_ref(&self.fleet)).await
    }
}
