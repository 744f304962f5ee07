//! O10: whoever watches Heddle is told of the fault within a minute, and that it is over.

use std::time::{Duration, Instant};

use super::verdict;
use crate::case::{Case, Verdict};
use crate::world::World;

/// In how long it is raised, and after the fault is gone again.
const WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn judge(world: &World, name: Option<&'static str>, case: &Case) -> Verdict {
    let cannot = |says: &str| Verdict {
        oracle: "O10 alert",
        good: None,
        says: says.to_owned(),
    };
    let Some(alarm) = &world.alarm else {
        return cannot("there is no Prometheus");
    };
    let Some(name) = name else {
        let raised = alarm.all_raised(case.began);
        return cannot(&format!("none is meant for it; raised: {raised:?}"));
    };
    let Some(after) = alarm.raised(name, case.began) else {
        let raised = alarm.all_raised(case.began);
        let says = format!("{name} was not raised; raised: {raised:?}");
        return verdict("O10 alert", Ok((false, says)));
    };
    let began = Instant::now();
    while alarm.is_raised(name) && began.elapsed() < WITHIN {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let cleared = !alarm.is_raised(name);
    let is = if cleared { "cleared" } else { "still raised" };
    let says = format!("{name} after {:.1} s, {is}", after.as_secs_f64());
    verdict("O10 alert", Ok((cleared && after <= WITHIN, says)))
}
