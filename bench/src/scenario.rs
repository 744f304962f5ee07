//! The scenarios: each starts a Heddle of its own, fills it, connects a fleet and measures one thing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::calibration;
use crate::fleet::{Behaviour, Fleet};
use crate::heddle::{Heddle, at, knowing, member, service, spec};
use crate::process::Usage;
use crate::report::{Report, median, percentile};
use crate::rest::{self, Rest};
use crate::wire::Kind;

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
    /// The server's binary
    #[arg(long, default_value = "target/release/heddled")]
    pub(crate) heddled: PathBuf,
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
    /// S5: the server is killed and comes back
    Storm,
    /// S6: equal content is written again and again
    NoOp,
    /// R1: reads and writes of the REST API, next to a bare client of the database
    Rest,
}

impl Scenario {
    pub(crate) const ALL: [Self; 6] = [
        Self::Cold,
        Self::Endpoint,
        Self::Route,
        Self::Storm,
        Self::NoOp,
        Self::Rest,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Cold => "s1-cold",
            Self::Endpoint => "s2-endpoint",
            Self::Route => "s3-route",
            Self::Storm => "s5-storm",
            Self::NoOp => "s6-no-op",
            Self::Rest => "r1-rest",
        }
    }
}

/// How long anything may take before it counts as failed.
const DEADLINE: Duration = Duration::from_secs(300);
/// How long a change may take to reach everybody.
const CHANGE: Duration = Duration::from_secs(30);

struct Stage {
    heddle: Heddle,
    fleet: Fleet,
    tokens: Vec<Arc<str>>,
    pid: u32,
    scope: usize,
    report: Report,
}

/// Runs one scenario.
///
/// # Errors
/// Something does not work at all; a bar that is missed is no error.
pub(crate) async fn run(scenario: Scenario, size: &Size) -> anyhow::Result<Report> {
    let mut report = Report::new(scenario.name());
    report.time("calibration_arithmetic", calibration::arithmetic());
    report.time("calibration_round_trip", calibration::round_trip().await?);
    if scenario == Scenario::Rest {
        rest::run(&size.heddled, &size.rest, &mut report).await?;
        return Ok(report);
    }
    let heddle = Heddle::start(&size.heddled).await?;
    anyhow::ensure!(
        size.scope < size.services,
        "a scope is smaller than the mesh"
    );
    let tokens = heddle.fill(size.services, size.scope).await?;
    report.count("proxies", size.proxies);
    report.count("services", size.services);
    report.count("scope", size.scope);
    let pid = heddle.server_pid().context("the server runs")?;
    let before = Usage::of(pid);
    let members = (0..size.proxies)
        .map(|number| member(number, &tokens))
        .collect();
    let fleet = Fleet::start(
        heddle.target()?,
        members,
        size.in_flight,
        Behaviour::default(),
    );
    let all_ready = fleet.all_ready(DEADLINE).await?;
    let mut stage = Stage {
        heddle,
        fleet,
        tokens,
        pid,
        scope: size.scope,
        report,
    };
    if scenario == Scenario::Cold {
        stage.cold(before, all_ready).await;
    } else {
        stage.settle().await?;
        match scenario {
            Scenario::Cold | Scenario::Rest => {}
            Scenario::Endpoint => stage.endpoint(size.changes).await?,
            Scenario::Route => stage.route(size.changes).await?,
            Scenario::Storm => stage.storm().await?,
            Scenario::NoOp => stage.no_op().await?,
        }
    }
    let failures = stage
        .fleet
        .counters()
        .failures
        .load(std::sync::atomic::Ordering::Relaxed);
    stage.report.count("broken_connections", failures);
    drop(stage.fleet);
    stage.heddle.stop().await?;
    Ok(stage.report)
}

