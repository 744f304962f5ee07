//! S1: what a proxy costs that connects with nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Stage;
use crate::process::Usage;

impl Stage {
    /// All proxies have connected at once, and this is what it took.
    pub(super) async fn cold(&mut self, before: Usage, all_ready: Duration) {
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
        let bytes = self.fleet.counters().bytes.load(Ordering::Relaxed);
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
}
