//! What is done to the world, one file each.

mod all_api_killed;
mod all_xds_killed;
mod api_killed;
mod bad_line;
mod clients_hang_up;
mod database_crowded;
mod database_frozen;
mod database_killed;
mod database_restarted;
mod database_silent;
mod disk_full;
mod disk_slow;
mod failover;
mod hints_lost;
mod one_way;
mod partition;
mod reconnect_storm;
mod redis_lost;
mod rolling;
mod xds_killed;

use anyhow::bail;
use async_trait::async_trait;

use crate::case::Case;
use crate::crowd::Mark;
use crate::world::World;

/// One of them.
#[async_trait(?Send)]
pub(crate) trait Fault {
    /// As in the matrix of faults: `F-01`.
    fn number(&self) -> &'static str;

    /// In words.
    fn what(&self) -> &'static str;

    /// Which alert it has to raise; none, where there is nothing that anybody should be woken for.
    fn alert(&self) -> Option<&'static str> {
        None
    }

    /// What this machine lacks for it, if it lacks anything.
    fn lacks(&self, _world: &World) -> Option<String> {
        None
    }

    /// Does it, measures, and undoes it. `before` is how the simulated proxies were.
    ///
    /// # Errors
    /// It cannot be done, or what should come back does not.
    async fn strike(&self, world: &mut World, case: &mut Case, before: &Mark)
    -> anyhow::Result<()>;
}

/// All of them, in the order in which they are done.
const ALL: &[&dyn Fault] = &[
    &api_killed::OneApiKilled,
    &all_api_killed::AllApiKilled,
    &xds_killed::OneXdsKilled,
    &all_xds_killed::AllXdsKilled,
    &database_restarted::DatabaseRestarted,
    &database_killed::DatabaseKilled,
    &clients_hang_up::ClientsHangUp,
    &database_frozen::DatabaseFrozen,
    &database_silent::DatabaseSilent,
    &database_crowded::DatabaseCrowded,
    &disk_full::DiskFull,
    &disk_slow::DiskSlow,
    &hints_lost::HintsLost,
    &redis_lost::RedisLost,
    &partition::Partition,
    &one_way::AnswersLost,
    &bad_line::BadLine,
    &one_way::AllLost,
    &reconnect_storm::ReconnectStorm,
    &failover::Failover,
];

/// Those that are done only when they are asked for by name.
const BY_NAME: &[&dyn Fault] = &[&rolling::Rolling];

/// Those of these numbers in this order; all, when there are none.
///
/// # Errors
/// There is none of that number.
pub(crate) fn chosen(numbers: &[String]) -> anyhow::Result<Vec<&'static dyn Fault>> {
    if numbers.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |number: &String| {
        let mut all = ALL.iter().chain(BY_NAME);
        let found = all.find(|fault| fault.number().eq_ignore_ascii_case(number));
        match found {
            Some(fault) => Ok(*fault),
            None => bail!("there is no fault {number}: see --list"),
        }
    };
    numbers.iter().map(find).collect()
}

/// Prints them.
#[expect(clippy::print_stdout, reason = "it is what the program is for")]
pub(crate) fn list() {
    for fault in ALL.iter().chain(BY_NAME) {
        println!("{:8} {}", fault.number(), fault.what());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once() {
        let mut numbers: Vec<&str> = ALL.iter().map(|fault| fault.number()).collect();
        numbers.sort_unstable();
        let expected: Vec<String> = (1..=20).map(|n| format!("F-{n:02}")).collect();
        assert_eq!(numbers, expected);
        assert_eq!(chosen(&[]).unwrap().len(), ALL.len());
        assert!(chosen(&[String::from("f-01"), String::from("F-99")]).is_err());
    }

    #[test]
    fn the_page_tells_of_each_of_them() {
        let page = include_str!("../../docs/chaos.md");
        for fault in ALL.iter().chain(BY_NAME) {
            let line = format!("| `{}` | {} |", fault.number(), fault.what());
            assert!(page.contains(&line), "docs/chaos.md has no line {line}");
        }
    }
}
