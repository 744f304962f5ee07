//! S6: equal content is written again and again, and nobody is told of it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::Stage;
use crate::members::{service, spec};
use crate::org::MESH;
use crate::process::Usage;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NoOp {
    /// Equal contents written a second; as many as come through when that is less
    #[arg(long, default_value_t = 1_000)]
    no_op_per_s: u32,
    /// For so many seconds
    #[arg(long, default_value_t = 10)]
    no_op_seconds: u32,
}

/// Writers at once, each with a connection of its own.
const WRITERS: u32 = 32;

impl Stage {
    /// Writes services as they are.
    pub(super) async fn no_op(&mut self, size: &NoOp) -> anyhow::Result<()> {
        anyhow::ensure!(
            size.no_op_per_s > 0 && size.no_op_seconds > 0,
            "nothing to write"
        );
        let responses = self.responses();
        let writes = u64::from(size.no_op_per_s) * u64::from(size.no_op_seconds);
        let gap = Duration::from_secs(1) * WRITERS / size.no_op_per_s;
        let caller = self.heddle.caller()?;
        let before = Usage::of(self.pid);
        let started = Instant::now();
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let number = usize::try_from(writer)? % self.tokens.len();
            let path = format!(
                "/v1/orgs/{}/meshes/{MESH}/services/{}",
                self.heddle.org.name,
                service(number)
            );
            let body = spec(number, self.tokens.len(), self.scope).to_string();
            let request = caller.request("PUT", &path, &body);
            let mut connection = caller.connect().await?;
            let own = writes / u64::from(WRITERS)
                + u64::from(u64::from(writer) < writes % u64::from(WRITERS));
            writers.spawn(async move {
                let mut tick = tokio::time::interval(gap);
                for _ in 0..own {
                    tick.tick().await;
                    connection.call(&request).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended?.context("write equal content")?;
        }
        let elapsed = started.elapsed();
        let used = Usage::of(self.pid).cpu_since(before);
        self.settle().await?;
        self.report.count("writes", writes);
        self.report
            .number("writes_per_s", writes as f64 / elapsed.as_secs_f64());
        self.report.count("pushes", self.responses() - responses);
        self.report.number(
            "server_cpu_ms_per_write",
            used.as_secs_f64() * 1e3 / writes as f64,
        );
        Ok(())
    }
}
