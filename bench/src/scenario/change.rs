//! S2 and S3: one change, and when each proxy has it that it concerns.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{CHANGE, Stage};
use crate::fleet::{Behaviour, Fleet};
use crate::members::{at, service};
use crate::org::mesh;
use crate::process::Usage;
use crate::report::{median, percentile};
use crate::wire::Kind;

impl Stage {
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
    pub(super) async fn endpoint(&mut self, changes: usize) -> anyhow::Result<()> {
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

    /// A route's time limit changes; measured from the moment when the REST call is sent, its commit included.
    pub(super) async fn route(&mut self, changes: usize) -> anyhow::Result<()> {
        let path = format!("/services/{}/routes/all", service(0));
        let spec = |timeout: usize| json!({"priority": 1, "backends": [{"service": service(0)}], "settings": {"timeout": format!("{timeout}s")}});
        self.heddle.org.put(&path, &spec(1)).await?;
        self.settle().await?;
        let proxies = self.knowing(0);
        let bodies = (0..changes).map(|change| spec(2 + change));
        self.rest_change(&path, bodies, proxies).await
    }

    /// Time limits change for the whole mesh, which every route in it carries; measured as a route is.
    pub(super) async fn policy(&mut self, changes: usize) -> anyhow::Result<()> {
        self.heddle.org.put("", &mesh(Some(1))).await?;
        self.settle().await?;
        let proxies = self.fleet.size();
        let bodies = (0..changes).map(|change| mesh(Some(2 + change)));
        self.rest_change("", bodies, proxies).await
    }

    /// One object is written again and again; each time, so many proxies hear of routes.
    async fn rest_change(
        &mut self,
        path: &str,
        bodies: impl Iterator<Item = Value>,
        proxies: usize,
    ) -> anyhow::Result<()> {
        let (mut p50, mut p99, mut max, mut answers) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let before = Usage::of(self.pid);
        for body in bodies {
            self.fleet.probe().ask(Kind::Route);
            let started = Instant::now();
            self.heddle.org.put(path, &body).await?;
            answers.push(started.elapsed());
            let receipts = self.heard(proxies).await?;
            p50.push(percentile(&receipts, 50));
            p99.push(percentile(&receipts, 99));
            max.push(percentile(&receipts, 100));
        }
        let used = Usage::of(self.pid).cpu_since(before);
        let pushes = proxies * answers.len();
        self.report.time("rest_answer_p50", median(answers));
        self.receipts(p50, p99, max, used, pushes);
        Ok(())
    }
}
