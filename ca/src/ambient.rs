//! Time and randomness as parameters, so that an expiry or a serial can be tested.

use aws_lc_rs::rand;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::Error;

/// Where this crate reads the time. A closure is a clock, so the server passes its own.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;
}

impl<F: Fn() -> DateTime<Utc> + Send + Sync> Clock for F {
    fn now(&self) -> DateTime<Utc> {
        self()
    }
}

/// Where serials, ids and trust domains take their random bytes. Never used for keys or nonces.
pub trait Random: Send + Sync {
    /// Fills the whole slice.
    ///
    /// # Errors
    /// [`Error::Random`] when the source fails; nothing may then be issued.
    fn fill(&self, out: &mut [u8]) -> Result<(), Error>;
}

/// The operating system's generator, through aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), Error> {
        rand::fill(out).map_err(|_| Error::Random)
    }
}

/// A time-ordered id (UUIDv7).
pub(crate) fn new_id(now: DateTime<Utc>, random: &dyn Random) -> Result<Uuid, Error> {
    let mut tail = [0_u8; 10];
    random.fill(&mut tail)?;
    let millis = u64::try_from(now.timestamp_millis()).map_err(|_| Error::Time)?;
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
}
