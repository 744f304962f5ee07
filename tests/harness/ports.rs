//! Ports that nobody listens on.
//!
//! Not of the range from which the system gives a port to whoever connects: one that is free now may belong to a connection by the time
//! that its server starts.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Above that range on Linux, and between it and where `tcp` ports of services are looked for by default.
const FIRST: [std::ops::RangeInclusive<u16>; 2] = [61_000..=65_535, 30_000..=32_767];

/// Given out before in this process: a port that is free now may belong to a server that has not started yet.
static GIVEN: LazyLock<Mutex<BTreeSet<u16>>> = LazyLock::new(Mutex::default);

/// A free port of 127.0.0.1.
#[must_use]
pub fn free_port() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let all: Vec<u16> = FIRST.into_iter().flatten().collect();
    // Processes that run side by side begin at different places.
    let start = usize::try_from(std::process::id()).map_or(0, |id| id * 61 % all.len());
    for _ in 0..2 {
        let round = all.iter().cycle().skip(start).take(all.len());
        for port in round {
            if !given.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok() {
                given.insert(*port);
                return *port;
            }
        }
        // All were given out: some are free again.
        given.clear();
    }
    panic!("no port is free");
}

/// Several free ports.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| free_port())
}
