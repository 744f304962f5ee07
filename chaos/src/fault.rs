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
use futures::future::LocalBoxFuture;

use crate::case::Case;
use crate::crowd::Mark;
use crate::wire;
use crate::world::World;

/// One of them.
pub(crate) struct Fault {
    /// As in the matrix of faults: `F-01`.
    pub(crate) number: &'static str,
    /// In words.
    pub(crate) what: &'static str,
    /// Which alert it has to raise; none, where there is nothing that anybody should be woken for.
    pub(crate) alert: Option<&'static str>,
    needs: Needs,
    strike: Strike,
}

/// Does it, measures, and undoes it; told how the simulated proxies were before.
type Strike =
    for<'a> fn(&'a mut World, &'a mut Case, &'a Mark) -> LocalBoxFuture<'a, anyhow::Result<()>>;

/// What not every machine has.
enum Needs {
    Nothing,
    /// A network of its own, in which packets can be lost.
    Network,
    /// A file system of its own for the database, which can be full.
    Disk,
    /// The program that makes system calls late, or fail.
    Strace,
}

impl Fault {
    /// What this machine lacks for it, if it lacks anything.
    pub(crate) fn lacks(&self, world: &World) -> Option<String> {
        match self.needs {
            Needs::Nothing => None,
            Needs::Network => wire::lacks(),
            Needs::Disk => disk_full::lacks(world),
            Needs::Strace => disk_slow::lacks(),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// It cannot be done, or what should come back does not.
    pub(crate) async fn strike(
        &self,
        world: &mut World,
        case: &mut Case,
        before: &Mark,
    ) -> anyhow::Result<()> {
        (self.strike)(world, case, before).await
    }
}

/// All of them, in the order in which they are done.
const ALL: &[&Fault] = &[
    &api_killed::FAULT,
    &all_api_killed::FAULT,
    &xds_killed::FAULT,
    &all_xds_killed::FAULT,
    &database_restarted::FAULT,
    &database_killed::FAULT,
    &clients_hang_up::FAULT,
    &database_frozen::FAULT,
    &database_silent::FAULT,
    &database_crowded::FAULT,
    &disk_full::FAULT,
    &disk_slow::FAULT,
    &hints_lost::FAULT,
    &redis_lost::FAULT,
    &partition::FAULT,
    &one_way::ANSWERS_LOST,
    &bad_line::FAULT,
    &one_way::ALL_LOST,
    &reconnect_storm::FAULT,
    &failover::FAULT,
];

/// Those that are done only when they are asked for by name.
const BY_NAME: &[&Fault] = &[&rolling::FAULT];

/// Those of these numbers in this order; all, when there are none.
///
/// # Errors
/// There is none of that number.
pub(crate) fn chosen(numbers: &[String]) -> anyhow::Result<Vec<&'static Fault>> {
    if numbers.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |number: &String| {
        let mut all = ALL.iter().chain(BY_NAME);
        let found = all.find(|fault| fault.number.eq_ignore_ascii_case(number));
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
        println!("{:8} {}", fault.number, fault.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once() {
        let mut numbers: Vec<&str> = ALL.iter().map(|fault| fault.number).collect();
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
            let line = format!("| `{}` | {} |", fault.number, fault.what);
            assert!(page.contains(&line), "docs/chaos.md has no line {line}");
        }
    }
}
