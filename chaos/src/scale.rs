//! How large the world is.

use std::time::Duration;

/// One of two sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scale {
    /// Some dozens of proxies and short faults: that all of it works
    Small,
    /// What is promised: 2,000 proxies, five Envoys
    Full,
}

impl Scale {
    /// Simulated proxies.
    pub(crate) const fn proxies(self) -> usize {
        match self {
            Self::Small => 30,
            Self::Full => 2_000,
        }
    }

    /// Real Envoys.
    pub(crate) const fn envoys(self) -> usize {
        match self {
            Self::Small => 2,
            Self::Full => 5,
        }
    }

    /// Requests a second through each of them.
    pub(crate) const fn requests(self) -> u32 {
        match self {
            Self::Small => 10,
            Self::Full => 70,
        }
    }

    /// Writes a second.
    pub(crate) const fn writes(self) -> u32 {
        match self {
            Self::Small => 8,
            Self::Full => 20,
        }
    }

    /// Of something that is done so often.
    pub(crate) const fn times(self, full: usize) -> usize {
        match self {
            Self::Small => 1,
            Self::Full => full,
        }
    }

    /// Of something that lasts so long.
    pub(crate) fn lasting(self, full: Duration) -> Duration {
        match self {
            Self::Small => full.min(Duration::from_secs(4)),
            Self::Full => full,
        }
    }

    /// As it stands in the evidence.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Full => "full",
        }
    }
}
