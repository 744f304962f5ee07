//! One subscriber's stream as a state machine: requests, views and time go in, responses come out.

mod delta;
mod known;
mod plan;
mod sotw;
mod subscriber;
#[cfg(test)]
mod tests;
mod track;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use subscriber::Session;

use super::kind::Kind;
use super::resource::Resource;

/// How a client and a session talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// In changes.
    Delta,
    /// In whole states.
    Sotw,
}

/// A message of the incremental protocol from the client, without its envelope.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The wire name of the type.
    pub type_url: String,
    /// Names that it wants from now on.
    pub subscribe: Vec<String>,
    /// Names that it wants no longer.
    pub unsubscribe: Vec<String>,
    /// What it says it has, in its first message of a type on a new stream.
    pub initial_versions: BTreeMap<String, String>,
    /// The response that this answers; empty for none.
    pub nonce: String,
    /// Why it refuses that response; `None` accepts it (X07).
    pub error: Option<String>,
}

/// A message of the state-of-the-world protocol from the client, without its envelope.
#[derive(Debug, Clone, Default)]
pub struct StateRequest {
    /// The wire name of the type.
    pub type_url: String,
    /// Every name that it wants.
    pub names: Vec<String>,
    /// The version of what it accepted last, on an earlier stream too; empty for nothing.
    pub version: String,
    /// The response that this answers; empty for none.
    pub nonce: String,
    /// Why it refuses that response; `None` accepts it (X07).
    pub error: Option<String>,
}

/// A message to the client.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its type.
    pub kind: Kind,
    /// Unique within the stream.
    pub nonce: String,
    /// The revision of the view that it was made from; for people who debug (X15).
    pub revision: u64,
    /// What is new or changed; in the state-of-the-world protocol, everything where that is what a response says.
    pub resources: Vec<Arc<Resource>>,
    /// What does not exist (any more). The state-of-the-world protocol says so by leaving it out.
    pub removed: Vec<Arc<str>>,
    /// The version of all that the client has of this type afterwards. Empty in the incremental protocol.
    pub version: String,
    /// When the oldest change in it was published; `None` when it only answers a request.
    pub published: Option<Instant>,
}

/// Something that the owner of a session has to know.
#[derive(Debug, Clone)]
pub enum Event {
    /// A type that is not served was asked for; nothing else is affected (X04).
    UnknownType(String),
    /// The client accepted a response.
    Acked(Kind),
    /// The client refused a response.
    Nacked {
        /// Its type.
        kind: Kind,
        /// What was in it.
        resources: Vec<Arc<Resource>>,
        /// The client's words. Text from outside.
        message: String,
    },
    /// A resource of this subscriber alone is wanted: answer with [`Session::set_own`].
    Wanted {
        /// Its type.
        kind: Kind,
        /// Its name.
        name: Arc<str>,
        /// The version that the client says it has, if it may keep it.
        held: Option<Arc<str>>,
    },
}

/// How far a client is with one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// It has asked for this type.
    pub asked: bool,
    /// A client that has everything has asked for it.
    pub needed: bool,
    /// It has some version of all that it should have, and at least one resource.
    pub holds: bool,
    /// The newest revision of which it has acknowledged everything of this type.
    pub synced: Option<u64>,
}

impl Progress {
    /// What two streams of one client have together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            asked: self.asked || other.asked,
            needed: self.needed || other.needed,
            holds: self.holds || other.holds,
            synced: self.synced.max(other.synced),
        }
    }

    /// The newest revision of which a client has everything, by what it has of each type.
    #[must_use]
    pub fn overall(of: &[Self]) -> Option<u64> {
        let counts = |progress: &&Self| progress.asked || progress.needed;
        let synced = of.iter().filter(counts).map(|progress| progress.synced);
        synced.min().flatten()
    }
}

/// A resource of this subscriber alone.
#[derive(Debug, Clone)]
pub enum Own {
    /// The client has the current one; its content is not here.
    Held,
    /// This one.
    Issued(Arc<Resource>),
}

/// A resource that the client refuses; it is not sent again until it changes (X11).
#[derive(Debug, Clone)]
pub struct Rejection {
    /// The version that it refused; `None` for a refused removal.
    pub version: Option<Arc<str>>,
    /// What it refused.
    pub resource: Option<Arc<Resource>>,
    /// The client's words, shared by all that one answer refused. Text from outside.
    pub message: Arc<str>,
    /// What it goes on with.
    pub kept: Kept,
}

/// What a client has of a name of which it refuses the current version, as far as that has to be repeated to it.
#[derive(Debug, Clone)]
pub enum Kept {
    /// Not known, or not of interest: it keeps what it is not told about.
    Unknown,
    /// Nothing.
    Nothing,
    /// This version.
    This(Arc<Resource>),
}

/// How much a client may ask for and how long things may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Names in one request, of all lists together (X41).
    pub names_per_request: usize,
    /// Names that are subscribed to in one type at a time.
    pub names_per_type: usize,
    /// Bytes of a name or version.
    pub name_len: usize,
    /// Bytes of resources after which a response is closed and the rest waits for the next (X40).
    pub response_bytes: usize,
    /// How long a route waits for the clusters that it needs (X32).
    pub cluster_wait: Duration,
    /// How long a removed cluster stays after the last route to it is gone (X33).
    pub removal_delay: Duration,
    /// How long a client may take to answer a response before its stream is reset (F-23).
    pub answer_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            names_per_request: 10_000,
            names_per_type: 50_000,
            name_len: 512,
            response_bytes: 2 << 20,
            cluster_wait: Duration::from_secs(20),
            removal_delay: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(60),
        }
    }
}

/// Why a stream cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// More names than allowed.
    #[error("too many resource names")]
    TooManyNames,
    /// A name or version is longer than allowed.
    #[error("a resource name is too long")]
    NameTooLong,
    /// A response was not answered in time.
    #[error("a response was not answered in time")]
    AnswerTimeout,
}