impl Stage {
    fn responses(&self) -> u64 {
        self.fleet
            .counters()
            .responses
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.fleet
            .counters()
            .bytes
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// How many of the fleet know the n-th service.
    fn knowing(&self, number: usize) -> usize {
        knowing(number, self.fleet.size(), self.tokens.len(), self.scope)
    }

    /// Until nothing has been sent for a second: registrations of everybody have reached everybody.
    async fn settle(&self) -> anyhow::Result<()> {
        let wait = async {
            let mut last = self.responses();
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let now = self.responses();
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

    async fn cold(&mut self, before: Usage, all_ready: Duration) {
        let after = Usage::of(self.pid);
        let proxies = self.fleet.size() as f64;
        let report = &mut self.report;
        report.time("all_ready", all_ready);
        report.times("ready", &self.fleet.times_to_ready());
        report.number("ready_per_s", proxies / all_ready.as_secs_f64());
        report.number(
            "server_cpu_ms_per_proxy",
            after.cpu_since(before).as_secs_f64() * 1e3 / proxies,
        );
        let bytes = self
            .fleet
            .counters()
            .bytes
            .load(std::sync::atomic::Ordering::Relaxed);
        report.number("received_kb_per_proxy", bytes as f64 / 1e3 / proxies);
        // As the design says: once it had three seconds to come to rest.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let rest = Usage::of(self.pid);
        let grown = rest.resident_bytes.saturating_sub(before.resident_bytes);
        self.report
            .number("server_rss_mb", rest.resident_bytes as f64 / 1e6);
        self.report
            .number("server_rss_kb_per_proxy", grown as f64 / 1e3 / proxies);
    }

    /// Waits until `expected` proxies have heard; what they heard, shortest first.
    async fn heard(&self, expected: usize) -> anyhow::Result<Vec<Duration>> {
        let wait = async {
            while self.fleet.probe().count() < expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(CHANGE, wait).await.with_context(|| {
            format!(
                "{} of {expected} proxies heard of a change",
                self.fleet.probe().count()
            )
        })?;
        Ok(self.fleet.probe().end())
    }

    /// A workload joins; measured from the moment when it has its configuration.
    async fn endpoint(&mut self, changes: usize) -> anyhow::Result<()> {
        let proxies = self.fleet.size();
        let (mut p50, mut p99, mut max) = (Vec::new(), Vec::new(), Vec::new());
        // They stay until the end: leaving is a change, too.
        let mut newcomers = Vec::with_capacity(changes);
        let mut pushes = 0;
        let before = Usage::of(self.pid);
        for change in 0..changes {
            let number = proxies + change;
            let newcomer = at(
                number,
                &self.tokens,
                &format!("10.200.{}.{}", change / 200, change % 200 + 1),
            );
            let probe = self.fleet.probe();
            probe.ask(Kind::Endpoints);
            let one = Fleet::start(
                self.heddle.target()?,
                vec![newcomer],
                1,
                Behaviour::default(),
            );
            one.all_ready(CHANGE).await?;
            if probe.count() == 0 {
                probe.restart();
            }
            let expected = self.knowing(number % self.tokens.len());
            let receipts = self.heard(expected).await?;
            pushes += expected;
            p50.push(percentile(&receipts, 50));
            p99.push(percentile(&receipts, 99));
            max.push(percentile(&receipts, 100));
            newcomers.push(one);
        }
        let used = Usage::of(self.pid).cpu_since(before);
        self.receipts(p50, p99, max, used, pushes);
        Ok(())
    }

    fn receipts(
        &mut self,
        p50: Vec<Duration>,
        p99: Vec<Duration>,
        max: Vec<Duration>,
        used: Duration,
        pushes: usize,
    ) {
        let changes = p50.len() as f64;
        let report = &mut self.report;
        report.count("changes", p50.len());
        report.time("receipt_p50", median(p50));
        report.time("receipt_p99", median(p99));
        report.time("receipt_max", median(max));
        report.number(
            "server_cpu_ms_per_change",
            used.as_secs_f64() * 1e3 / changes,
        );
        report.number(
            "server_cpu_us_per_push",
            used.as_secs_f64() * 1e6 / pushes as f64,
        );
        report.number("pushes_per_change", pushes as f64 / changes);
    }

    /// A route's priority changes; measured from the moment when the REST call is sent, its commit included.
    async fn route(&mut self, changes: usize) -> anyhow::Result<()> {
        let path = format!("/services/{}/routes/all", service(0));
        let spec = |timeout: usize| json!({"priority": 1, "backends": [{"service": service(0)}], "settings": {"timeout": format!("{timeout}s")}});
        self.heddle.put(&path, &spec(1)).await?;
        self.settle().await?;
        let proxies = self.knowing(0);
        let (mut p50, mut p99, mut max, mut answers) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let before = Usage::of(self.pid);
        for change in 0..changes {
            self.fleet.probe().ask(Kind::Route);
            let started = Instant::now();
            self.heddle.put(&path, &spec(2 + change)).await?;
            answers.push(started.elapsed());
            let receipts = self.heard(proxies).await?;
            p50.push(percentile(&receipts, 50));
            p99.push(percentile(&receipts, 99));
            max.push(percentile(&receipts, 100));
        }
        let used = Usage::of(self.pid).cpu_since(before);
        self.report.time("rest_answer_p50", median(answers));
        self.receipts(p50, p99, max, used, proxies * changes);
        Ok(())
    }

    async fn storm(&mut self) -> anyhow::Result<()> {
        let counters = self.fleet.counters();
        let resources = counters
            .resources
            .load(std::sync::atomic::Ordering::Relaxed);
        let bytes = self.bytes();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid)?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL)?;
        let killed = Instant::now();
        let back = async {
            loop {
                let again = self.heddle.server_pid().filter(|pid| *pid != self.pid);
                if let Some(pid) = again
                    && self.fleet.ready() == self.fleet.size()
                {
                    return pid;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let pid = tokio::time::timeout(DEADLINE, back)
            .await
            .context("not all proxies came back")?;
        let elapsed = killed.elapsed();
        self.settle().await?;
        let resent = self
            .fleet
            .counters()
            .resources
            .load(std::sync::atomic::Ordering::Relaxed)
            - resources;
        let received = self.bytes() - bytes;
        let used = Usage::of(pid);
        let proxies = self.fleet.size() as f64;
        let report = &mut self.report;
        report.time("all_back", elapsed);
        report.count("resources_resent", resent);
        report.number("received_bytes_per_proxy", received as f64 / proxies);
        report.number(
            "server_cpu_ms_per_proxy",
            used.cpu.as_secs_f64() * 1e3 / proxies,
        );
        report.number("server_rss_mb", used.resident_bytes as f64 / 1e6);
        Ok(())
    }

    /// Writes one object with equal content as fast as one caller can, for ten seconds.
    async fn no_op(&mut self) -> anyhow::Result<()> {
        let path = format!("/services/{}", service(0));
        let spec = spec(0, self.tokens.len(), self.scope);
        let responses = self.responses();
        let before = Usage::of(self.pid);
        let started = Instant::now();
        let mut writes = 0_u64;
        while started.elapsed() < Duration::from_secs(10) {
            self.heddle.put(&path, &spec).await?;
            writes += 1;
        }
        let used = Usage::of(self.pid).cpu_since(before);
        self.settle().await?;
        self.report.count("writes", writes);
        self.report.number("writes_per_s", writes as f64 / 10.0);
        self.report.count("pushes", self.responses() - responses);
        self.report.number(
            "server_cpu_ms_per_write",
            used.as_secs_f64() * 1e3 / writes as f64,
        );
        Ok(())
    }
}
