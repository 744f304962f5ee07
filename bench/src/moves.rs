//! Who moved when, and when each proxy knew it. A workload that moves says in its address who it is and how often it has moved,
//! so a proxy that is told of many moves at once still tells them apart.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::catalogue::Entry;
use crate::histogram::Histogram;

/// So many workloads can move in one mesh.
pub(crate) const MOVERS: usize = 32;
/// So often each.
const TURNS: usize = 8_192;
/// The second number of the first one's addresses; other proxies have lower ones.
const FIRST: u8 = 210;

/// Where a workload is: which one, and how often it has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) mover: u8,
    pub(crate) turn: u16,
}

/// Whether so many moves can be told apart; from `per_second` for `seconds`.
///
/// # Errors
/// They cannot, or there are none.
pub(crate) fn check(per_second: u32, seconds: u32) -> anyhow::Result<()> {
    let most = ((TURNS - 1) * MOVERS - 1) as u64;
    let moves = u64::from(per_second) * u64::from(seconds);
    anyhow::ensure!(
        (1..=most).contains(&moves),
        "{per_second} changes a second for {seconds} s: between 1 and {most} are measured"
    );
    Ok(())
}

/// How far a proxy knows each workload to have moved.
pub(crate) type Seen = [u16; MOVERS];

impl Move {
    /// The address that says it.
    pub(crate) fn address(self) -> String {
        let [high, low] = self.turn.to_be_bytes();
        Ipv4Addr::new(10, FIRST + self.mover, high, low).to_string()
    }

    /// What an address says; `None`: somebody who stays.
    pub(crate) fn at(address: &str) -> Option<Self> {
        let [ten, mover, high, low] = address.parse::<Ipv4Addr>().ok()?.octets();
        let mover = mover.checked_sub(FIRST)?;
        (ten == 10 && usize::from(mover) < MOVERS).then_some(Self {
            mover,
            turn: u16::from_be_bytes([high, low]),
        })
    }
}

/// All moves of one measurement, and how long each took to reach each proxy.
#[derive(Debug)]
pub(crate) struct Moves {
    base: Instant,
    /// When each was made, in nanoseconds; empty until somebody moves.
    made: std::sync::OnceLock<Vec<AtomicU64>>,
    count: AtomicUsize,
    latest: AtomicU64,
    /// From the moment before a move is told to the server until a proxy has it.
    pub(crate) lags: Histogram,
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            base: Instant::now(),
            made: std::sync::OnceLock::new(),
            count: AtomicUsize::new(0),
            latest: AtomicU64::new(0),
            lags: Histogram::default(),
        }
    }
}

impl Moves {
    fn nanos(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn slot(&self, mover: u8, turn: u16) -> &AtomicU64 {
        let made = self
            .made
            .get_or_init(|| (0..MOVERS * TURNS).map(|_| AtomicU64::new(0)).collect());
        &made[usize::from(mover) * TURNS + usize::from(turn) % TURNS]
    }

    /// Somebody moves now.
    pub(crate) fn make(&self, one: Move) {
        let now = self.nanos();
        self.slot(one.mover, one.turn).store(now, Ordering::SeqCst);
        self.latest.fetch_max(now, Ordering::SeqCst);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// How many were made since the last [`Self::clear`].
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Time since the last one.
    pub(crate) fn since_the_last(&self) -> Duration {
        let last = self.latest.load(Ordering::SeqCst);
        Duration::from_nanos(self.nanos().saturating_sub(last))
    }

    /// A proxy has these endpoints; every move that is news to it counts, also one that a later one has overtaken.
    pub(crate) fn heard(&self, seen: &mut Seen, entry: &Entry, counts: bool) {
        let mut now = None;
        for one in &entry.moves {
            let seen = &mut seen[usize::from(one.mover)];
            if counts && one.turn > *seen {
                let now = *now.get_or_insert_with(|| self.nanos());
                for turn in *seen + 1..=one.turn {
                    let made = self.slot(one.mover, turn).load(Ordering::SeqCst);
                    self.lags
                        .add(Duration::from_nanos(now.saturating_sub(made)));
                }
            }
            *seen = one.turn.max(*seen);
        }
    }

    /// Waits until every move is known to `proxies` proxies; the time since the last move.
    ///
    /// # Errors
    /// It is not within the time.
    pub(crate) async fn known_to(
        &self,
        proxies: usize,
        patience: Duration,
    ) -> anyhow::Result<Duration> {
        let expected = (self.count() * proxies) as u64;
        let began = Instant::now();
        while self.lags.count() < expected {
            anyhow::ensure!(
                began.elapsed() < patience,
                "of {} moves, {} of {expected} receipts came",
                self.count(),
                self.lags.count()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(self.since_the_last())
    }

    /// Forgets all figures; every move so far must be known to everybody.
    pub(crate) fn clear(&self) {
        self.count.store(0, Ordering::SeqCst);
        self.lags.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(turns: &[u16]) -> Entry {
        let moves = turns.iter().zip(0..);
        Entry {
            name: "s".into(),
            version: String::new(),
            refers: Vec::new(),
            endpoints: None,
            moves: moves
                .map(|(turn, mover)| Move { mover, turn: *turn })
                .collect(),
        }
    }

    #[test]
    fn an_address_says_who_and_how_often() {
        let one = Move {
            mover: 31,
            turn: 515,
        };
        assert_eq!(one.address(), "10.241.2.3");
        assert_eq!(Move::at(&one.address()), Some(one));
        for other in ["10.200.0.1", "10.242.0.1", "11.210.0.1", "::1", "x"] {
            assert_eq!(Move::at(other), None, "{other}");
        }
    }

    #[test]
    fn no_more_moves_are_taken_than_can_be_told_apart() {
        assert!(check(100, 60).is_ok() && check(1_000, 262).is_ok());
        assert!(check(0, 60).is_err() && check(1_000, 263).is_err());
    }

    #[test]
    fn moves_that_were_overtaken_count_as_heard() {
        let moves = Moves::default();
        for turn in 1..=3 {
            moves.make(Move { mover: 0, turn });
        }
        let mut seen = Seen::default();
        moves.heard(&mut seen, &entry(&[1]), true);
        moves.heard(&mut seen, &entry(&[3, 0]), true);
        // Known already, and not older by an older message.
        moves.heard(&mut seen, &entry(&[2]), true);
        assert_eq!((moves.count(), moves.lags.count(), seen[0]), (3, 3, 3));
        moves.heard(&mut Seen::default(), &entry(&[3]), false);
        assert_eq!(moves.lags.count(), 3);
    }
}
