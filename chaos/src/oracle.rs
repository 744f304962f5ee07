//! The judges: each looks at one thing during every fault, whatever the fault is.

mod alert;
mod audit;
mod certificates;
mod convergence;
mod ledger;
mod monotonic;
mod panics;
mod resources;
mod taint;
mod traffic;

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use crate::case::{Case, Verdict};
use crate::crowd::Mark;
use crate::world::World;

/// How things were before a fault.
pub(crate) struct Before {
    pub(crate) crowd: Mark,
    regressions: usize,
    resources: resources::Sum,
    handshakes: certificates::Handshakes,
}

impl Before {
    /// Looks; what traffic there was before is forgotten.
    pub(crate) async fn look(world: &World) -> Self {
        drop(world.load.traffic.take());
        Self {
            crowd: world.load.crowd.mark(),
            regressions: monotonic::all(world).len(),
            resources: resources::Sum::of(world).await,
            handshakes: certificates::Handshakes::of(world).await,
        }
    }
}

/// A verdict that was reached, or why none was.
fn verdict(oracle: &'static str, outcome: anyhow::Result<(bool, String)>) -> Verdict {
    let (good, says) = outcome.unwrap_or_else(|error| (false, format!("{error:#}")));
    Verdict {
        oracle,
        good: Some(good),
        says,
    }
}

/// Has all of them judge a fault that is over. `alert` is what should have been raised.
pub(crate) async fn judge(
    world: &World,
    before: &Before,
    alert: Option<&'static str>,
    case: &mut Case,
) {
    // What others wait for first, and what takes time.
    let converged = reached("O2 convergence", convergence::judge(world, case)).await;
    let ledger = reached("O1 ledger", ledger::judge(world, case.loses())).await;
    let audit = reached("O8 audit", audit::judge(world)).await;
    let resources = reached("O7 resources", resources::judge(world, before)).await;
    let certificates = reached("O6 certificates", certificates::judge(world, before)).await;
    let alert = reached("O10 alert", alert::judge(world, alert, case)).await;
    let panics = reached("O9 panics", panics::judge(world)).await;
    let traffic = traffic::judge(world, case);
    case.verdicts.extend([
        ledger,
        converged,
        traffic,
        taint::judge(world),
        monotonic::judge(world, before),
        certificates,
        resources,
        audit,
        panics,
        alert,
    ]);
}

/// The harness panics where a test would fail; here that is one verdict.
async fn reached(oracle: &'static str, judging: impl Future<Output = Verdict>) -> Verdict {
    let caught = AssertUnwindSafe(judging).catch_unwind().await;
    caught.unwrap_or_else(|panic| Verdict {
        oracle,
        good: Some(false),
        says: said(&*panic),
    })
}

/// What a panic says.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| String::from("it panicked"))
}
