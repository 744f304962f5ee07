//! Ports that nobody listens on.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Given out before in this process: a port that is free now may belong to a server that has not started yet.
static GIVEN: LazyLock<Mutex<BTreeSet<u16>>> = LazyLock::new(Mutex::default);

/// A free port of 127.0.0.1.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system gives out a port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        if GIVEN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(port)
        {
            return port;
        }
    }
}

/// Several free ports.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| free_port())
}
