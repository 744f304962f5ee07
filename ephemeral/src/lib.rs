//! What may be lost: hints that save waiting, and counts of what is limited per second.
//!
//! Each thing is a small trait with two implementations. In process, for a server that is alone; and over Redis, for servers that share a
//! database. PostgreSQL is the truth in both cases: whoever loses all of this is slower for a while, and never wrong.
//!
//! What does not belong here: anything that somebody would miss. An idempotency key, a session, a count of failed sign-ins are rows.
//!
//! The binary chooses an implementation and joins it to the rest; nothing else depends on this crate. Something new gets a trait beside
//! [`Fanout`] and [`Buckets`], an implementation in each of the two, and its part of the suite that runs against both (`tests/it/ephemeral`).
#![warn(missing_docs)]

mod bucket;
mod fanout;
mod hint;
mod in_process;
mod local;
mod redis;

pub use bucket::{Ask, Buckets, Level, Rate};
pub use fanout::{Fanout, Heard, Hints};
pub use hint::Hint;
pub use in_process::InProcess;
pub use local::Servers;
pub use redis::{BadOptions, COUNT_WITHIN, Link, Options, Redis};
