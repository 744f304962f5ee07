//! S11: what proxies cost that have everything and want nothing.

use std::time::Duration;

use super::Stage;
use crate::process::{self, Usage};

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Idle {
    /// Seconds in which nothing changes
    #[arg(long, default_value_t = 600)]
    pub(crate) idle_seconds: u64,
}

impl Stage {
    /// Nothing changes for a while. All connections are TLS, and every proxy holds a certificate of its own.
    pub(super) async fn idle(&mut self, size: &Idle, empty: Usage) {
        let before = (Usage::of(self.pid), process::wake_ups(self.pid));
        let responses = self.responses();
        // Not a wait for something: the time is what is measured.
        tokio::time::sleep(Duration::from_secs(size.idle_seconds)).await;
        let after = (Usage::of(self.pid), process::wake_ups(self.pid));
        let seconds = size.idle_seconds.max(1) as f64;
        let proxies = self.fleet.size() as f64;
        let grown = after.0.resident_bytes.saturating_sub(empty.resident_bytes);
        let pushes = self.responses() - responses;
        let report = &mut self.report;
        report.number("idle_s", seconds);
        report.count("pushes", pushes);
        report.number("server_rss_mb", after.0.resident_bytes as f64 / 1e6);
        report.number("server_rss_kb_per_proxy", grown as f64 / 1e3 / proxies);
        report.number(
            "server_cpu_percent_of_a_core",
            after.0.cpu_since(before.0).as_secs_f64() / seconds * 100.0,
        );
        report.number(
            "server_wake_ups_per_s",
            after.1.saturating_sub(before.1) as f64 / seconds,
        );
    }
}
