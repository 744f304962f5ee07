//! Random choices that a seed repeats.

use std::time::Duration;

/// A source of random numbers (SplitMix64): equal seeds, equal numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// One that starts at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not zero.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// An index of something that has `len` members, at least one.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or_default()
    }

    /// True in so many of a hundred cases.
    pub const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A duration below `end`, in microseconds.
    pub fn duration(&mut self, end: Duration) -> Duration {
        let end = u64::try_from(end.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.below(end))
    }

    /// 128 random bits as a text that can be a label and part of a host name.
    pub fn marker(&mut self) -> String {
        format!("m{:016x}{:016x}", self.number(), self.number())
    }

    /// Another source, for a task of its own.
    pub const fn fork(&mut self) -> Self {
        Self(self.number())
    }
}
