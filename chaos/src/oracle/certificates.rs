//! O6: real Envoys have certificates that are good, and no handshake between them fails.

use anyhow::Context as _;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Before, verdict};
use crate::case::Verdict;
use crate::world::World;

/// Handshakes of real Envoys so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handshakes {
    done: u64,
    failed: u64,
}

impl Handshakes {
    pub(super) async fn of(world: &World) -> Self {
        let mut sum = Self::default();
        for envoy in &world.load.envoys {
            let text = envoy.0.envoy.admin("/stats?filter=ssl").await;
            for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
                let value: u64 = value.parse().unwrap_or_default();
                // The way to the control plane is cut on purpose.
                if name.contains("xds") {
                    continue;
                }
                if name.ends_with("ssl.handshake") {
                    sum.done += value;
                }
                if name.contains("ssl.fail_verify") || name.ends_with("ssl.connection_error") {
                    sum.failed += value;
                }
            }
        }
        sum
    }
}

pub(super) async fn judge(world: &World, before: &Before) -> Verdict {
    let now = Handshakes::of(world).await;
    let failed = now.failed.saturating_sub(before.handshakes.failed);
    let outcome = async {
        let mut shortest = f64::INFINITY;
        for envoy in &world.load.envoys {
            for ends in ends(&envoy.0.envoy.certificates().await)? {
                let left = ends - OffsetDateTime::now_utc();
                shortest = shortest.min(left.as_seconds_f64());
            }
        }
        let good = failed == 0 && now.done > 0 && shortest > 0.0 && shortest.is_finite();
        let says = format!(
            "{failed} handshakes failed, {} done in all; the first certificate ends in {shortest:.0} s",
            now.done
        );
        Ok((good, says))
    };
    verdict("O6 certificates", outcome.await)
}

/// When each certificate of an Envoy's own ends.
fn ends(certificates: &Value) -> anyhow::Result<Vec<OffsetDateTime>> {
    let each = certificates["certificates"]
        .as_array()
        .context("certificates")?;
    let chains = each.iter().flat_map(|one| one["cert_chain"].as_array());
    let ends = chains.flatten().map(|cert| {
        let text = cert["expiration_time"].as_str().context("an end")?;
        Ok(OffsetDateTime::parse(text, &Rfc3339)?)
    });
    ends.collect()
}
