//! S4 and S8: endpoints that change all the time, and proxies that do not read meanwhile.

use std::time::Duration;

use super::{DEADLINE, Stage};
use crate::fleet::Behaviour;
use crate::members::at;
use crate::movers::{Describe, Movers};
use crate::moves::{self, MOVERS};
use crate::process::Usage;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Churn {
    /// Endpoints that change a second
    #[arg(long, default_value_t = 100)]
    pub(crate) churn_per_s: u32,
    /// For so many seconds
    #[arg(long, default_value_t = 60)]
    pub(crate) churn_seconds: u32,
    /// Of 100 proxies, so many stop reading for half of the time (S8)
    #[arg(long, default_value_t = 1)]
    pub(crate) slow_percent: usize,
}

impl Churn {
    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(self.churn_seconds.into())
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        moves::check(self.churn_per_s, self.churn_seconds)
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        Behaviour {
            slow_percent: self.slow_percent,
            ..Behaviour::default()
        }
    }
}

impl Stage {
    /// Workloads of the first service that can move.
    pub(super) async fn movers(&self) -> anyhow::Result<Movers> {
        let descriptions = (0..MOVERS).map(|mover| {
            let tokens = self.tokens.clone();
            // Far above the fleet's numbers, and of the first service.
            let number = (100_000 + mover) * tokens.len();
            Box::new(move |address: &str| at(number, &tokens, address)) as Describe
        });
        Movers::join(&self.heddle.target()?, &self.moves, descriptions).await
    }

    /// Endpoints of one service change; how far behind the proxies are that know it.
    pub(super) async fn churn(&mut self, size: &Churn) -> anyhow::Result<()> {
        let mut movers = self.movers().await?;
        self.settle().await?;
        let knowing = self.knowing(0);
        self.churning(size, &mut movers, knowing).await
    }

    /// The same, while some proxies read nothing for half of the time.
    pub(super) async fn slow(&mut self, size: &Churn) -> anyhow::Result<()> {
        anyhow::ensure!(size.slow_percent < 100, "somebody has to read");
        let mut movers = self.movers().await?;
        self.settle().await?;
        let services = self.tokens.len();
        let slow = |number: &usize| number % 100 < size.slow_percent;
        let proxies = (0..self.fleet.size()).filter(slow).count();
        let reading = (0..self.fleet.size()).filter(|number| !slow(number));
        let knowing = reading.filter(|number| self.knows(*number, 0)).count();
        self.report.count("slow_proxies", proxies);
        self.report
            .count("services_of_slow_proxies", services.min(proxies));
        self.fleet.stop_reading();
        let half = Churn {
            churn_seconds: size.churn_seconds.div_ceil(2),
            ..size.clone()
        };
        self.churning(&half, &mut movers, knowing).await?;
        let stopped = Usage::of(self.pid).resident_bytes;
        self.fleet.read_again();
        // Those that were thrown out come back.
        self.fleet.all_ready(DEADLINE).await?;
        self.moves.clear();
        movers.churn(size.churn_per_s, half.length()).await?;
        self.moves.known_to(knowing, DEADLINE).await?;
        self.settle().await?;
        let after = Usage::of(self.pid).resident_bytes;
        self.report
            .time("lag_p99_once_they_read", self.moves.lags.percentile(99));
        self.report.number(
            "server_rss_growth_once_they_read_mb",
            (after as f64 - stopped as f64) / 1e6,
        );
        Ok(())
    }

    async fn churning(
        &mut self,
        size: &Churn,
        movers: &mut Movers,
        knowing: usize,
    ) -> anyhow::Result<()> {
        self.moves.clear();
        let responses = self.responses();
        let before = Usage::of(self.pid);
        let elapsed = movers.churn(size.churn_per_s, size.length()).await?;
        let used = Usage::of(self.pid).cpu_since(before);
        let last = self.moves.known_to(knowing, DEADLINE).await?;
        self.truth.knows(&movers.whereabouts()).await?;
        self.settle().await?;
        let after = Usage::of(self.pid);
        let moves = self.moves.count() as f64;
        let pushes = (self.responses() - responses) as f64;
        let report = &mut self.report;
        report.count("changes", self.moves.count());
        report.number("changes_per_s", moves / elapsed.as_secs_f64());
        report.count("movers_reconnected", movers.reconnects());
        report.count("proxies_concerned", knowing);
        for (key, percent) in [("lag_p50", 50), ("lag_p99", 99), ("lag_max", 100)] {
            report.time(key, self.moves.lags.percentile(percent));
        }
        report.time("lag_of_the_last_change", last);
        report.number("responses_per_change", pushes / moves);
        report.number(
            "responses_per_change_and_proxy",
            pushes / moves / knowing.max(1) as f64,
        );
        report.number(
            "server_cpu_percent_of_a_core",
            used.as_secs_f64() / elapsed.as_secs_f64() * 100.0,
        );
        report.number("server_cpu_ms_per_change", used.as_secs_f64() * 1e3 / moves);
        report.number("server_rss_mb", after.resident_bytes as f64 / 1e6);
        report.number(
            "server_rss_growth_mb",
            (after.resident_bytes as f64 - before.resident_bytes as f64) / 1e6,
        );
        Ok(())
    }
}
