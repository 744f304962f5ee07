//! S7: what one organisation that changes all the time does to the others.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::{DEADLINE, Size};
use crate::fleet::{Behaviour, Fleet, Member};
use crate::heddle::Heddle;
use crate::members::{at, member};
use crate::movers::{Describe, Movers};
use crate::moves::{self, MOVERS, Moves};
use crate::org::Org;
use crate::process::Usage;
use crate::report::Report;
use crate::truth::Truth;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Tenants {
    /// Organisations, each with one mesh of one service
    #[arg(long, default_value_t = 1_000)]
    orgs: usize,
    /// Proxies of each
    #[arg(long, default_value_t = 10)]
    proxies_per_org: usize,
    /// Endpoints that change a second in one of them
    #[arg(long, default_value_t = 1_000)]
    noise_per_s: u32,
    /// Endpoints that change a second in the others together
    #[arg(long, default_value_t = 20)]
    victims_per_s: u32,
    /// Seconds of quiet, and then of noise
    #[arg(long, default_value_t = 30)]
    noise_seconds: u32,
}

/// Organisations that are made at a time.
const AT_A_TIME: usize = 4;

struct Tenant {
    org: Org,
    token: Arc<str>,
}

async fn tenants(heddle: &Arc<Heddle>, count: usize) -> anyhow::Result<Vec<Tenant>> {
    let mut making = JoinSet::new();
    for first in 0..AT_A_TIME.min(count) {
        let heddle = heddle.clone();
        making.spawn(async move {
            let mut made = Vec::new();
            for number in (first..count).step_by(AT_A_TIME) {
                let org = heddle.create_org(&format!("tenant-{number:04}")).await?;
                let token = org.fill(1, 0).await?.pop().context("a token")?;
                made.push(Tenant { org, token });
            }
            anyhow::Ok(made)
        });
    }
    let mut tenants = Vec::with_capacity(count);
    while let Some(made) = making.join_next().await {
        tenants.extend(made??);
    }
    Ok(tenants)
}

fn proxies(tenants: &[Tenant], each: usize) -> Vec<Member> {
    let of = |tenant: &Tenant| {
        let tokens = [tenant.token.clone()];
        (0..each).map(move |number| member(number, &tokens))
    };
    tenants.iter().flat_map(of).collect()
}

/// One workload for each token, which can move.
fn mover(token: &Arc<str>, number: usize) -> Describe {
    let tokens = [token.clone()];
    Box::new(move |address: &str| at(100_000 + number, &tokens, address))
}

/// Runs it.
///
/// # Errors
/// Something does not work at all.
pub(super) async fn run(size: &Size, report: &mut Report) -> anyhow::Result<()> {
    let own = &size.tenants;
    anyhow::ensure!(
        own.orgs > 1 && own.proxies_per_org > 0,
        "there are victims only in another organisation, and with proxies"
    );
    moves::check(own.noise_per_s, own.noise_seconds)?;
    // The victims move in both halves.
    moves::check(own.victims_per_s, 2 * own.noise_seconds)?;
    let heddle = Arc::new(Heddle::start(&size.heddled).await?);
    let tenants = tenants(&heddle, own.orgs).await?;
    let (noisy, victims) = tenants.split_at(1);
    let pid = heddle.server_pid().context("the server runs")?;
    let target = heddle.target()?;
    let before = Usage::of(pid);
    let truth = Truth::start(size, heddle.directory(), &victims[0].org, &victims[0].token).await?;
    let (noise, calm) = (Arc::<Moves>::default(), Arc::<Moves>::default());
    let start = |moves: &Arc<Moves>, tenants| {
        Fleet::watching(
            moves.clone(),
            target.clone(),
            proxies(tenants, own.proxies_per_org),
            size.in_flight,
            Behaviour::default(),
        )
    };
    let fleets = [start(&noise, noisy), start(&calm, victims)];
    for fleet in &fleets {
        fleet.all_ready(DEADLINE).await?;
    }
    let restless = (0..MOVERS).map(|number| mover(&noisy[0].token, number));
    let mut restless = Movers::join(&target, &noise, restless).await?;
    let victims = victims.iter().take(MOVERS);
    let watched = victims.len();
    let rare = victims
        .enumerate()
        .map(|(n, tenant)| mover(&tenant.token, n));
    let mut rare = Movers::join(&target, &calm, rare).await?;
    super::settle(&fleets).await?;

    let length = Duration::from_secs(own.noise_seconds.into());
    calm.clear();
    rare.churn(own.victims_per_s, length).await?;
    calm.known_to(own.proxies_per_org, DEADLINE).await?;
    let alone = calm.lags.percentile(99);
    let median_alone = calm.lags.percentile(50);
    calm.clear();
    noise.clear();
    let quiet = Usage::of(pid);
    let (noise_took, _) = tokio::try_join!(
        restless.churn(own.noise_per_s, length),
        rare.churn(own.victims_per_s, length)
    )?;
    let used = Usage::of(pid).cpu_since(quiet);
    calm.known_to(own.proxies_per_org, DEADLINE).await?;
    noise.known_to(own.proxies_per_org, DEADLINE).await?;
    let under = calm.lags.percentile(99);

    report.count("orgs", own.orgs);
    report.count("proxies", own.orgs * own.proxies_per_org);
    report.count("victims_watched", watched);
    report.count("victim_changes", calm.count());
    report.number(
        "noise_per_s",
        noise.count() as f64 / noise_took.as_secs_f64(),
    );
    report.time("victims_p50_alone", median_alone);
    report.time("victims_p99_alone", alone);
    report.time("victims_p50_under_noise", calm.lags.percentile(50));
    report.time("victims_p99_under_noise", under);
    report.number(
        "victims_p99_ratio",
        under.as_secs_f64() / alone.as_secs_f64().max(1e-6),
    );
    report.time("noisy_p99", noise.lags.percentile(99));
    report.number(
        "server_cpu_percent_of_a_core",
        used.as_secs_f64() / noise_took.as_secs_f64() * 100.0,
    );
    let after = Usage::of(pid).resident_bytes;
    report.number("server_rss_mb", after as f64 / 1e6);
    report.number(
        "server_rss_growth_mb",
        (after as f64 - before.resident_bytes as f64) / 1e6,
    );
    // The first of the victims is the one with a real Envoy.
    truth.knows(&rare.whereabouts()[..1]).await?;
    truth.check(report).await?;
    drop((truth, fleets, restless, rare));
    let heddle = Arc::into_inner(heddle).context("nobody else uses the server")?;
    heddle.stop().await
}
