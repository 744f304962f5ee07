//! S12: how many proxies one server carries.

use std::time::{Duration, Instant};

use super::{CHANGE, Stage};
use crate::fleet::{Behaviour, Fleet};
use crate::members::member;
use crate::process::Usage;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Max {
    /// No more proxies than this
    #[arg(long, default_value_t = 200_000)]
    ramp_to: usize,
    /// Proxies that are added at a time
    #[arg(long, default_value_t = 2_000)]
    ramp_step: usize,
    /// Proxies that share a connection; the server allows 16
    #[arg(long, default_value_t = 10)]
    streams_per_connection: usize,
    /// It ends after so many seconds at the latest
    #[arg(long, default_value_t = 600)]
    ramp_seconds: u64,
}

/// A change may take this long until 99 of 100 proxies have it.
const LIMIT: Duration = Duration::from_secs(1);
/// Memory that the server may take, in bytes.
const MEMORY: u64 = 4_000_000_000;
/// Changes that are measured after each step.
const CHANGES: usize = 20;

impl Stage {
    /// Adds proxies until a change takes more than a second, the server more than 4 GB, or it takes too long.
    pub(super) async fn max(&mut self, size: &Max, in_flight: usize) -> anyhow::Result<()> {
        anyhow::ensure!(size.ramp_step > 0, "a step adds somebody");
        let mut movers = self.movers().await?;
        let began = Instant::now();
        let limit = Duration::from_secs(size.ramp_seconds);
        let behaviour = Behaviour {
            streams_per_connection: size.streams_per_connection.max(1),
            ..Behaviour::default()
        };
        let first = self.fleet.size();
        let mut carried = (0, Duration::ZERO, 0);
        let mut fleets = Vec::new();
        let ended = loop {
            let proxies = first + fleets.len() * size.ramp_step;
            let knowing = (0..proxies).filter(|n| self.knows(*n, 0)).count();
            self.moves.clear();
            for _ in 0..CHANGES {
                movers.one().await?;
                if self.moves.known_to(knowing, CHANGE).await.is_err() {
                    break;
                }
            }
            let p99 = self.moves.lags.percentile(99);
            let memory = Usage::of(self.pid).resident_bytes;
            let complete = self.moves.lags.count() == (CHANGES * knowing) as u64;
            if !complete || p99 > LIMIT {
                break "latency";
            }
            if memory > MEMORY {
                break "memory";
            }
            carried = (proxies, p99, memory);
            if proxies + size.ramp_step > size.ramp_to {
                break "ramp_to";
            }
            if began.elapsed() > limit {
                break "time";
            }
            let members = (proxies..proxies + size.ramp_step).map(|n| member(n, &self.tokens));
            let fleet = Fleet::watching(
                self.moves.clone(),
                self.heddle.target()?,
                members.collect(),
                in_flight,
                behaviour,
            );
            let left = limit.saturating_sub(began.elapsed());
            if fleet.all_ready(left).await.is_err() {
                break "time";
            }
            fleets.push(fleet);
            super::settle(&fleets).await?;
        };
        let (proxies, p99, memory) = carried;
        let report = &mut self.report;
        report.count("streams_per_connection", behaviour.streams_per_connection);
        report.text("ended_by", ended);
        report.count("proxies_carried", proxies);
        report.time("receipt_p99_then", p99);
        report.number("server_rss_then_mb", memory as f64 / 1e6);
        report.number("ramp_s", began.elapsed().as_secs_f64());
        Ok(())
    }
}
