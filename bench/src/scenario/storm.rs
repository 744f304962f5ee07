//! S5: the server is killed and comes back, and so does everybody.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{DEADLINE, Stage};
use crate::process::Usage;

impl Stage {
    /// Kills the server, and waits until all proxies have what they should have.
    pub(super) async fn storm(&mut self) -> anyhow::Result<()> {
        let counters = self.fleet.counters();
        let resources = counters.resources.load(Ordering::Relaxed);
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
        let resent = self.fleet.counters().resources.load(Ordering::Relaxed) - resources;
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
}
