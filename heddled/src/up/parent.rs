//! `--stop-with-parent`: `make run` as one thing, whichever process of it is signalled.
//!
//! A terminal's Ctrl-C reaches us and `make` alike, and `make` passes SIGTERM on. But when a program sends
//! SIGINT, SIGHUP or SIGQUIT to `make` alone, `make` waits for us without a word. It does so inside its
//! signal handler, having given up the signal, and that can be seen from outside: the signal is blocked and
//! not caught any more. When `make` is killed, the kernel tells us.

use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

const LOOK_AGAIN: Duration = Duration::from_millis(200);
const KEPT: [Signal; 3] = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// The process that started this one.
pub(crate) struct Parent {
    pid: Pid,
    caught: u64,
}

impl Parent {
    /// Asks the kernel for SIGTERM when the parent ends.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn follow() -> anyhow::Result<Self> {
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).context("ask to end with the parent")?;
        let pid = getppid();
        let caught = masks(&status(pid)).map_or(0, |(_, caught)| caught);
        Ok(Self { pid, caught })
    }

    /// Returns when the parent was asked to end, or has ended before we followed it.
    pub(crate) async fn asked_to_end(&self) -> Signal {
        let mut tick = tokio::time::interval(LOOK_AGAIN);
        loop {
            tick.tick().await;
            if getppid() != self.pid {
                return Signal::SIGTERM;
            }
            if let Some(signal) = kept(self.caught, &status(self.pid)) {
                return signal;
            }
        }
    }
}

fn status(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

/// The signals that a process blocks and those that it catches.
fn masks(status: &str) -> Option<(u64, u64)> {
    Some((mask(status, "SigBlk:")?, mask(status, "SigCgt:")?))
}

fn mask(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

const fn bit(signal: Signal) -> u64 {
    1 << (signal as u32 - 1)
}

/// Whether a process ignores a signal.
pub(crate) fn ignores(pid: Pid, signal: Signal) -> bool {
    mask(&status(pid), "SigIgn:").is_some_and(|ignored| ignored & bit(signal) != 0)
}

/// A signal that was caught, and now is blocked and not caught.
fn kept(caught_before: u64, status: &str) -> Option<Signal> {
    let (blocked, caught) = masks(status)?;
    KEPT.into_iter()
        .find(|&signal| caught_before & blocked & !caught & bit(signal) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_make_keeps_to_itself_is_seen() {
        let status = |blocked: &str, caught: &str| {
            format!("Name:\tmake\nSigBlk:\t{blocked}\nSigCgt:\t{caught}\n")
        };
        let before = masks(&status("0000000000010000", "0000000001814207"))
            .unwrap()
            .1;
        let seen = |blocked, caught| kept(before, &status(blocked, caught));
        assert_eq!(seen("0000000000010000", "0000000001814207"), None);
        assert_eq!(
            seen("0000000000010002", "0000000001814205"),
            Some(Signal::SIGINT)
        );
        assert_eq!(
            seen("0000000000010001", "0000000001814206"),
            Some(Signal::SIGHUP)
        );
        assert_eq!(
            seen("0000000000010004", "0000000001814203"),
            Some(Signal::SIGQUIT)
        );
        assert_eq!(kept(before, ""), None);
    }
}
