//! Logs and metrics: set up once per process, before anything else runs.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use heddle_model::quota::Quota;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// How often old samples of histograms are folded into what `/metrics` shows.
const UPKEEP: Duration = Duration::from_secs(5);
/// Counted where it happens, at the API and at the xDS server.
const QUOTA_REFUSED: &str = "heddle_quota_refused_total";

/// Sends the log to standard error, which a supervisor or a container runtime collects.
///
/// # Errors
/// The filter cannot be understood, or logging has been set up before.
pub(crate) fn init_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log_level: {filter:?}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|error| anyhow!("set up the log: {error}"))
}

/// Installs the recorder behind the `metrics` macros; `render()` of the handle is the body of `/metrics`.
///
/// Call it on a tokio runtime: a task there keeps histograms bounded for as long as the process lives.
///
/// # Errors
/// A recorder has been installed before.
pub(crate) fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .context("install the metrics recorder")?;
    metrics::describe_gauge!("heddle_tasks", "Tasks of the process that have not ended");
    metrics::describe_gauge!("heddle_build_info", "1, and which version this is");
    metrics::gauge!("heddle_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    // From the start, so that an alert sees the first one.
    for (name, what) in [
        ("heddle_panics_total", "Requests that ended in a panic"),
        (
            "heddle_api_rate_limited_total",
            "Requests refused for being one too many",
        ),
    ] {
        metrics::describe_counter!(name, what);
        metrics::counter!(name).increment(0);
    }
    metrics::describe_counter!(
        QUOTA_REFUSED,
        "What was refused because an organisation has as many as it may have"
    );
    for quota in Quota::ALL {
        metrics::counter!(QUOTA_REFUSED, "quota" => quota.as_str()).increment(0);
    }
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// The body of `/metrics`.
pub(crate) fn render(metrics: &PrometheusHandle) -> String {
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    #[expect(clippy::cast_precision_loss, reason = "far fewer tasks than 2^52")]
    metrics::gauge!("heddle_tasks").set(tasks as f64);
    metrics.render()
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_counter_reaches_the_text_that_prometheus_reads() {
        let handle = super::install_metrics().unwrap();
        metrics::counter!("heddle_telemetry_test_total").increment(3);
        assert!(
            super::render(&handle).contains("heddle_telemetry_test_total 3"),
            "{}",
            handle.render()
        );
    }
}
